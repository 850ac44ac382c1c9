"""Error rates per group."""
