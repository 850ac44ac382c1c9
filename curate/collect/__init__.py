"""Sources to manifests."""
