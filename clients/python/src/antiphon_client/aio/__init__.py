"""The asynchronous face, on `grpc.aio`: channel, calls, streams and services. What both faces share lives one level up, never here."""
