"""The gRPC port: binds the chain of `antiphon.calls` to grpc.aio, listens and drains. Nothing is decided here that the second port would need, too."""
