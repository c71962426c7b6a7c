"""One thin servicer a service: unpack, call the use case, pack. Nothing is decided here."""
