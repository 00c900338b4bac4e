"""The page on state names every code that an explanation may have, and the fields that answers have."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner

from streams.cli import command_line
from streams.commands.explain import lines
from streams.policies.explaining import Code
from streams.policies.foreseeing import OutlookCode
from streams.web.contract.stories import Explanation, Story

PAGE = (Path(__file__).parents[2] / "docs" / "state.md").read_text(encoding="utf-8")


def codes_of(heading: str) -> set[str]:
    """The codes in the table under this heading."""
    table = PAGE.split(f"| `{heading}` |")[1].split("\n\n")[0]
    return {code for line in table.splitlines() for code in re.findall(r"`([A-Z_]{4,})`", line.split("|")[1:2][0])}


def test_each_code_is_explained() -> None:
    """And none that there is not."""
    assert codes_of("notification.code") == set(get_args(Code))
    assert codes_of("now.code") == set(get_args(OutlookCode))


def test_the_fields_are_named() -> None:
    """Those that a story and an explanation have besides each other's."""
    for name in {*Story.model_fields, *Explanation.model_fields}:
        assert f"`{name}`" in PAGE or f'"{name}"' in PAGE, name


EVENT = {
    "sentence": "o-1 was given up.",
    "code": "DEAD",
    "event": {"topic": "notifications", "partition": 3, "offset": 17},
    "dead_letter": {"topic": "dead-letters", "partition": 2, "code": None, "reason": "why"},
}
SLOT = {"sentence": "the slot a:b is free.", "until": None}
NOW = {"sentence": "one sent now would be held.", "until": 1_800_000_000_000}


def test_the_command_says_it_in_sentences() -> None:
    """The event with its code and place, where its letter is, the slot, and the next one with its instant."""
    said = lines({"notification": EVENT, "slot": SLOT, "now": NOW})
    assert said[0] == "o-1 was given up. (DEAD, notifications-3@17)"
    assert "dead-letters, partition 2" in said[1]
    assert said[2:] == ["The slot a:b is free.", "One sent now would be held. (until 2027-01-15T08:00:00.000Z)"]
    assert lines({"notification": None, "slot": SLOT})[0].startswith("Nothing was decided on")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["alice"], "name USER and TYPE"),
        (["alice", "news", "--event", "3@17"], "--event stands for itself"),
        (["--event", "three"], "--event: 'three' must be PARTITION@OFFSET"),
    ],
)
def test_a_question_that_cannot_be_is_refused(arguments: list[str], words: str) -> None:
    """With 2, and what to do instead."""
    done = CliRunner().invoke(command_line(), ["explain", *arguments])
    assert done.exit_code == 2
    assert words in done.output
