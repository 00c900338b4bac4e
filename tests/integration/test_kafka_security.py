"""Kafka over TLS and SASL: everything works over it, and who is refused is told which setting to look at."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from connectors.embedded_kafka import EmbeddedKafka, Security
from connectors.embedded_kafka.security import Protocol
from connectors.simulators import Authority, make_authority
from streams.kafka_ready import KafkaUnreachableError, wait_for_kafka
from streams.publish.messages import Message
from streams.publish.publisher import Publisher
from streams.settings import SettingsError, kafka_client_options, load_settings
from streams.topics import TopicNames, ensure_topics
from tests.integration.system import SECONDS_MAX, system

ROOT = Path(__file__).parents[2]
USER, PASSWORD = "ringonce-user", "correct-horse-battery"
WRONG = "hunter2-never-to-be-shown"


@dataclass(frozen=True, slots=True)
class Secured:
    """A broker with secured listeners; `stranger` signed nothing that it knows."""

    broker: EmbeddedKafka
    authority: Authority
    stranger: Authority

    def settings(self, protocol: Protocol, **own: str | Path) -> dict[str, str]:
        """The right settings for a listener, by their names without `RINGONCE_`, with `own` over them; "" unsets."""
        right: dict[str, str | Path] = {"BOOTSTRAP": self.broker.secured(protocol), "SECURITY_PROTOCOL": protocol}
        if protocol.endswith("SSL"):
            right["SSL_CAFILE"] = self.authority.ca_file
        if protocol == "SSL":
            right |= {"SSL_CERTFILE": self.authority.client_cert_file, "SSL_KEYFILE": self.authority.client_key_file}
        else:
            right |= {"SASL_USERNAME": USER, "SASL_PASSWORD": PASSWORD}
        return {name: str(value) for name, value in {**right, **own}.items() if value != ""}


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """One broker for all tests of this file."""
    ours, stranger = (make_authority(tmp_path_factory.mktemp(name)) for name in ("ours", "stranger"))
    security = Security(ours.ca_file, ours.cert_file, ours.key_file, USER, PASSWORD)
    with EmbeddedKafka(fast_start=True, security=security) as broker:
        yield Secured(broker, ours, stranger)


def run(arguments: list[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `ringonce` to its end with these settings only."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RINGONCE_")}
    return subprocess.run(
        [sys.executable, "-m", "streams", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**clean, "COLUMNS": "200", **environment},
        timeout=SECONDS_MAX,
        check=False,
    )


def test_a_push_gets_through_over_tls_and_scram(secured: Secured, prefix: str, tmp_path: Path) -> None:
    """With SASL_SSL and SCRAM-SHA-512 an event that `publish` wrote is pushed by a worker process, `topics --check` and
    `audit` find all as it must be, and the password is in no output."""
    settings = secured.settings("SASL_SSL")
    with system(settings.pop("BOOTSTRAP"), prefix, tmp_path, settings) as running:
        worker = running.worker("worker")
        running.wait_for_devices()
        published = run(
            ["publish", "--user", "user-000000", "--type", "order_ready", "--data", "name=Ada", "--data", "order=7"],
            running.environment,
        )
        assert published.returncode == 0, published.stderr
        assert list(running.ended(1).final().values()) == [["ACCEPTED"]]
        checked = run(["topics", "--check"], running.environment)
        assert checked.returncode == 0, checked.stderr
        pushes = str(tmp_path / "simulators" / "pushes.jsonl")
        audited = run(["audit", "--complete", "--settle", "0", "--push-log", pushes], running.environment)
        assert audited.returncode == 0, audited.stdout
        assert re.search(r"pushes in the log .* [1-9]\d* to 1 slots", audited.stdout)
        worker.popen.terminate()
        assert worker.popen.wait(SECONDS_MAX) == 0
    said = worker.log_file.read_text(encoding="utf-8")
    said += "".join(done.stdout + done.stderr for done in (published, checked, audited))
    assert PASSWORD not in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("protocol", "own"),
    [("SSL", {}), ("SASL_PLAINTEXT", {"SASL_MECHANISM": "PLAIN"}), ("SASL_SSL", {"SASL_MECHANISM": "PLAIN"})],
)
def test_what_is_produced_is_consumed(secured: Secured, prefix: str, protocol: Protocol, own: dict[str, str]) -> None:
    """With a client certificate, and with PLAIN, topics are created and records go there and back."""
    overrides = {name.lower(): value for name, value in secured.settings(protocol, **own).items()}
    settings = load_settings(**overrides, topic_prefix=prefix, app_id=f"{prefix}app", partitions=1)
    topic = TopicNames.of(settings).notifications

    async def there_and_back() -> bytes | None:
        await wait_for_kafka(settings, SECONDS_MAX, lambda _: None)
        assert not (await ensure_topics(settings)).differences
        async with Publisher(settings, topic) as publisher:
            await publisher.publish(Message(b"u:t", b"value"))
        consumer = AIOKafkaConsumer(**kafka_client_options(settings))
        await consumer.start()
        try:
            consumer.assign([TopicPartition(topic, 0)])
            await consumer.seek_to_beginning()
            async with asyncio.timeout(SECONDS_MAX):
                value: bytes | None = (await consumer.getone()).value
                return value
        finally:
            await consumer.stop()

    assert asyncio.run(there_and_back()) == b"value"


# Each wrong setting, and how its line begins. `{}` is the listener's address.
REFUSED: dict[str, tuple[Protocol, dict[str, str], str]] = {
    "wrong password, SCRAM": (
        "SASL_SSL",
        {"SASL_PASSWORD": WRONG},
        f"RINGONCE_SASL_PASSWORD: Kafka at {{}} refuses the user {USER} (RINGONCE_SASL_USERNAME) with this password: ",
    ),
    "wrong password, PLAIN": (
        "SASL_PLAINTEXT",
        {"SASL_PASSWORD": WRONG, "SASL_MECHANISM": "PLAIN"},
        f"RINGONCE_SASL_PASSWORD: Kafka at {{}} refuses the user {USER} (RINGONCE_SASL_USERNAME) with this password: ",
    ),
    "mechanism": (
        "SASL_SSL",
        {"SASL_MECHANISM": "SCRAM-SHA-256"},
        "RINGONCE_SASL_MECHANISM: Kafka at {} does not take SCRAM-SHA-256",
    ),
    "unknown CA": (
        "SASL_SSL",
        {"SSL_CAFILE": "stranger"},
        "RINGONCE_SSL_CAFILE: the certificate of Kafka at {} cannot be trusted: unable to get local issuer certificate",
    ),
    "no client certificate": (
        "SSL",
        {"SSL_CERTFILE": "", "SSL_KEYFILE": ""},
        "RINGONCE_SSL_CERTFILE: must be set, Kafka at {} asks for a client certificate (certificate required)",
    ),
    "foreign client certificate": (
        "SSL",
        {"SSL_CERTFILE": "stranger", "SSL_KEYFILE": "stranger"},
        "RINGONCE_SSL_CERTFILE: Kafka at {} refuses the client certificate (certificate unknown)",
    ),
}


def refused_settings(secured: Secured, case: str) -> tuple[dict[str, str], str]:
    """The settings of a case, by their names without `RINGONCE_`, and how the line begins."""
    protocol, own, line = REFUSED[case]
    strangers = {
        "SSL_CAFILE": secured.stranger.ca_file,
        "SSL_CERTFILE": secured.stranger.client_cert_file,
        "SSL_KEYFILE": secured.stranger.client_key_file,
    }
    wrong = {name: strangers[name] if value == "stranger" else value for name, value in own.items()}
    return secured.settings(protocol, **wrong), line.format(secured.broker.secured(protocol))


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_is_told_from_a_missing_broker(secured: Secured, case: str) -> None:
    """Nobody waits for what waiting does not mend: the first answer ends it, and nothing else was said before."""
    settings, line = refused_settings(secured, case)
    said: list[str] = []
    with pytest.raises(SettingsError) as raised:
        asyncio.run(
            wait_for_kafka(
                load_settings(**{name.lower(): value for name, value in settings.items()}), SECONDS_MAX, said.append
            )
        )
    assert str(raised.value).startswith(line)
    assert said == []


@pytest.mark.parametrize(
    ("arguments", "case"),
    [
        (["worker"], "wrong password, SCRAM"),
        (["worker"], "no client certificate"),
        (["topics", "--check"], "unknown CA"),
        (["publish", "--user", "u", "--type", "t"], "wrong password, PLAIN"),
        (["audit"], "foreign client certificate"),
    ],
)
def test_a_refused_command_ends_with_one_line(secured: Secured, arguments: list[str], case: str) -> None:
    """Exit code 2, one line on the terminal, long before `--wait-seconds` is over, and no secret in it."""
    settings, line = refused_settings(secured, case)
    environment = {f"RINGONCE_{name}": value for name, value in settings.items()}
    ended = run([*arguments, "--wait-seconds", f"{2 * SECONDS_MAX:g}"], environment)
    (shown,) = ended.stderr.splitlines()
    assert (ended.returncode, ended.stdout) == (2, "")
    assert shown.startswith(line)
    assert WRONG not in shown
    assert PASSWORD not in shown


def test_no_tls_and_no_sasl_where_they_are_asked_for(secured: Secured) -> None:
    """SASL on a listener without it is refused; one that closes the connection at once is waited for, and given up with
    a line that asks for the protocol."""
    plain = secured.broker.bootstrap
    sasl = secured.settings("SASL_PLAINTEXT", BOOTSTRAP=plain)
    with pytest.raises(
        SettingsError, match=f"RINGONCE_SECURITY_PROTOCOL: the listener of Kafka at {plain} has no SASL"
    ):
        wait(sasl)
    for settings in (
        {"BOOTSTRAP": secured.broker.secured("SSL"), "SECURITY_PROTOCOL": "PLAINTEXT"},
        {"BOOTSTRAP": secured.broker.secured("SASL_PLAINTEXT"), "SECURITY_PROTOCOL": "PLAINTEXT"},
        secured.settings("SSL", BOOTSTRAP=plain),
    ):
        with pytest.raises(KafkaUnreachableError, match="closes the connection: is RINGONCE_SECURITY_PROTOCOL right"):
            wait(settings)


def wait(settings: Mapping[str, str]) -> None:
    """Wait for Kafka with these settings, for no longer than one attempt."""
    found = load_settings(**{name.lower(): value for name, value in settings.items()})
    asyncio.run(wait_for_kafka(found, 0, lambda _: None))
