"""Arrays to neighbours."""
