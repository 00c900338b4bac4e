"""Bugs that are put into a copy of the product on purpose, to see whether a test fails."""
