"""The child process that serves the embedded model in the OpenAI wire format; never imported by the Antiphon server itself."""
