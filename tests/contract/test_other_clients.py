"""Clients and servers that others wrote: our stand-ins take their pushes, and they understand ours.

Node's own servers need nothing but Node. The packages are looked for below the folder that RINGONCE_TEST_NODE_MODULES
names: `npm install --prefix FOLDER web-push @parse/node-apn standardwebhooks`.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest

from connectors.exchange import Answer, Post
from connectors.http import HttpClient, HttpConfig
from connectors.outcome import Accepted, Device, Outcome, ProviderName, Push
from connectors.simulators import ProviderSimulators, make_authority
from connectors.webhook import WebhookConfig, WebhookConnector

CLIENTS = Path(__file__).parent / "clients"
PACKAGES = ("web-push", "@parse/node-apn", "standardwebhooks")
SECONDS_MAX = 60.0


def find_node() -> str:
    """Return Node.js, or skip."""
    return shutil.which("node") or pytest.skip("there is no Node.js on this machine")


def find_packages() -> str:
    """Return the folder with the packages, or skip."""
    folder = os.environ.get("RINGONCE_TEST_NODE_MODULES")
    if folder is None:
        pytest.skip(f"RINGONCE_TEST_NODE_MODULES names no folder with {', '.join(PACKAGES)}")
    missing = [name for name in PACKAGES if not (Path(folder) / "node_modules" / name).is_dir()]
    assert missing == [], f"not in RINGONCE_TEST_NODE_MODULES: {missing}"
    return folder


@contextmanager
def node(*arguments: str) -> Iterator[str]:
    """While it is entered, a program of `clients` runs; the line that it prints when it is ready."""
    command = [find_node(), str(CLIENTS / arguments[0]), *arguments[1:]]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None, "started with pipes"
        yield process.stdout.readline().strip()
        process.stdin.close()
        assert process.wait(SECONDS_MAX) == 0


def test_nodes_own_servers_get_each_request_once(tmp_path: Path) -> None:
    """HTTP/2 by nghttp2, HTTP/1.1 by llhttp, and a server that takes either; more requests than they have streams."""
    authority = make_authority(tmp_path)

    async def ask(port: int) -> list[str]:
        client = HttpClient(HttpConfig("127.0.0.1", port, str(authority.ca_file)))
        results = await asyncio.gather(
            *(
                client.request(Post("/", (("a", "b"),), (), bytes(size)), SECONDS_MAX, lambda: True)
                for size in range(200)
            )
        )
        kinds = {type(connection).__name__ for connection in client._connections}
        await client.close()
        bodies = [result.body for result in results if isinstance(result, Answer)]
        assert bodies == [b"%d" % size for size in range(200)]
        return sorted(kinds)

    with node("servers.mjs", str(authority.cert_file), str(authority.key_file)) as ports:
        kinds = [asyncio.run(ask(int(port))) for port in ports.split()]
    assert kinds == [["Http2Connection"], ["Http1Connection"], ["Http2Connection"]]


def test_the_stand_ins_take_the_pushes_of_other_clients(tmp_path: Path) -> None:
    """web-push, node-apn and the package of Standard Webhooks get the providers' answers, and are on record."""
    folder = find_packages()

    async def scenario() -> None:
        async with ProviderSimulators(tmp_path) as simulators:
            where = simulators.description()
            device = simulators.apns.new_device()
            where["apns"]["device"] = device
            where["webpush"]["subscription"] = asdict(simulators.webpush.new_subscription())
            where["webhook"]["endpoint"] = simulators.webhook.new_endpoint()
            process = await asyncio.create_subprocess_exec(
                *(find_node(), str(CLIENTS / "senders.mjs"), folder, json.dumps(where)), stdout=subprocess.PIPE
            )
            said, _ = await asyncio.wait_for(process.communicate(), SECONDS_MAX)
            assert json.loads(said) == {
                "webpush": 201,
                "apns": {"sent": [device], "refused": ["BadDeviceToken"]},
                "webhook": 204,
            }
            shown = {entry.provider: (entry.notification_id, entry.collapse_id) for entry in simulators.log.entries}
            assert shown == {
                ProviderName.WEBPUSH: ("web-push", "slot-1"),
                ProviderName.APNS: ("node-apn", "slot-1"),
                ProviderName.WEBHOOK: ("standardwebhooks", ""),
            }

    asyncio.run(scenario())


def test_the_package_of_standard_webhooks_verifies_ours(tmp_path: Path) -> None:
    """With either of two secrets, while one is being changed for the other; not with a third."""
    folder, authority = find_packages(), make_authority(tmp_path)
    ours = ["whsec_" + 32 * letter for letter in ("A", "B")]
    secret_file = tmp_path / "secrets"
    secret_file.write_text("\n".join(ours), encoding="ascii")

    async def send(port: str) -> Outcome:
        config = WebhookConfig(str(secret_file), ca_file=str(authority.ca_file), allow_private_endpoints=True)
        connector = WebhookConnector(config)
        device = Device("d", ProviderName.WEBHOOK, f"https://127.0.0.1:{port}/hook")
        push = Push(str(uuid.uuid4()), "n", "t", device, "Bödy ☃", "B", {"k": "v"}, 60, "c")
        outcome = await connector.send(push, lambda: True)
        await connector.close()
        return outcome

    for secret in (*ours, "whsec_" + 32 * "C"):
        with node("receiver.mjs", folder, str(authority.cert_file), str(authority.key_file), secret) as port:
            outcome = asyncio.run(send(port))
        if secret in ours:
            assert outcome == Accepted(204)
        else:
            assert getattr(outcome, "reason", None) == "unauthorized"
