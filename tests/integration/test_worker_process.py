"""`ringonce worker` as whoever runs it meets it: what it says, how it ends, and what it survives."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from connectors.embedded_kafka import EmbeddedKafka
from streams.demo.processes import Process
from tests.integration.system import SECONDS_MAX, USERS, System, event, system

ROOT = Path(__file__).parents[2]
OUTAGE_SECONDS = 10.0  # longer than a session and a transaction of this system may be silent
LEAVE_SECONDS_MAX = 15.0
SECRET = "hunter2-never-to-be-shown"


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `ringonce worker` to its end with these settings only."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RINGONCE_")}
    return subprocess.run(
        [sys.executable, "-m", "streams", "worker", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**clean, "COLUMNS": "200", **environment},
        timeout=SECONDS_MAX,
        check=False,
    )


def nobody() -> str:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return f"127.0.0.1:{closed.getsockname()[1]}"


def test_a_missing_broker_is_waited_for_and_then_given_up() -> None:
    """It says what it waits for, ends with 1 after the time, and none of the client's own noise is on the terminal."""
    address = nobody()
    ended = run("--wait-seconds", "1", RINGONCE_BOOTSTRAP=address)
    waiting, given_up = ended.stderr.splitlines()
    assert ended.returncode == 1
    assert waiting == f"waiting for Kafka at {address} …"
    assert given_up.startswith(f"no Kafka answers at {address} after 1 s: ")
    assert ended.stdout == ""


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({}, "RINGONCE_BOOTSTRAP: must be set to Kafka's address, host:port"),
        ({"BOOTSTRAP": "here"}, "RINGONCE_BOOTSTRAP: must be host:port, or several with commas between, is here"),
        ({"PARTITIONS": "0"}, "RINGONCE_PARTITIONS: must be at least 1, is 0"),
        ({"PARTITION": "4"}, "RINGONCE_PARTITION: no such setting; did you mean RINGONCE_PARTITIONS?"),
        ({"APNS_KEY_FILE": "/none"}, "RINGONCE_APNS_KEY_FILE: must be a file that exists, is /none"),
        ({"TYPES_FILE": "/none"}, "RINGONCE_TYPES_FILE: must be a file that exists, is /none"),
    ],
)
def test_a_wrong_setting_is_one_line(settings: dict[str, str], line: str) -> None:
    """Exit code 2 and the name of the setting; no traceback, and no secret that stands beside it."""
    environment = {f"RINGONCE_{name}": value for name, value in settings.items()}
    ended = run("--wait-seconds", "1", RINGONCE_SASL_PASSWORD=SECRET, **environment)
    assert (ended.returncode, ended.stderr, ended.stdout) == (2, line + "\n", "")


@pytest.fixture(scope="module")
def installed(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system with its topics, and no worker: for those that do not get as far as working."""
    with system(kafka, f"w{os.getpid()}-{time.monotonic_ns()}-", tmp_path_factory.mktemp("worker")) as found:
        yield found


def test_a_types_file_that_is_wrong_is_one_line(installed: System, tmp_path: Path) -> None:
    """Exit code 2; file, table and key are named."""
    types = tmp_path / "types.toml"
    types.write_text("[types.chat]\nwindow_seconds = 0\n", encoding="utf-8")
    ended = run(**{**installed.environment, "RINGONCE_TYPES_FILE": str(types)})
    assert (ended.returncode, ended.stderr) == (2, f"{types}: [types.chat] window_seconds: must be at least 1, is 0\n")


def test_a_port_in_use_is_one_line(installed: System) -> None:
    """A second worker on one machine, with the default port, is told what to set."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run(**{**installed.environment, "RINGONCE_WEB_PORT": port})
    assert ended.returncode == 2
    assert ended.stderr == f"RINGONCE_WEB_PORT: cannot listen on 127.0.0.1:{port}: Address already in use\n"


def _encrypted_key() -> bytes:
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption

    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(SECRET.encode()))


def _other_curve() -> bytes:
    key = ec.generate_private_key(ec.SECP384R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    "content", [b"", b"\0\xff" * 50, SECRET.encode(), _encrypted_key(), _other_curve()], ids=range(5)
)
def test_unreadable_credentials_are_one_line(installed: System, tmp_path: Path, content: bytes) -> None:
    """Exit code 2, the setting and the file are named, and nothing that the file holds."""
    key_file = tmp_path / "key.p8"
    key_file.write_bytes(content)
    ended = run(**{**installed.environment, "RINGONCE_APNS_KEY_FILE": str(key_file)})
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert "RINGONCE_APNS_KEY_FILE" in line
    assert str(key_file) in line
    secrets = [part.decode("ascii", "replace") for part in content.split(b"\n") if len(part) > 8]
    assert not any(secret in line for secret in secrets)


def test_a_service_account_without_a_key_is_one_line(installed: System, tmp_path: Path) -> None:
    """The same for the JSON file of FCM."""
    account = tmp_path / "account.json"
    account.write_text(f'{{"client_email": "a@b", "private_key": "{SECRET}", "project_id": "p"}}', encoding="utf-8")
    ended = run(**{**installed.environment, "RINGONCE_FCM_SERVICE_ACCOUNT_FILE": str(account)})
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert "RINGONCE_FCM_SERVICE_ACCOUNT_FILE" in line
    assert SECRET not in line


def test_certificates_that_are_none_are_one_line(installed: System, tmp_path: Path) -> None:
    """The same for the CA file of the providers."""
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text(SECRET, encoding="utf-8")
    ended = run(**{**installed.environment, "RINGONCE_PROVIDER_CA_FILE": str(ca_file)})
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"RINGONCE_PROVIDER_CA_FILE: {ca_file}: ")
    assert SECRET not in line


def test_another_partition_count_is_named_by_topic(installed: System) -> None:
    """Exit code 2, one line for each topic that has another count, and nothing is changed."""
    ended = run(**{**installed.environment, "RINGONCE_PARTITIONS": "5"})
    assert ended.returncode == 2
    lines = ended.stderr.splitlines()
    assert f"{installed.topics.outbox}: has 6 partitions, must have 5" in ended.stderr
    assert all("has 6 partitions, must have 5" in line for line in lines)


def stream(running: System, over: threading.Event, counts: list[int]) -> None:
    """Produce events until told to stop; half of them are for slots that had one. `counts`: how many are confirmed."""
    number = 0
    while not over.is_set():
        events = [
            event(f"user-{(number + index) % USERS:06d}", f"kind_{(number + index) // 2 % 7}", f"n{number + index}")
            for index in range(100)
        ]
        counts.append(running.produce(events))
        number += len(events)
        over.wait(0.2)


def assert_each_ended_once(running: System, count: int) -> None:
    """Every event that was produced has exactly one final state; of one that has more, all that was said is shown."""
    seen = running.ended(count)
    final = seen.final()
    assert len(final) == count
    twice = {origin for origin, states in final.items() if len(states) != 1}
    said = [
        (place, record)
        for place, record in zip(seen.places, seen.records, strict=True)
        if (record["origin_partition"], record["origin_offset"]) in twice
    ]
    assert said == []
    assert len(set(seen.places)) == len(seen.places)


def leave(worker: Process) -> float:
    """SIGTERM; return the seconds that it took, and see that it left in order."""
    asked_at = time.monotonic()
    worker.popen.terminate()
    code = worker.popen.wait(SECONDS_MAX)
    assert code == 0, worker.last_lines()
    return time.monotonic() - asked_at


def test_told_to_stop_it_leaves_in_order(kafka: str, prefix: str, tmp_path: Path) -> None:
    """SIGTERM in mid-stream: exit code 0 within 15 s, and the next worker goes on where it stopped: nothing lost."""
    with system(kafka, prefix, tmp_path) as running:
        first = running.worker("first")
        over, counts = threading.Event(), list[int]()
        producing = threading.Thread(target=stream, args=(running, over, counts))
        producing.start()
        try:
            running.ended(200)
            seconds = leave(first)
            running.worker("second")
        finally:
            over.set()
            producing.join()
        assert seconds < LEAVE_SECONDS_MAX
        assert "Traceback" not in first.log_file.read_text(encoding="utf-8")
        assert_each_ended_once(running, sum(counts))


def test_a_broker_that_is_gone_for_a_while_is_survived(prefix: str, tmp_path: Path) -> None:
    """The broker is killed in mid-stream and comes back after 10 s: the worker is the same process, and each event
    ends exactly once."""
    with EmbeddedKafka(fast_start=True) as broker, system(broker.bootstrap, prefix, tmp_path) as running:
        worker = running.worker("worker")
        running.wait_for_devices()
        before = running.produce(event(f"user-{n % USERS:06d}", f"kind_{n % 7}", f"before-{n}") for n in range(2000))
        running.ended(300)
        broker.kill()
        with pytest.raises(subprocess.TimeoutExpired):
            worker.popen.wait(OUTAGE_SECONDS)
        broker.restart()
        after = running.produce(event(f"user-{n % USERS:06d}", f"other_{n % 7}", f"after-{n}") for n in range(500))
        assert_each_ended_once(running, before + after)
        assert worker.popen.poll() is None
        assert leave(worker) < SECONDS_MAX
