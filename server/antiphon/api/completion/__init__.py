"""Generated from the contract. Never edited."""
