"""The second port, for what does not speak gRPC: same process, same loop. No use case lives here."""
