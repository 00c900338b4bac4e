"""The manifests of deploy/kubernetes: valid by Kubernetes' own schemas, and true to the settings and the worker."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from streams.settings import setting_names
from streams.types_file import NotificationTypes
from streams.worker import CANCEL_SECONDS_MAX, STOP_SECONDS_MAX

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
VERSIONS = ("1.31", "1.34", "1.37")


def _documents() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted(FOLDER.glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            yield path.name, document


DOCUMENTS = list(_documents())


def _one(kind: str, name: str = "ringonce") -> dict[str, Any]:
    (found,) = (each for _, each in DOCUMENTS if (each["kind"], each["metadata"]["name"]) == (kind, name))
    return found


def _containers() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Each container with the specification of its pod."""
    pods = [each["spec"]["template"]["spec"] for _, each in DOCUMENTS if each["kind"] in ("StatefulSet", "Job")]
    return [(container, pod) for pod in pods for container in pod["containers"]]


@pytest.mark.parametrize("version", VERSIONS)
def test_valid_by_the_schemas_of_kubernetes(version: str) -> None:
    """No field is unknown, of a wrong type or missing; a misspelt one is refused."""
    for name, document in DOCUMENTS:
        kubernetes_validate.validate(document, version, strict=True)
        assert document["metadata"].get("namespace", "ringonce") == "ringonce", name
    broken = _one("StatefulSet") | {"speck": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, version, strict=True)


def test_every_setting_exists_and_no_secret_is_in_the_open() -> None:
    """Variables are settings that exist; passwords and keys come from secrets alone."""
    plain = set(_one("ConfigMap")["data"])
    secret = set(_one("Secret")["stringData"])
    direct = {each["name"] for container, _ in _containers() for each in container.get("env", [])}
    assert plain | secret | direct <= set(setting_names())
    assert not [name for name in plain | direct if re.search("PASSWORD|SECRET|KEY_ID|TEAM_ID", name)]
    files = set(_one("Secret", "ringonce-files")["stringData"])
    named = {value for value in _one("Secret")["stringData"].values() if value.startswith("/etc/ringonce-secrets/")}
    assert {value.removeprefix("/etc/ringonce-secrets/") for value in named} == files


def test_nothing_runs_as_root_or_writes_where_it_need_not() -> None:
    """Not root, a read-only root, no capabilities, no token of the cluster; what is written has a volume."""
    for container, pod in _containers():
        security = container["securityContext"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert security["readOnlyRootFilesystem"] is True
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
    (worker,) = _one("StatefulSet")["spec"]["template"]["spec"]["containers"]
    mounts = {mount["mountPath"]: mount for mount in worker["volumeMounts"]}
    data_dir = _one("ConfigMap")["data"]["RINGONCE_DATA_DIR"]
    assert not mounts[data_dir].get("readOnly")
    claims = _one("StatefulSet")["spec"]["volumeClaimTemplates"]
    assert mounts[data_dir]["name"] in {each["metadata"]["name"] for each in claims}
    dockerfile = (FOLDER.parents[1] / "Dockerfile").read_text(encoding="utf-8")
    assert f"--uid {_one('StatefulSet')['spec']['template']['spec']['securityContext']['runAsUser']} " in dockerfile


def test_a_worker_has_the_time_to_leave_well() -> None:
    """Kubernetes waits longer than a worker takes to finish what is under way."""
    pod = _one("StatefulSet")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > STOP_SECONDS_MAX + CANCEL_SECONDS_MAX


def test_probes_ask_views_that_exist_on_the_port_of_the_settings() -> None:
    """Live, ready and the metrics are on the port that the worker listens on."""
    stateful = _one("StatefulSet")["spec"]
    (worker,) = stateful["template"]["spec"]["containers"]
    port = int(_one("ConfigMap")["data"]["RINGONCE_WEB_PORT"])
    assert [each["containerPort"] for each in worker["ports"]] == [port]
    assert worker["livenessProbe"]["httpGet"]["path"] == worker["startupProbe"]["httpGet"]["path"] == "/health/live"
    assert worker["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    assert stateful["template"]["metadata"]["annotations"]["prometheus.io/port"] == str(port)
    assert _one("Service", "ringonce-workers")["spec"]["ports"][0]["port"] == port
    assert stateful["serviceName"] == "ringonce-workers"


def test_selectors_meet_the_workers() -> None:
    """Service, budget, policy and autoscaler mean these workers; there are never more of them than partitions."""
    labels = _one("StatefulSet")["spec"]["template"]["metadata"]["labels"]
    selectors = [
        _one("StatefulSet")["spec"]["selector"]["matchLabels"],
        _one("Service")["spec"]["selector"],
        _one("Service", "ringonce-workers")["spec"]["selector"],
        _one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        _one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    ]
    assert all(selector == labels for selector in selectors)
    scaler = _one("HorizontalPodAutoscaler")["spec"]
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "ringonce"}
    assert scaler["maxReplicas"] <= int(_one("ConfigMap")["data"]["RINGONCE_PARTITIONS"])
    assert _one("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_the_types_are_types(tmp_path: Path) -> None:
    """The types file in the example can be read by a worker."""
    path = tmp_path / "types.toml"
    path.write_text(_one("ConfigMap", "ringonce-types")["data"]["types.toml"], encoding="utf-8")
    assert set(NotificationTypes.load(path).policies) == {"order_ready"}
