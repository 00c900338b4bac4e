"""What played worlds really did, as diagrams: which stage reads and writes which topic, and which state follows which.

docs/concepts.md is written from here, so that no arrow is in it that the code does not draw, and none is missing.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from schemas.codec import Codec
from schemas.records import FINAL_STATES
from streams.lane.step import Step
from streams.lane.transaction import PartitionTransaction
from streams.topics import STREAMS
from tests.simulation.scenario import scenario_of
from tests.simulation.world import World, simulated

SEEDS: Final = range(1, 41)
# Everybody reads them, and every stage writes them: arrows to them would hide the others.
START: Final = "[*]"
STAGES: Final = ("suppress", "schedule", "deliver", "broadcast")
ASIDE: Final = frozenset(("statuses", "dead-letters", "answers"))


class Arrow(NamedTuple):
    """From one state to another, and the stage that decided it."""

    before: str
    after: str
    stage: str


class Drawn(NamedTuple):
    """What was seen: topics that each stage reads, and writes; arrows between states."""

    reads: dict[str, set[str]]
    writes: dict[str, set[str]]
    arrows: set[Arrow]


@contextmanager
def _watched(reads: dict[str, set[str]], writes: dict[str, set[str]]) -> Iterator[None]:
    """Note what each step reads and writes."""
    commit = PartitionTransaction.commit

    async def noted(self: PartitionTransaction, step: Step) -> None:
        reads[self.stage].update(topic for topic, _ in step.offsets)
        writes[self.stage].update(topic for (topic, _), records in step.outputs.items() if records)
        await commit(self, step)

    PartitionTransaction.commit = noted  # type: ignore[method-assign]  # the one place where all steps pass
    try:
        yield
    finally:
        PartitionTransaction.commit = commit  # type: ignore[method-assign]  # as it was


def draw(seeds: range = SEEDS) -> Drawn:
    """Play the worlds of these seeds and note what happens."""
    reads: dict[str, set[str]] = defaultdict(set)
    writes: dict[str, set[str]] = defaultdict(set)
    arrows: set[Arrow] = set()
    with tempfile.TemporaryDirectory() as directory, _watched(reads, writes):
        for seed in seeds:
            with simulated(scenario_of(seed), Path(directory) / str(seed)) as world:
                world.run()
                arrows |= _arrows(world)
    return Drawn(_short(reads), _short(writes), arrows)


def _short(topics: dict[str, set[str]]) -> dict[str, set[str]]:
    """Topics by the names that they have without a prefix."""
    names = {spec.name for spec in STREAMS}
    return {
        stage: {name for topic in found for name in names if topic == name or topic.endswith(f".{name}")}
        for stage, found in topics.items()
    }


def _arrows(world: World) -> set[Arrow]:
    """Which state of an event follows which; answers of single devices (ATTEMPTED) are no states of the event."""
    codec = Codec()
    last: dict[tuple[int, int], str] = {}
    arrows: set[Arrow] = set()
    for _, record in world.broker.records(world.topics.statuses):
        status = codec.decode(record.value, ("Status",)).record
        if status["state"] == "ATTEMPTED":
            continue
        origin = (status["origin_partition"], status["origin_offset"])
        before = last.get(origin, START)
        last[origin] = status["state"]
        if before != status["state"]:
            arrows.add(Arrow(before, status["state"], status["stage"]))
    return arrows


def stages_diagram(drawn: Drawn) -> str:
    """The stages and the topics between them, for Mermaid."""
    lines = ["flowchart LR"]
    for stage in STAGES:
        lines.append(f"  {stage}[[{stage}]]")
    topics = sorted(
        {topic for found in (drawn.reads, drawn.writes) for names in found.values() for topic in names} - ASIDE
    )
    lines += [f"  {_id(topic)}({topic})" for topic in topics]
    for stage in STAGES:
        lines += [f"  {_id(topic)} --> {stage}" for topic in sorted(drawn.reads[stage] - ASIDE)]
        lines += [f"  {stage} --> {_id(topic)}" for topic in sorted(drawn.writes[stage] - ASIDE)]
    return "\n".join(lines)


def states_diagram(drawn: Drawn) -> str:
    """The states of an event, for Mermaid; the stage that decides is on the arrow."""
    lines = ["stateDiagram-v2"]
    for before, after in sorted({(arrow.before, arrow.after) for arrow in drawn.arrows}):
        stages = sorted(arrow.stage for arrow in drawn.arrows if (arrow.before, arrow.after) == (before, after))
        lines.append(f"  {before} --> {after}: {', '.join(stages)}")
    reached = {arrow.after for arrow in drawn.arrows}
    lines += [f"  {state} --> [*]" for state in sorted(reached & set(FINAL_STATES))]
    return "\n".join(lines)


def _id(topic: str) -> str:
    return topic.replace("-", "_") + "_topic"
