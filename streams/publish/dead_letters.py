"""Reads `dead-letters`, and replays letters: each at most once, whoever asks, and however often.

A replay is one transaction of two records, the one for `notifications` and a Replay on `replays`. The transactional id
belongs to the partition of the letter. So whoever begins fences and aborts whoever was at it before, and only then
reads which letters have been replayed: what it does not see there is not, and cannot be any more.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple, cast

from aiokafka import AIOKafkaProducer

from schemas.codec import Codec
from schemas.keys import partition_of, split_slot_key
from schemas.poison import PoisonError
from schemas.records import DeadLetter
from streams.audit.reading import TopicReader
from streams.policies.replaying import REPLAYS_HEADER, Again, Refused, replay_of
from streams.settings import Settings, kafka_client_options
from streams.stages.dead_letters import KEY_BYTES_MAX, VALUE_BYTES_MAX
from streams.stages.origin import ORIGIN_HEADER
from streams.topics import TopicNames

# What holds a notification that suppress has let pass. A Retry may be for some of its devices only, so it is none.
ADMITTED_RECORDS = ("Delivery", "Due", "Deferral", "LocalDeferral")


class Letter(NamedTuple):
    """One letter and where it stands. `notification` is None where the record cannot be read."""

    partition: int
    offset: int
    record: DeadLetter
    notification: Mapping[str, Any] | None
    admitted: bool

    @property
    def place(self) -> str:
        return f"{self.partition}@{self.offset}"

    @property
    def type(self) -> str | None:
        """The notification type, as far as record or key tell."""
        if self.notification is not None:
            return str(self.notification["type"])
        try:
            return split_slot_key(self.record["key"] or b"")[1]
        except PoisonError:
            return None


class Wanted(NamedTuple):
    """Which letters; None: whichever. Instants in milliseconds since the epoch, `until` excluded."""

    code: str | None = None
    type: str | None = None
    notification_id: str | None = None
    since: int | None = None
    until: int | None = None
    places: frozenset[tuple[int, int]] | None = None

    def takes(self, letter: Letter) -> bool:
        """Whether this letter is meant."""
        record = letter.record
        return (
            (self.places is None or (letter.partition, letter.offset) in self.places)
            and (self.code is None or record["code"] == self.code)
            and (self.type is None or letter.type == self.type)
            and (self.notification_id is None or record.get("notification_id") == self.notification_id)
            and (self.since is None or record["at"] >= self.since)
            and (self.until is None or record["at"] < self.until)
        )


class Replayed(NamedTuple):
    """What became of one letter: replayed as `notification_id` (None: it cannot be read), or why not."""

    letter: Letter
    notification_id: str | None
    refused: str | None


class DeadLetters:
    """Raises what aiokafka raises when Kafka cannot be reached, and RecordUnreadableError."""

    def __init__(self, settings: Settings, codec: Codec) -> None:
        self._settings = settings
        self._codec = codec
        self._topics = TopicNames.of(settings)

    async def find(self, wanted: Wanted, limit: int) -> list[Letter]:
        """Return the letters that are wanted, oldest first within a partition, at most so many."""
        found: list[Letter] = []
        async with aclosing(self._letters(wanted)) as letters:
            async for letter in letters:
                if len(found) >= limit:
                    break
                found.append(letter)
        return found

    async def replay(self, letters: Sequence[Letter], requested_by: str, force: bool = False) -> list[Replayed]:
        """Replay letters that were found; one that was replayed before is refused."""
        done: list[Replayed] = []
        for partition in sorted({letter.partition for letter in letters}):
            producer = AIOKafkaProducer(
                transactional_id=f"{self._settings.app_id}-replay-{partition}",
                transaction_timeout_ms=int(self._settings.transaction_timeout_seconds * 1000),
                **kafka_client_options(self._settings),
            )
            await producer.start()  # from here on nobody else replays letters of this partition
            try:
                before = await self._replayed(partition)
                for letter in letters:
                    if letter.partition != partition:
                        continue
                    done.append(await self._replay_one(producer, letter, before, requested_by, force))
                    before.add(letter.offset)
            finally:
                await producer.stop()
        return done

    async def _replay_one(
        self, producer: Any, letter: Letter, before: set[int], requested_by: str, force: bool
    ) -> Replayed:
        refused = "it was replayed before" if letter.offset in before else _not_whole(letter.record)
        headers = [(header["key"], header["value"]) for header in letter.record["headers"]]
        old_id = None if letter.notification is None else str(letter.notification["notification_id"])
        if refused is None:
            decision = replay_of(old_id, letter.admitted, headers, letter.record.get("history", []), force)
            if isinstance(decision, Again):
                return await self._send(producer, letter, decision, headers, requested_by)
            assert isinstance(decision, Refused)
            refused = decision.reason
        return Replayed(letter, None, refused)

    async def _send(
        self,
        producer: Any,
        letter: Letter,
        again: Again,
        headers: Sequence[tuple[str, bytes | None]],
        requested_by: str,
    ) -> Replayed:
        topics, key, value = self._topics, letter.record["key"], letter.record["value"]
        notification = letter.notification
        notification_id = again.notification_id
        if notification_id is None:
            notification_id = None if notification is None else str(notification["notification_id"])
        else:
            assert notification is not None, "only what can be read gets another id"
            notification = {**notification, "notification_id": notification_id}
            key = f"{notification['user_id']}:{notification['type']}".encode()
            value = self._codec.encode("Notification", notification, topics.notifications)
        # Where it first came from is another event, which has its final state: this one is new.
        kept = [header for header in headers if header[0] not in (REPLAYS_HEADER, ORIGIN_HEADER)]
        if again.notification_id is not None:
            kept = []  # those of an inner topic
        kept.append((REPLAYS_HEADER, b"%d" % again.replays))
        marker = {
            "partition": letter.partition,
            "offset": letter.offset,
            "at": time.time_ns() // 1_000_000,
            "requested_by": requested_by,
            "notification_id": notification_id,
        }
        partition = letter.partition if key is None else partition_of(key, self._settings.partitions)
        async with producer.transaction():
            await producer.send_and_wait(topics.notifications, value, key, partition, headers=kept)
            await producer.send_and_wait(
                topics.replays,
                self._codec.encode("Replay", marker, topics.replays),
                letter.record["key"],
                letter.partition,
            )
        return Replayed(letter, notification_id, None)

    async def _letters(self, wanted: Wanted) -> AsyncGenerator[Letter]:
        topic, partitions = self._topics.dead_letters, self._settings.partitions
        async with TopicReader(kafka_client_options(self._settings)) as reader:
            starts = await reader.starts(topic, partitions, wanted.since)
            for partition, end in (await reader.ends(topic, partitions)).items():
                start = starts[partition]
                if wanted.places is not None:
                    offsets = [offset for number, offset in wanted.places if number == partition]
                    if not offsets:
                        continue
                    start, end = max(start, min(offsets)), min(end, max(offsets) + 1)
                async for records in reader.read(topic, partition, start, end):
                    for record in records:
                        letter = self._letter(record)
                        if letter is not None and wanted.takes(letter):
                            yield letter

    def _letter(self, record: Any) -> Letter | None:
        try:
            letter = cast(DeadLetter, self._codec.decode(record.value, ("DeadLetter",)).record)
        except PoisonError:
            return None  # not of ours: nobody but the stages may write here
        notification: Mapping[str, Any] | None = None
        admitted = letter["topic"] != self._topics.notifications
        try:
            name, inner = self._codec.decode(letter["value"], ("Notification", *ADMITTED_RECORDS))
            admitted = admitted or name != "Notification"
            if inner.get("attempt", 1) == 1 or letter.get("history"):
                notification = inner.get("notification", inner)
            # else other devices may have it, and nothing here says whether
        except PoisonError:
            pass
        return Letter(record.partition, record.offset, letter, notification, admitted)

    async def _replayed(self, partition: int) -> set[int]:
        """Return the offsets of the letters of one partition that have been replayed."""
        topic, found = self._topics.replays, set()
        async with TopicReader(kafka_client_options(self._settings)) as reader:
            starts = await reader.starts(topic, self._settings.partitions, None)
            end = (await reader.ends(topic, self._settings.partitions))[partition]
            async for records in reader.read(topic, partition, starts[partition], end):
                for record in records:
                    found.add(self._codec.decode(record.value, ("Replay",)).record["offset"])
        return found


def _not_whole(letter: DeadLetter) -> str | None:
    """Say why a letter does not hold its record byte for byte, if it does not."""
    if len(letter["value"] or b"") >= VALUE_BYTES_MAX or len(letter["key"] or b"") >= KEY_BYTES_MAX:
        return "it is too large to be passed on"
    if "are not kept)" in letter["reason"]:
        return "its headers were not kept"
    if letter["value"] is None:
        return "there is nothing to replay"
    return None
