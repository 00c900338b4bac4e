"""What a command does stands in the audit log first, or is not done."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import typer

from streams.codec import open_codec
from streams.commands.written_down import Doing, note_afterwards, written_down
from tests.unit.front_bench import front_settings

DOING = Doing("user.erase", "forget ada", "operator")


def test_what_cannot_be_written_down_is_not_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No Kafka answers here: the command ends before it has begun, and says so."""
    settings, done = front_settings(tmp_path), False

    async def main() -> None:
        nonlocal done
        async with written_down(settings, open_codec(settings), DOING):
            done = True

    with pytest.raises(typer.Exit):
        asyncio.run(asyncio.wait_for(main(), 30))
    assert not done
    said = capsys.readouterr().err
    assert "nothing was done" in said
    assert "127.0.0.1:9" in said


def test_what_must_be_possible_without_kafka_is_done_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Revoking a key waits for nobody."""
    note_afterwards(front_settings(tmp_path), "key.revoke", "keys revoke 0123456789ab")
    assert "not in the audit log" in capsys.readouterr().err
