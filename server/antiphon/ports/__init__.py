"""What the core asks of the world, as protocols and values. No implementation lives here."""
