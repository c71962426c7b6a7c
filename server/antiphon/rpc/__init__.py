"""The gRPC surface: the chain that every call passes, thin servicers, and the only mapping from errors to status. No use case lives here."""
