"""Logs, metrics and spans of the server, and the one redactor. Nothing here decides anything, and nothing here blocks the event loop."""
