"""Draws what reports measured."""
