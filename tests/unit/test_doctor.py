"""What the doctor says of what it was shown."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from connectors.outcome import Accepted, NotSent, Outcome, ProviderName, Unknown
from streams.doctor.clocks import Offset, judge_clocks
from streams.doctor.cluster import judge_broker, judge_requests
from streams.doctor.finding import Finding, Health
from streams.doctor.machine import check_machine, judge_python
from streams.doctor.outside import judge_dry_run
from streams.doctor.texts import check_texts
from streams.interpreter import Build, build_of
from streams.settings import Settings, load_settings

GOOD_BROKER = {
    "unclean.leader.election.enable": "false",
    "group.min.session.timeout.ms": "6000",
    "group.max.session.timeout.ms": "1800000",
    "transaction.max.timeout.ms": "900000",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "offsets.topic.replication.factor": "3",
}


def _worst(findings: Iterable[Finding]) -> Health:
    order = list(Health)
    return max((finding.health for finding in findings if finding.health is not Health.SKIP), key=order.index)


def _settings(tmp_path: Path, **values: object) -> Settings:
    return load_settings(data_dir=tmp_path, web_port=0, **values)


@pytest.mark.parametrize(
    ("changed", "health", "named"),
    [
        ({}, Health.OK, "as they must be"),
        ({"unclean.leader.election.enable": "true"}, Health.FAIL, "unclean.leader.election.enable"),
        ({"group.min.session.timeout.ms": "45000"}, Health.FAIL, "RINGONCE_SESSION_TIMEOUT_SECONDS is 10"),
        ({"group.max.session.timeout.ms": "9000"}, Health.FAIL, "9 at most"),
        ({"transaction.max.timeout.ms": "1000"}, Health.FAIL, "RINGONCE_TRANSACTION_TIMEOUT_SECONDS"),
        ({"transaction.state.log.replication.factor": "1"}, Health.WARN, "transaction.state.log.replication.factor"),
        ({"transaction.state.log.min.isr": "1"}, Health.WARN, "transaction.state.log.min.isr"),
        ({"offsets.topic.replication.factor": "1"}, Health.WARN, "offsets.topic.replication.factor"),
    ],
)
def test_settings_of_brokers(changed: dict[str, str], health: Health, named: str, tmp_path: Path) -> None:
    """Each setting that the promise rests on is judged, and named where it is wrong."""
    (finding,) = judge_broker(GOOD_BROKER | changed, _settings(tmp_path), 3)
    assert finding.health is health
    assert named in finding.found
    assert bool(finding.todo) == (health is not Health.OK)


@pytest.mark.parametrize(
    ("offset_fetch", "list_config_resources", "copies", "health"),
    [
        (10, 0, 1, None),  # Kafka 4.0
        (10, 1, 1, Health.WARN),  # Kafka 4.1
        (10, 1, 3, None),
        (7, None, 1, None),  # Kafka 2.5
        (6, None, 3, Health.FAIL),
    ],
)
def test_a_broker_is_known_by_the_requests_that_it_knows(
    offset_fetch: int, list_config_resources: int | None, copies: int, health: Health | None, tmp_path: Path
) -> None:
    """One that may forget a transaction on a single copy, and one that cannot say what a transaction has committed."""
    newest = {9: offset_fetch} | ({} if list_config_resources is None else {74: list_config_resources})
    found = list(judge_requests(newest, _settings(tmp_path, replication_factor=copies)))
    assert [finding.health for finding in found] == ([] if health is None else [health])


def test_a_cluster_of_one_is_not_blamed_for_it_again(tmp_path: Path) -> None:
    """With one broker there is nothing to copy to, which is said elsewhere."""
    lonely = GOOD_BROKER | {"transaction.state.log.replication.factor": "1", "transaction.state.log.min.isr": "1"}
    assert _worst(judge_broker(lonely | {"offsets.topic.replication.factor": "1"}, _settings(tmp_path), 1)) is Health.OK


@pytest.mark.parametrize(
    ("ahead_ms", "error_ms", "health"),
    [
        (0.0, 2.0, Health.OK),
        (-1_200.0, 10.0, Health.OK),
        (-1_600.0, 10.0, Health.WARN),
        (2_400.0, 10.0, Health.WARN),
        (2_600.0, 10.0, Health.FAIL),
        (-2_600.0, 10.0, Health.FAIL),
        (2_600.0, 2_000.0, Health.OK),  # who asks so slowly proves nothing
    ],
)
def test_clocks(ahead_ms: float, error_ms: float, health: Health) -> None:
    """Half of what two workers may differ by is allowed, less what the question itself may be wrong by."""
    (finding,) = judge_clocks({1: Offset(ahead_ms, error_ms)}, 5.0)
    assert finding.health is health
    assert ("behind" in finding.found) == (ahead_ms <= 0)


@pytest.mark.parametrize(
    ("outcome", "health", "said"),
    [
        (NotSent("BadDeviceToken", retry=False, status=400), Health.OK, "BadDeviceToken"),
        (NotSent("InvalidProviderToken", retry=False, status=403, provider_wide=True), Health.FAIL, "RINGONCE_APNS_"),
        (NotSent("connect_failed", retry=True), Health.FAIL, "RINGONCE_APNS_BASE_URL"),
        (Accepted(200), Health.OK, "200"),
        (Unknown("timeout"), Health.WARN, "timeout"),
        (Unknown("InternalServerError", status=500), Health.WARN, "500"),
    ],
)
def test_answers_to_a_dry_run(outcome: Outcome, health: Health, said: str) -> None:
    """A refused address proves that the credentials were taken; a refused worker is told which settings to look at."""
    finding = judge_dry_run(ProviderName.APNS, outcome)
    assert finding.health is health
    assert said in finding.found + finding.todo


def test_a_data_directory_that_cannot_be_written(tmp_path: Path) -> None:
    """A file where the directory must be: it is named, and what to do."""
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    findings = list(check_machine(load_settings(data_dir=tmp_path / "taken", web_port=0)))
    failed = [finding for finding in findings if finding.health is Health.FAIL]
    assert [finding.area for finding in failed] == ["disk"]
    assert str(tmp_path / "taken") in failed[0].found


def test_a_machine_that_serves(tmp_path: Path) -> None:
    """The disk is written and left as it was; the port is free."""
    findings = list(check_machine(_settings(tmp_path)))
    assert {finding.area for finding in findings} == {"python", "disk", "files", "web"}
    assert not [finding for finding in findings if finding.area == "web" and finding.health is not Health.OK]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("variables", "build", "health"),
    [
        (
            {"CONFIG_ARGS": "'--enable-optimizations' '--with-lto'", "PGO_PROF_USE_FLAG": "-f"},
            Build.OPTIMISED,
            Health.OK,
        ),
        ({"CONFIG_ARGS": "'--prefix=/opt'", "PGO_PROF_USE_FLAG": "-fprofile-use"}, Build.PLAIN, Health.WARN),
        ({"CONFIG_ARGS": "", "PGO_PROF_USE_FLAG": "-fprofile-use"}, Build.PLAIN, Health.WARN),
        ({"CONFIG_ARGS": "'--prefix=/usr'", "PGO_PROF_USE_FLAG": ""}, Build.OWN, Health.OK),
        ({"CONFIG_ARGS": None}, Build.OWN, Health.OK),
        ({}, Build.OWN, Health.OK),
    ],
)
def test_a_python_that_is_slower_than_it_could_be(variables: dict[str, object], build: Build, health: Health) -> None:
    """Only one that is known to be built without optimisations is warned of."""
    assert build_of(variables) is build
    finding = judge_python(build_of(variables), f"3.12.1 {build}")
    assert (finding.area, finding.health) == ("python", health)
    assert "3.12.1" in finding.found


def test_texts_are_read_as_a_worker_reads_them(tmp_path: Path) -> None:
    """A broken types file and a broken template are failures that name the file."""
    broken = tmp_path / "types.toml"
    broken.write_text("[types.order_ready]\nwindow_seconds = -1\n", encoding="utf-8")
    (finding,) = check_texts(_settings(tmp_path, types_file=broken))
    assert finding.health is Health.FAIL
    assert str(broken) in finding.found
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "order_ready.toml").write_text('title = "{{ open"\n', encoding="utf-8")
    types, templates = check_texts(_settings(tmp_path, templates_dir=folder))
    assert types.health is Health.OK
    assert templates.health is Health.FAIL
    assert "order_ready.toml" in templates.found
