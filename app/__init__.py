"""Pages to look at a run, and the bridge to FiftyOne."""
