"""Pure arrays: rates, intervals, power, imbalance."""
