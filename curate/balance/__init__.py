"""Imbalance measured and mended."""
