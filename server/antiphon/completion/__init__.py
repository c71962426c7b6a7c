"""Completion: one pipeline from a checked request to a stamped stream of events. No provider, transport or storage is known here."""
