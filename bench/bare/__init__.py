"""The server that Antiphon is measured against: what one writes by hand on the same runtime, and no policy of any kind."""
