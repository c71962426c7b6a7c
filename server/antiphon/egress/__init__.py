"""Every outbound HTTP client. Nothing here knows what the bytes mean."""
