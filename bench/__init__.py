"""Benches: what the server costs, measured in pairs with a bare server on the same runtime. Nothing here is imported by the server."""
