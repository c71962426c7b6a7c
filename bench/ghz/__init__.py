"""ghz scenarios: whole calls as an independent load tool sees them."""
