"""A run as a FiftyOne dataset, and a person's tags there as decisions here."""
