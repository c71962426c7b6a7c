"""Logs and metrics of the server. Nothing here decides anything, and nothing here blocks the event loop."""
