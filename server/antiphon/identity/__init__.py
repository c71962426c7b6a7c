"""Who calls: API keys, the names in certificates, and the directory that both are looked up in. What a caller may do with a method is not decided here."""
