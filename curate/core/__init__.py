"""Ground floor: the tables and shapes that every other room shares."""
