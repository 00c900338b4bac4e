"""Rehearsals: each alert's fault on real parts, the alert in a real Prometheus, and the step that mends it."""
