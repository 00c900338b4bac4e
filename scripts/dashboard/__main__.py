"""Write deploy/grafana/ringonce.json."""

from pathlib import Path

from scripts.dashboard.grafana import page

TARGET = Path(__file__).parents[2] / "deploy" / "grafana" / "ringonce.json"
TARGET.write_text(page(), encoding="utf-8")
