"""Who is not who the label says: mislabelled images, mixed and split identities."""
