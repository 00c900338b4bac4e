"""Write connectors/embedded_kafka/jars.lock: every jar that Kafka needs, with its SHA-256, as jgo resolves them.

Run it (`make lock`) to move to another Kafka; the start of a broker then needs no dependency resolution.
"""

from __future__ import annotations

import tempfile
import tomllib
from pathlib import Path

import jgo

# Kafka itself ships without a binding for its logger; without one a broker that cannot start says nothing.
ENDPOINT = "org.apache.kafka:kafka_2.13:4.0.2+org.slf4j:slf4j-simple:1.7.36"
TARGET = Path(__file__).parent.parent / "connectors" / "embedded_kafka" / "jars.lock"


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        environment = jgo.build(ENDPOINT, cache_dir=Path(directory))
        resolved = tomllib.loads(environment.lock_path.read_text(encoding="utf-8"))
    lines = sorted(f"{d['groupId']}:{d['artifactId']}:{d['version']} {d['sha256']}" for d in resolved["dependencies"])
    TARGET.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
