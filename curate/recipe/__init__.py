"""The engine: recipes planned, run, resumed and explained."""
