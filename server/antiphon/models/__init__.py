"""The model catalog: names, aliases, descriptions and what is known of each model's state. No provider is asked to generate here."""
