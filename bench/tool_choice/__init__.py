"""What the embedded model can do with tools and JSON Schemas, measured. No test lives here."""
