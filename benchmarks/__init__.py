"""Measurements: what costs how much, printed as tables; none of them is a test."""
