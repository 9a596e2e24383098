"""Payment providers: wire format in, domain words out."""
