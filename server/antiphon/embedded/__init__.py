"""Launchers of what runs beside the server by default (the local model, PostgreSQL); never a provider adapter or a use case."""
