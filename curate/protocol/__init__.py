"""Who is compared with whom: holdouts, pairs, folds."""
