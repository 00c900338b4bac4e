"""The doctor: what a system needs around it, looked at piece by piece, and what to do where it is not so."""
