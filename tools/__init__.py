"""What the Makefile calls to keep the repository: generation, contract gate, locks. Nothing that runs in the server lives here."""
