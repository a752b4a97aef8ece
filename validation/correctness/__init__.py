"""Is it right: error bounds, routing legality, exact tier, metamorphic relations, integrity."""
