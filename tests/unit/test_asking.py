"""A command asks again while partitions move, and not for ever."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import typer

from streams.commands import asking

MOVING = (503, b'{"detail": "the partition of this slot is moving to another worker"}')


@contextmanager
def worker(*answers: tuple[int, bytes]) -> Iterator[tuple[str, list[str]]]:
    """A worker that gives one answer after the other, and the last one again and again; with what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers[min(len(asked), len(answers) - 1)]
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing on the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/slots/ada/order", asked
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "AGAIN_SECONDS", 0.02)
    monkeypatch.setattr(asking, "MOVING_SECONDS_MAX", 0.3)


def test_it_asks_again_while_the_partition_moves() -> None:
    with worker(MOVING, MOVING, (200, b'{"state": "FREE"}')) as (url, asked):
        assert asking.get(url, {"a": "1"}) == {"state": "FREE"}
    assert asked == ["/slots/ada/order?a=1"] * 3


def test_what_keeps_moving_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with worker(MOVING) as (url, asked), pytest.raises(typer.Exit):
        asking.get(url)
    assert "is moving to another worker" in capsys.readouterr().err
    assert len(asked) > 2


def test_nothing_else_is_asked_again() -> None:
    with worker((404, b'{"detail": "no such type"}'), (200, b"{}")) as (url, asked), pytest.raises(typer.Exit):
        asking.get(url)
    assert len(asked) == 1
