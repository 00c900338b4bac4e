"""Suppression as others would write it, each with its own library and as its documentation advises."""
