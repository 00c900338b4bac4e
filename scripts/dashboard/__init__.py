"""The Grafana dashboard as code, so that a change of it can be read: `python -m scripts.dashboard` writes it."""
