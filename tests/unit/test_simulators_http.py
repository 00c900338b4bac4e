"""The servers keep to HTTP/2 (RFC 9113), HTTP/1.1 and TLS, also with peers that do not."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import h2.settings
import httpx
import pytest
from cryptography import x509
from h2.errors import ErrorCodes

from connectors.simulators import Fault, ProviderSimulators, make_authority
from connectors.simulators.http2_request import parse
from tests.unit.simulator_bench import Bench, Call
from tests.unit.simulator_probe import Answer, Probe, connect


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One set of simulators for the module; no test depends on what another left."""
    with Bench(tmp_path_factory.mktemp("http")) as started:
        yield started


STREAMS = h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS


def test_max_concurrent_streams_is_announced(bench: Bench) -> None:
    """The first SETTINGS say how many streams may be open."""

    async def talk() -> Probe:
        probe = await connect(bench.sims.fcm.url, bench.tls)
        await probe.until(lambda: bool(probe.settings))
        probe.transport.close()
        return probe

    assert bench.run(talk()).settings[STREAMS] == 1000


def test_apns_gives_one_stream_until_it_has_seen_a_good_token(bench: Bench) -> None:
    """A refused token leaves it at that, a good one opens the others, also where the push itself is refused."""
    call = bench.apns_call()

    async def talk() -> list[int]:
        probe = await connect(call.url, bench.tls)
        await probe.until(lambda: bool(probe.settings))
        streams = [probe.settings[STREAMS]]
        for each in (call.with_header("authorization", "bearer x"), call.with_header("apns-topic", None)):
            await probe.until_ended(*probe.send(each))
            streams.append(probe.settings[STREAMS])
        probe.transport.close()
        return streams

    assert bench.run(talk()) == [1, 1, 1000]


def test_a_stream_too_many_is_refused(tmp_path: Path) -> None:
    """RST_STREAM says that it was not processed; the number can be set, and finished streams do not count."""
    with Bench(tmp_path) as bench:
        bench.sims.webpush.listener.max_concurrent_streams = 2
        call = bench.webpush_call()
        assert [response.status_code for response in bench.send(*[call] * 5)] == [201] * 5
        bench.sims.webpush.faults.set(Fault.HANG_BEFORE)

        async def talk() -> list[Answer]:
            probe = await connect(call.url, bench.tls)
            await probe.until(lambda: bool(probe.settings))
            probe.h2.remote_settings[STREAMS] = 100
            probe.h2.remote_settings.acknowledge()
            answers = probe.send(*[call] * 3)
            await probe.until(lambda: any(answer.reset_code is not None for answer in answers))
            probe.transport.close()
            return answers

        codes = Counter(answer.reset_code for answer in bench.run(talk()))
        assert codes == {None: 2, ErrorCodes.REFUSED_STREAM: 1}
        assert bench.sims.webpush.counts.requests == 5


def test_many_streams_at_once_are_all_answered(bench: Bench) -> None:
    """A thousand requests in one write are a thousand answers."""
    call = bench.apns_call()

    async def talk() -> list[Answer]:
        probe = await connect(call.url, bench.tls)
        answers = probe.send(call)
        await probe.until_ended(*answers)
        for _ in range(10):
            # Within the flow-control window that the server opens at first.
            answers += probe.send(*[call] * 100)
            await probe.until_ended(*answers)
        probe.transport.close()
        return answers

    assert {answer.status for answer in bench.run(talk())} == {200}


def test_a_body_waits_for_the_window_of_the_client(bench: Bench) -> None:
    """An answer that is larger than the client's window comes in parts, and whole."""
    call = bench.apns_call().with_header("apns-topic", None)

    async def talk() -> Answer:
        probe = await connect(call.url, bench.tls)
        probe.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 5})
        [answer] = probe.send(call)
        await probe.until(lambda: answer.ended)
        probe.transport.close()
        return answer

    answer = bench.run(talk())
    assert (answer.status, answer.body) == (400, b'{"reason": "MissingTopic"}')


def test_a_cancelled_request_is_forgotten(bench: Bench) -> None:
    """A stream that the client resets before its end is neither recorded nor in the way of the next."""
    recorded = len(bench.sims.log.entries)
    call = bench.apns_call()

    async def talk() -> Answer:
        probe = await connect(call.url, bench.tls)
        pseudo = [(":method", "POST"), (":scheme", "https"), (":authority", "localhost"), (":path", "/3/device/x")]
        probe.h2.send_headers(1, [*pseudo, *call.headers])
        probe.h2.reset_stream(1, ErrorCodes.CANCEL)
        [answer] = probe.send(call)
        await probe.until(lambda: answer.ended)
        probe.transport.close()
        return answer

    assert bench.run(talk()).status == 200
    assert len(bench.sims.log.entries) == recorded + 1


PSEUDO = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"localhost"), (b":path", b"/")]
MALFORMED: dict[str, list[tuple[bytes, bytes]]] = {
    "capital in a name": [*PSEUDO, (b"Ttl", b"1")],
    "space in a name": [*PSEUDO, (b"t tl", b"1")],
    "empty name": [*PSEUDO, (b"", b"1")],
    "line feed in a value": [*PSEUDO, (b"ttl", b"1\nx: y")],
    "null in a value": [*PSEUDO, (b"ttl", b"1\x00")],
    "space around a value": [*PSEUDO, (b"ttl", b" 1")],
    "connection header": [*PSEUDO, (b"connection", b"close")],
    "transfer coding": [*PSEUDO, (b"transfer-encoding", b"chunked")],
    "te": [*PSEUDO, (b"te", b"gzip")],
    "pseudo-header after a header": [*PSEUDO[:3], (b"ttl", b"1"), PSEUDO[3]],
    "pseudo-header twice": [*PSEUDO, PSEUDO[0]],
    "unknown pseudo-header": [*PSEUDO, (b":status", b"200")],
    "no method": PSEUDO[1:],
    "no path": PSEUDO[:3],
    "empty path": [*PSEUDO[:3], (b":path", b"")],
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_is_not_a_request(name: str) -> None:
    """What RFC 9113 section 8 calls malformed is found, whatever was seen before."""
    assert parse([*PSEUDO, (b"ttl", b"1"), (b"te", b"trailers")], 1, 1) is not None
    assert parse(MALFORMED[name], 1, 1) is None


def test_a_malformed_request_resets_its_stream(bench: Bench) -> None:
    """A malformed request is a stream error PROTOCOL_ERROR, and the connection goes on."""
    call = bench.apns_call()
    bad = replace(call, headers=[*call.headers, ("te", "gzip")])

    async def talk() -> list[Answer]:
        probe = await connect(call.url, bench.tls)
        await probe.until_ended(*probe.send(call))
        answers = probe.send(bad, call)
        await probe.until(lambda: answers[1].ended)
        probe.transport.close()
        return answers

    refused, answered = bench.run(talk())
    assert (refused.reset_code, answered.status) == (ErrorCodes.PROTOCOL_ERROR, 200)


def test_garbage_ends_the_connection(bench: Bench) -> None:
    """Bytes that are no legal frame are answered with a GOAWAY and the end."""

    async def talk() -> Probe:
        probe = await connect(bench.sims.apns.url, bench.tls)
        # SETTINGS of five bytes; their length must be a multiple of six (RFC 9113 section 6.5).
        probe.transport.write(b"\x00\x00\x05\x04\x00" + bytes(4) + b"\xff" * 5)
        await probe.until(lambda: probe.closed)
        return probe

    probe = bench.run(talk())
    assert probe.goaway is not None
    assert probe.goaway.error_code != ErrorCodes.NO_ERROR


def test_http_1_1_connections_are_kept(bench: Bench) -> None:
    """Several requests go over one HTTP/1.1 connection."""
    calls = [bench.webpush_call() for _ in range(3)]
    responses = bench.send(*calls, http2=False)
    assert [(response.status_code, response.http_version) for response in responses] == [(201, "HTTP/1.1")] * 3
    connections = {shown.connection for shown in bench.sims.log.entries[-3:]}
    streams = [shown.stream for shown in bench.sims.log.entries[-3:]]
    assert (len(connections), streams) == (1, [1, 2, 3])


def test_garbage_over_http_1_1_is_a_bad_request(bench: Bench) -> None:
    """Bytes that are no HTTP are answered 400 and the end."""

    async def talk() -> bytes:
        tls = ssl.create_default_context(cafile=bench.sims.ca_file)
        port = bench.sims.webpush.listener.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
        writer.write(b"garbage\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return answer

    assert bench.run(talk()).startswith(b"HTTP/1.1 400")


def test_a_stranger_certificate_is_not_trusted(bench: Bench, tmp_path: Path) -> None:
    """A client that trusts another authority does not connect."""
    bench_tls, bench.tls = bench.tls, ssl.create_default_context(cafile=make_authority(tmp_path).ca_file)
    try:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            bench.send_one(Call(bench.sims.webpush.url, []))
    finally:
        bench.tls = bench_tls


def test_the_certificate_is_for_the_loopback(tmp_path: Path) -> None:
    """The server certificate names localhost and both loopback addresses; its key is for its owner only."""
    authority = make_authority(tmp_path)
    certificate = x509.load_pem_x509_certificate(authority.cert_file.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    assert authority.key_file.stat().st_mode & 0o077 == 0


def test_under_a_name_of_its_own_it_serves_other_machines_too(tmp_path: Path) -> None:
    """With a host the services name it in their URLs, show a certificate for it, and listen on every address."""

    async def main() -> None:
        async with ProviderSimulators(tmp_path, host="simulators.test") as simulators:
            apns = urlsplit(simulators.apns.url)
            assert apns.hostname == "simulators.test"
            context = ssl.create_default_context(cafile=simulators.ca_file)
            context.set_alpn_protocols(["h2"])
            _, writer = await asyncio.open_connection(
                "127.0.0.2", apns.port, ssl=context, server_hostname="simulators.test"
            )
            names = writer.get_extra_info("peercert")["subjectAltName"]
            writer.transport.abort()
            assert ("DNS", "simulators.test") in names

    asyncio.run(asyncio.wait_for(main(), 20))
