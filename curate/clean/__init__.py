"""Steps that find what should not be there."""
