"""docker-compose.yml, the Dockerfile and the Makefile, as far as they can be checked without an engine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.settings import setting_names
from streams.worker import STOP_SECONDS_MAX

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services of docker-compose.yml, merge keys resolved."""
    document: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    services: dict[str, Any] = document["services"]
    declared = set(document["volumes"])
    for service in services.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in declared or (ROOT / source).exists()
        assert set(service.get("depends_on", {})) <= set(services)
    return services


def test_three_brokers_know_each_other_and_lose_nothing_with_one_gone(services: dict[str, Any]) -> None:
    """Ids, addresses and voters agree; three copies, two of which must be written."""
    brokers = {name: service for name, service in services.items() if name.startswith("kafka-")}
    voters = ",".join(f"{broker['environment']['KAFKA_NODE_ID']}@{name}:9093" for name, broker in brokers.items())
    assert len(brokers) == 3
    for name, broker in brokers.items():
        environment = broker["environment"]
        assert environment["KAFKA_CONTROLLER_QUORUM_VOTERS"] == voters
        assert environment["KAFKA_ADVERTISED_LISTENERS"] == f"PLAINTEXT://{name}:9092"
        assert (environment["KAFKA_DEFAULT_REPLICATION_FACTOR"], environment["KAFKA_MIN_INSYNC_REPLICAS"]) == (3, 2)
        assert environment["KAFKA_TRANSACTION_STATE_LOG_MIN_ISR"] == 2


def test_every_setting_exists(services: dict[str, Any]) -> None:
    """No service sets a variable that the settings do not know."""
    used = {name for service in services.values() for name in service.get("environment", {}) if "RINGONCE" in name}
    assert used <= set(setting_names())
    script = (ROOT / "deploy" / "with_simulators.py").read_text(encoding="utf-8")
    written = {f"RINGONCE_{name}" for name in re.findall(r'^ +"([A-Z_]+)": ', script, flags=re.MULTILINE)}
    assert len(written) >= 12
    assert written <= set(setting_names())


def test_workers_share_the_brokers_and_nothing_is_open_to_the_network(services: dict[str, Any]) -> None:
    """Two workers or more on the same system, read-only; ports are published on the loopback interface only."""
    worker = services["worker"]
    assert worker["deploy"]["replicas"] == 2
    assert worker["read_only"] is True
    assert worker["cap_drop"] == ["ALL"]
    published, listened = worker["ports"][0].removeprefix("127.0.0.1:").split(":")
    low, high = map(int, published.split("-"))
    assert high - low >= 10  # room for more of them
    assert int(listened) == worker["environment"]["RINGONCE_WEB_PORT"]
    assert float(worker["stop_grace_period"].removesuffix("s")) > STOP_SECONDS_MAX
    for service in services.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_prometheus_finds_every_worker_and_grafana_finds_prometheus(services: dict[str, Any]) -> None:
    """The scrape goes by the name of the service, the data source too."""
    config = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    (job,) = config["scrape_configs"]
    (found,) = job["dns_sd_configs"]
    assert found["names"] == ["worker"]
    assert found["port"] == services["worker"]["environment"]["RINGONCE_WEB_PORT"]
    assert all((ROOT / "deploy" / "prometheus" / name).exists() for name in config["rule_files"])
    source = ROOT / "deploy" / "grafana" / "provisioning" / "datasources" / "prometheus.yml"
    (datasource,) = yaml.safe_load(source.read_text(encoding="utf-8"))["datasources"]
    assert datasource["url"] == "http://prometheus:9090"
    assert "prometheus" in services


def test_the_simulators_name_themselves_as_the_workers_reach_them(services: dict[str, Any]) -> None:
    """The host in their URLs and certificates is that of their service."""
    assert "--host simulators " in services["simulators"]["entrypoint"][-1]


def test_the_image_does_not_run_as_root() -> None:
    """The last user that the Dockerfile names is not root, and everything that it copies exists."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.findall(r"^USER (\S+)", text, flags=re.MULTILINE)[-1] == "ringonce"
    copied = [
        name for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, flags=re.MULTILINE) for name in line.split()
    ]
    assert copied
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {f"!{name}" for name in copied} <= set(allowed)


def test_make_help_names_every_target_that_is_for_people() -> None:
    """Each phony target has its line in `make help`."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.*)$", text, flags=re.MULTILINE)
    described = set(re.findall(r"^([a-z-]+):.*## ", text, flags=re.MULTILINE))
    assert set(phony.split()) == described
