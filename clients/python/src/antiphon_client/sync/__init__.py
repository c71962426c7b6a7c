"""The synchronous face, on `grpc`: channel, calls, streams and services. What both faces share lives one level up, never here."""
