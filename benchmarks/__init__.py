"""Measured against peers and the obvious way, in one run each."""
