"""Pixels to facts: decoding, hashes, quality, known alterations."""
