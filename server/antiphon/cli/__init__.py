"""The command line: what a person types and sees lives here; how a server works, or what a call means, never does."""
