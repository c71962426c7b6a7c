"""How the server's components do. What they are is told by the composition root."""
