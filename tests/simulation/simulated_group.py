"""The coordinator of one consumer group: who is in it, who has fallen silent, and who gets which partitions."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Protocol

from tests.simulation.simulated_loop import Actor, SimulatedLoop


class Member(Protocol):
    """A process in the group."""

    @property
    def actor(self) -> Actor: ...

    def rebalance(self) -> None:
        """Called in its own context when a heartbeat tells it to join anew."""


class SimulatedGroup:
    """Eager rebalancing: all members join anew, then all partitions are given out anew. Durations in seconds."""

    def __init__(
        self, loop: SimulatedLoop, chance: Random, partitions: int, session: float, heartbeat: float, rebalance: float
    ) -> None:
        self._loop = loop
        self._chance = chance
        self._partitions = partitions
        self._session = session
        self._heartbeat = heartbeat
        self._rebalance = rebalance
        self._members: dict[Member, None] = {}
        self._joined: dict[Member, asyncio.Future[list[int]]] = {}
        self._silent: dict[Member, asyncio.TimerHandle] = {}
        self._joining = 0
        self.generation = 0
        self.owners: dict[int, Member] = {}

    def join(self, member: Member, answer: asyncio.Future[list[int]]) -> None:
        """Take a member; `answer` gets its partitions when all have joined."""
        self._members[member] = None
        self._joined[member] = answer
        self._begin()
        self._look()

    def leave(self, member: Member) -> None:
        """A member goes, of itself or because nothing was heard of it."""
        self._forget(member)
        self._begin()
        self._look()

    def silent(self, member: Member) -> None:
        """From now on nothing is heard of it, for the time being."""
        if member in self._members and member not in self._silent:
            left = self._session - self._chance.random() * self._heartbeat
            context = self._loop.outside.context
            self._silent[member] = self._loop.call_later(left, self.leave, member, context=context)

    def heard(self, member: Member) -> None:
        """It is there again; if that was too late, its next heartbeat says so."""
        timer = self._silent.pop(member, None)
        if timer is not None:
            timer.cancel()
        if member not in self._members:
            self._tell(member)

    def _forget(self, member: Member) -> None:
        self._members.pop(member, None)
        self._joined.pop(member, None)
        timer = self._silent.pop(member, None)
        if timer is not None:
            timer.cancel()

    def _tell(self, member: Member) -> None:
        seconds = self._chance.random() * self._heartbeat
        self._loop.call_later(seconds, member.rebalance, context=member.actor.context)

    def _begin(self) -> None:
        if self._joining or not self._members:
            return
        self.generation += 1
        self._joining = self.generation
        for member in self._members:
            if member not in self._joined:
                self._tell(member)
        context = self._loop.outside.context
        self._loop.call_later(self._rebalance, self._give_up, self._joining, context=context)
        # The first one waits for the others, as group.initial.rebalance.delay.ms has it.
        self._loop.call_later(self._chance.choice((0.0, 0.1, 3.0)), self._look, context=context)

    def _give_up(self, joining: int) -> None:
        if self._joining != joining:
            return
        for member in [each for each in self._members if each not in self._joined]:
            self._forget(member)
            self._tell(member)
        self._look()

    def _look(self) -> None:
        if not self._joining or not self._members or len(self._joined) < len(self._members):
            return
        self._joining = 0
        members = list(self._members)
        self._chance.shuffle(members)
        joined, self._joined = self._joined, {}
        self.owners = {
            partition: members[number % len(members)]
            for number, partition in enumerate(self._chance.sample(range(self._partitions), self._partitions))
        }
        for member in members:
            owned = sorted(partition for partition, owner in self.owners.items() if owner is member)
            answer = joined[member]
            if not answer.done():
                answer.set_result(owned)
