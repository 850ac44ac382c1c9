"""Images to vectors: one Embedder protocol, several models."""
