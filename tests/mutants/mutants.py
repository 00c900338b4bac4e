"""The mutants: each a small patch of the product that breaks one promise, and the suites that must notice.

`where` is a file or a pattern of files; `old` must be there exactly once.
"""

from __future__ import annotations

from typing import Final, NamedTuple

SIMULATION: Final = "simulation"  # python -m tests.simulation; the other suites are files or folders for pytest


class Mutant(NamedTuple):
    """`breaks`: the promise, P1 to P4. `suites`: run in their order until one fails.

    `silent`: why the whole-system simulation can't see it, empty where it must.
    """

    name: str
    breaks: str
    where: str
    old: str
    new: str
    suites: tuple[str, ...]
    silent: str = ""


_DELIVER: Final = "streams/stages/deliver*.py"
_SUPPRESS: Final = "streams/stages/suppress_step.py"
_LANE_TESTS: Final = "tests/simulation/test_deliver_lane.py"
_DEADLINES: Final = "tests/simulation/test_deliver_deadlines.py"
_SLOT_TESTS: Final = "tests/simulation/test_slots_over_owners.py"
_CRASH_REPLAY: Final = "tests/properties/test_crash_replay.py"
_MODEL: Final = "tests/properties/test_suppression_model.py"
_SUPPRESSION: Final = "tests/unit/test_suppression.py"
_DELIVERING: Final = "tests/unit/test_delivering.py"
_SCHEDULE_STORE: Final = "tests/simulation/test_schedule_store.py"
_SCHEDULE_COMMANDS: Final = "tests/simulation/test_schedule_commands.py"
_QUIET: Final = "tests/simulation/test_quiet_hours_line.py"
_SERVICES: Final = "tests/simulation/test_deliver_services.py"
_OUTAGE: Final = "it costs notifications that may have been sent, which are allowed to be lost to it"
_CAPPING: Final = "streams/policies/capping.py"
_CAP_ROWS: Final = "streams/stages/cap_rows.py"
_CAPPING_TESTS: Final = "tests/unit/test_capping.py"
_CAP_MODEL: Final = "tests/properties/test_capping_model.py"
_CAP_LANE: Final = "tests/simulation/test_cap_lane.py"
_TELLING: Final = "streams/stages/broadcast_tell.py"
_BROADCAST: Final = "tests/simulation/test_broadcast.py"
_BROADCAST_CRASHES: Final = "tests/simulation/test_broadcast_crashes.py"
_USER_DEVICES: Final = "streams/stages/user_devices.py"
_DEVICES_TESTS: Final = "tests/simulation/test_user_devices.py"
_DEVICES_LANE: Final = "tests/simulation/test_deliver_devices.py"
_DEVICES_MODEL: Final = "tests/properties/test_user_devices.py"
_NO_CHANGES: Final = "nobody changes a device in the simulation"
_ERASURE: Final = "tests/simulation/test_erasure.py"
_FORGET: Final = "tests/simulation/test_forget.py"
_ERASURE_TURN: Final = "tests/simulation/test_erasure_turn.py"
_NO_ERASURE: Final = "in its worlds nobody is erased"
_BELOW: Final = "the simulation stands above this layer; it is shown on a real connection"

MUTANTS: Final = (
    # --- the order of claim, request, outcome and offset
    Mutant(
        "claim after the request",
        "P2",
        _DELIVER,
        "                await self.commit(step)\n        except",
        "                for attempt in attempts:\n                    self._requests.start(attempt)\n"
        "                attempts = []\n                await self.commit(step)\n        except",
        (_LANE_TESTS, SIMULATION),
    ),
    Mutant(
        "offset before the outcome",
        "P3",
        "streams/stages/deliver_intake.py",
        "                queue.add(read_entry(record, topic, codec, settings))\n",
        "                queue.add(read_entry(record, topic, codec, settings))\n"
        "                offsets.done(record.offset)\n",
        (_LANE_TESTS, SIMULATION),
    ),
    Mutant(
        "committed past one in flight",
        "P3",
        "streams/stages/offsets.py",
        "return self._open[0] if self._open else self._position",
        "return self._position",
        ("tests/unit/test_offsets.py", _LANE_TESTS, SIMULATION),
    ),
    Mutant(
        "state before the commit",
        "P3",
        "streams/lane/transaction.py",
        "            # 5. Now it has happened.\n",
        "            for table, changes, batches in applied:\n"
        "                table.apply(self.partition, changes, max(batch.last_offset() for batch in batches))\n",
        ("tests/unit/test_transaction_step.py", SIMULATION),
    ),
    Mutant(
        "no fence",
        "P1",
        "streams/lane/transaction.py",
        'transactional_id=f"{group}-{stage}-{partition}",',
        'transactional_id=f"{group}-{stage}-{partition}-{id(self)}",',
        (SIMULATION,),
    ),
    Mutant(
        "recovery reads uncommitted records",
        "P3",
        "streams/lane/changelog.py",
        'isolation_level="read_committed"',
        'isolation_level="read_uncommitted"',
        (SIMULATION,),
    ),
    Mutant(
        "inputs are read uncommitted",
        "P3",
        "streams/lane/consumer.py",
        'isolation_level="read_committed"',
        'isolation_level="read_uncommitted"',
        ("tests/integration/test_lane_faust_holes.py",),
        "the simulation plays Faust's consumer itself",
    ),
    Mutant(
        "a missing chunk goes unnoticed",
        "P3",
        "streams/lane/lane.py",
        "        if chunk.start != received:\n",
        "        if chunk.start < received:\n",
        ("tests/unit/test_lane_queue.py", SIMULATION),
    ),
    # --- what is certain and what is not
    Mutant(
        "unknown is sent again",
        "P1",
        _DELIVER,
        "        if entry.policy.resend_unknown:\n",
        "        if entry.attempt:\n",
        (_LANE_TESTS, SIMULATION),
    ),
    Mutant(
        "a 5xx of APNs is certainly not sent",
        "P1",
        "connectors/apns/response.py",
        "return Unknown(reason, answer.status",
        "return NotSent(reason, True, answer.status",
        ("tests/unit/test_apns_response.py", SIMULATION),
    ),
    Mutant(
        "a 5xx of FCM is certainly not sent",
        "P1",
        "connectors/fcm/response.py",
        "return Unknown(code, answer.status",
        "return NotSent(code, True, answer.status",
        ("tests/unit/test_fcm_response.py", SIMULATION),
    ),
    Mutant(
        "a request without an answer is certainly not sent",
        "P1",
        "connectors/http/outcomes.py",
        "    if failure.may_have_arrived:\n",
        '    if failure.may_have_arrived and failure.reason != "timeout":\n',
        ("tests/integration/test_connectors_conformance.py", SIMULATION),
    ),
    Mutant(
        "GOAWAY refuses what is below its last id too",
        "P1",
        "connectors/http2/session.py",
        "for stream_id in [open_id for open_id in self._streams if open_id > last_id]:",
        "for stream_id in list(self._streams):",
        ("tests/unit/test_http2_session.py",),
        _BELOW,
    ),
    Mutant(
        "GOAWAY leaves what is beyond its last id unknown",
        "P3",
        "connectors/http2/session.py",
        "self._end(stream_id, Failure(False, GOAWAY, self.goaway_detail))",
        "self._end(stream_id, Failure(True, GOAWAY, self.goaway_detail))",
        ("tests/unit/test_http2_session.py",),
        _BELOW,
    ),
    # --- the window
    Mutant(
        "the window runs from the event",
        "P1",
        _SUPPRESS,
        "head.notification_id, send_at, head.expires_at, held, remembered, now, policy, released, zone_unknown\n"
        "            )\n",
        "head.notification_id, send_at, head.expires_at, held, remembered, record.timestamp, policy, released,\n"
        "                zone_unknown,\n"
        "            )\n"
        "            if isinstance(decision, Admit):\n"
        "                send_by = now + policy.send_within_ms\n"
        "                decision = decision._replace(place=decision.place._replace(send_by=send_by))\n",
        (_CRASH_REPLAY, SIMULATION),
    ),
    Mutant(
        "the window runs from the admission",
        "P1",
        "streams/policies/suppression.py",
        "blocked_until=at + policy.window_ms + policy.skew_ms)",
        "blocked_until=place.admitted_at + policy.window_ms + policy.skew_ms)",
        (_SUPPRESSION, _MODEL, SIMULATION),
    ),
    Mutant(
        "grace is left out of the hold",
        "P1",
        "streams/policies/suppression.py",
        "send_by + policy.grace_ms + policy.window_ms + policy.skew_ms",
        "send_by + policy.window_ms + policy.skew_ms",
        (_SUPPRESSION, _MODEL, SIMULATION),
    ),
    Mutant(
        "skew is left out of the window",
        "P1",
        "streams/policies/suppression.py",
        "blocked_until=at + policy.window_ms + policy.skew_ms)",
        "blocked_until=at + policy.window_ms)",
        (_SUPPRESSION, _MODEL, SIMULATION),
    ),
    Mutant(
        "an unknown outcome frees the slot",
        "P1",
        "streams/policies/suppression.py",
        '    if outcome == "FREED":\n',
        '    if outcome in ("FREED", "UNKNOWN"):\n',
        (_SUPPRESSION, _MODEL, SIMULATION),
    ),
    Mutant(
        "a late verdict on an earlier holder counts for the next one",
        "P1",
        _SUPPRESS,
        'if place is not None and place.notification_id == notification_id and place.phase == "HELD":',
        'if place is not None and place.phase == "HELD":',
        (_SLOT_TESTS, SIMULATION),
    ),
    Mutant(
        "the window of many devices runs from the first one",
        "P1",
        "streams/policies/delivering.py",
        "    latest = max((claim.at for claim in reached), default=now)\n",
        "    latest = min((claim.at for claim in reached), default=now)\n",
        (_DELIVERING, SIMULATION),
    ),
    Mutant(
        "a lost owner is taken to have sent when it claimed",
        "P1",
        "streams/policies/delivering.py",
        'claim._replace(phase="UNKNOWN", at=send_by + grace_ms, reason=OWNER_LOST)',
        'claim._replace(phase="UNKNOWN", reason=OWNER_LOST)',
        (_DELIVERING, _LANE_TESTS, SIMULATION),
    ),
    Mutant(
        "what timed out is taken to have arrived by then",
        "P1",
        _DELIVER,
        "        reason, at = outcome.reason, at + work.settings.grace_ms\n",
        "        reason = outcome.reason\n",
        (_LANE_TESTS, SIMULATION),
    ),
    Mutant(
        "limit counted wrong",
        "P1",
        _SUPPRESS,
        "        rows = self._stage.table.places(self._partition, slot, policy.limit)\n"
        "        keys = [place_key(slot, index) for index in range(policy.limit)]\n",
        "        rows = self._stage.table.places(self._partition, slot, policy.limit + 1)\n"
        "        keys = [place_key(slot, index) for index in range(policy.limit + 1)]\n",
        (_SLOT_TESTS, SIMULATION),
    ),
    # --- time
    Mutant(
        "send_by is not checked at the claim",
        "P1",
        "streams/policies/delivering.py",
        "        if now >= send_by:\n",
        "        if now >= send_by + 86_400_000:\n",
        (_DELIVERING, _LANE_TESTS, SIMULATION),
    ),
    Mutant(
        "send_by is not checked at the write",
        "P1",
        _DELIVER,
        "min(settings.claim_seconds, (send_by - work.now) / 1000)",
        "settings.claim_seconds",
        (_DEADLINES, SIMULATION),
    ),
    Mutant(
        "a claim never grows old",
        "P1",
        _DELIVER,
        "min(settings.claim_seconds, (send_by - work.now) / 1000)",
        "(send_by - work.now) / 1000",
        (_DEADLINES, SIMULATION),
    ),
    Mutant(
        "a retry is due after send_by",
        "P3",
        "streams/policies/retrying.py",
        "    if now + wait >= send_by:\n",
        "    if now >= send_by:\n",
        ("tests/unit/test_retrying.py", SIMULATION),
    ),
    Mutant(
        "a clock that goes back",
        "P1",
        "streams/lane/clock.py",
        "        if now > self._latest_ms:\n            self._latest_ms = now\n",
        "        self._latest_ms = now\n",
        (_SLOT_TESTS, _CRASH_REPLAY),
        "within the allowance the skew of the window covers it, beyond it no step is committed",
    ),
    Mutant(
        "a clock that is far off",
        "P1",
        "streams/lane/transaction.py",
        "        if abs(off) > self.off_ms_max:\n",
        "        if abs(off) > self.off_ms_max + 10**9:\n",
        ("tests/unit/test_clock_rule.py", SIMULATION),
    ),
    # --- what is remembered
    Mutant(
        "an id is forgotten after an hour",
        "P3",
        _SUPPRESS,
        "SEEN_MS = 24 * 3600 * 1000",
        "SEEN_MS = 3600 * 1000",
        (_SLOT_TESTS, SIMULATION),
    ),
    Mutant(
        "an id is not remembered within its step",
        "P3",
        _SUPPRESS,
        "            seen[digest] = mark_byte\n",
        "",
        (_CRASH_REPLAY, SIMULATION),
    ),
    Mutant(
        "swept while it is still needed",
        "P1",
        _SUPPRESS,
        "read_slot(row).blocked_until <= self.now",
        "read_slot(row).admitted_at <= self.now",
        (_SLOT_TESTS, _CRASH_REPLAY, SIMULATION),
    ),
    Mutant(
        "never swept",
        "P4",
        _SUPPRESS,
        "                self._swept[slot_row] = None\n",
        "                pass\n",
        (_SLOT_TESTS, SIMULATION),
    ),
    # --- the schedule
    Mutant(
        "released and not removed",
        "P3",
        "streams/stages/schedule_step.py",
        "        else:\n            self._changes[key] = None\n",
        "",
        (_SCHEDULE_STORE, SIMULATION),
    ),
    Mutant(
        "released early",
        "P3",
        "streams/stages/schedule_queue.py",
        '(now + 1).to_bytes(8, "big")',
        '(now + 30_001).to_bytes(8, "big")',
        ("tests/properties/test_schedule_ledger.py", SIMULATION),
    ),
    Mutant(
        "cancelled and released all the same",
        "P3",
        "streams/stages/schedule_step.py",
        "            self._remove(pending_key(pending))\n"
        '            self._counted["cancelled"] += 1\n            reason = ',
        '            self._counted["cancelled"] += 1\n            reason = ',
        (_SCHEDULE_COMMANDS, SIMULATION),
    ),
    Mutant(
        "quiet hours are not asked at the first attempt",
        "P3",
        "streams/stages/deliver_open.py",
        "    if isinstance(decision, Hold):\n",
        "    if isinstance(decision, Hold) and entry.attempt > 1:\n",
        (_QUIET, SIMULATION),
    ),
    # --- providers that fail
    Mutant(
        "the breaker never opens",
        "P3",
        "streams/policies/breaking.py",
        "        run >= rule.run_max\n",
        "        run > 10**9\n",
        ("tests/unit/test_breaking.py", _SERVICES),
        _OUTAGE,
    ),
    Mutant(
        "a wait keeps the slot of nobody",
        "P3",
        "streams/stages/deliver_end.py",
        "    hold_back(work, entry, decision.until, reason)\n    return True\n",
        "    work.concluded(entry)\n    return True\n",
        (_SERVICES, SIMULATION),
    ),
    Mutant(
        "what may have arrived waits and is sent again",
        "P1",
        "streams/stages/deliver_end.py",
        "        conclude_claims(work, entry)\n        return\n    work.concluded(entry)\n",
        "        pass\n    work.concluded(entry)\n",
        (SIMULATION,),
    ),
    Mutant(
        "places are not given back",
        "P3",
        "streams/stages/deliver_services.py",
        "        self.under_way -= 1\n",
        "        self.under_way -= self.under_way % 2\n",
        (_SERVICES, SIMULATION),
    ),
    Mutant(
        "a waiting entry is forgotten",
        "P3",
        "streams/stages/deliver_gate.py",
        "        parked.add(entry)\n        return True\n",
        "        return True\n",
        (_SERVICES, SIMULATION),
    ),
    # --- the caps over all types
    Mutant(
        "a cap is forgotten after a restart",
        "P1",
        _CAP_ROWS,
        """            changes[key] = None if row is None else write_cap_row(row)

    def _put(self, key: bytes, row: CapRow | None, places: Sequence[CapPlace]) -> None:
        kept = standing(places, self._now, self._caps, self._skew_ms)
        self._rows[key] = CapRow(0 if row is None else row.sweep_at, kept) if kept else None
        self._changed.add(key)

    def _read(self, key: bytes) -> CapRow | None:
        if key not in self._rows:
            row = self._table.read(self._partition, [key])[0]
            self._rows[key] = None if row is None else read_cap_row(row)
""",
        """            self._table.__dict__.setdefault("lately", {})[key] = row

    def _put(self, key: bytes, row: CapRow | None, places: Sequence[CapPlace]) -> None:
        kept = standing(places, self._now, self._caps, self._skew_ms)
        self._rows[key] = CapRow(0 if row is None else row.sweep_at, kept) if kept else None
        self._changed.add(key)

    def _read(self, key: bytes) -> CapRow | None:
        if key not in self._rows:
            self._rows[key] = self._table.__dict__.setdefault("lately", {}).get(key)
""",
        (_CAP_LANE, SIMULATION),
    ),
    Mutant(
        "what certainly was not sent keeps its place of a cap",
        "P3",
        _CAPPING,
        '    return kept if outcome == "FREED" else [*kept,',
        "    return [*kept,",
        (_CAPPING_TESTS, _CAP_MODEL, SIMULATION),
    ),
    Mutant(
        "what may have been sent gives its place of a cap back",
        "P1",
        _CAPPING,
        '    return kept if outcome == "FREED" else [*kept,',
        '    return kept if outcome != "ACCEPTED" else [*kept,',
        (_CAPPING_TESTS, _CAP_MODEL, SIMULATION),
    ),
    Mutant(
        "a further attempt takes a further place of a cap",
        "P3",
        _CAPPING,
        "    if any(place.is_of(notification) for place in places):\n        return list(places)\n",
        "",
        (_CAPPING_TESTS, _CAP_LANE, SIMULATION),
    ),
    Mutant(
        "a claim takes a place of a cap only for as long as its window",
        "P1",
        "streams/stages/deliver_cap.py",
        'entry.delivery["send_by"] + settings.grace_ms)',
        "work.now)",
        (_CAP_LANE, SIMULATION),
    ),
    Mutant(
        "of two caps the first one counts",
        "P1",
        _CAPPING,
        "    for cap in caps:\n        after",
        "    for cap in caps[:1]:\n        after",
        (_CAPPING_TESTS, _CAP_MODEL, SIMULATION),
    ),
    Mutant(
        "the places of a cap are never swept",
        "P4",
        _CAP_ROWS,
        "            self._put(key, None, row.places)\n",
        "",
        (_CAP_LANE, SIMULATION),
    ),
    # --- broadcasts
    Mutant(
        "a broadcast goes on beyond users that its pace has left",
        "P3",
        _TELLING,
        "cursor=users[seen - 1].key",
        "cursor=users[-1].key",
        (_BROADCAST, SIMULATION),
    ),
    Mutant(
        "a broadcast begins anew with each owner",
        "P3",
        "streams/stages/broadcast_rows.py",
        "{**record, **counts._asdict()})",
        '{**record, "cursor": b"", **counts._asdict()})',
        (_BROADCAST_CRASHES, SIMULATION),
    ),
    Mutant(
        "how far a broadcast is, is not part of the step that tells",
        "P3",
        _TELLING,
        "            work.put(each, progress)\n        at_end",
        "            each.progress = progress\n        at_end",
        (_BROADCAST_CRASHES, SIMULATION),
    ),
    Mutant(
        "a list is told before its rows are there",
        "P3",
        "streams/stages/broadcast.py",
        "            and each.broadcast_id not in work.begun\n",
        "",
        (_BROADCAST,),
        "there its pace lets nobody be told in the step that begins it",
    ),
    Mutant(
        "the totals are said before all partitions have ended",
        "P3",
        "streams/stages/broadcast_totals.py",
        "if len(ends) < self._partitions:",
        "if len(ends) < self._partitions - 1:",
        (_BROADCAST, SIMULATION),
    ),
    Mutant(
        "a cancelled broadcast goes on",
        "P3",
        "streams/policies/broadcasting.py",
        'phase in ("LOADING", "RUNNING", "PAUSED") else phase',
        'phase in ("LOADING", "PAUSED") else phase',
        ("tests/unit/test_broadcasting.py", _BROADCAST),
        "in these worlds it is as if the command had come too late",
    ),
    Mutant(
        "the same broadcast again tells once more",
        "P3",
        "streams/stages/broadcast.py",
        "if each is not None and (each.definition is not None or work.broadcast_row(start.broadcast_id) is not None):",
        "if each is not None and each.definition is not None:",
        (_BROADCAST,),
        "nobody asks twice in these worlds",
    ),
    Mutant(
        "users are read from a directory that another worker has",
        "P3",
        "streams/app.py",
        "return lane is not None and lane.directory_is_read",
        "return True",
        ("tests/unit/test_broadcast_lane.py",),
        "there partitions of all stages move together",
    ),
    Mutant(
        "the rows of a list stay when it is done",
        "P4",
        "streams/stages/broadcast.py",
        '            self._emptying[each.broadcast_id] = b""\n',
        "            pass\n",
        (_BROADCAST,),
        "lists are shorter there than what may be left",
    ),
    Mutant(
        "what ended is never forgotten",
        "P4",
        "streams/stages/broadcast_book.py",
        "            if not each.progress.rows:\n",
        "            if each.progress.rows:\n",
        (_BROADCAST,),
        "these worlds end before it is to be forgotten",
    ),
    # --- the devices of users
    Mutant(
        "an own record that comes back undoes what came after it",
        "P3",
        _USER_DEVICES,
        "            if by == self._by(echo.number):\n",
        "            self._work.put_directory(devices_key(user), row)\n            if by == self._by(echo.number):\n",
        (_DEVICES_TESTS, _DEVICES_MODEL),
        silent=_NO_CHANGES,
    ),
    Mutant(
        "an own record stays behind what others wrote",
        "P3",
        _USER_DEVICES,
        'self._write_back(user, "written by others while a change was on its way", is_change=False)',
        "pass",
        (_DEVICES_TESTS, _DEVICES_MODEL),
        silent=_NO_CHANGES,
    ),
    Mutant(
        "a whole record that is read again undoes a change",
        "P3",
        _USER_DEVICES,
        "elif record.offset >= echo.position or record.timestamp > echo.at:",
        "else:",
        (_DEVICES_TESTS, _DEVICES_MODEL),
        silent=_NO_CHANGES,
    ),
    Mutant(
        "an answer about an address removes a registration that came after the push",
        "P3",
        "streams/policies/registering.py",
        "min(gone_at, sent_as_of)",
        "gone_at",
        (_DEVICES_LANE, _DEVICES_MODEL),
        silent=_NO_CHANGES,
    ),
    Mutant(
        "nobody waits until the directory is read",
        "P3",
        "streams/stages/directory_first.py",
        "        if self._missing:\n            for topic in self._waiting:\n                opened_with",
        "        if False:\n            for topic in self._waiting:\n                opened_with",
        (_DEVICES_LANE, _DEVICES_MODEL),
        silent="no worker of the simulation begins with topics that are old",
    ),
    # --- users who are erased
    Mutant(
        "rows of an erased user go before what they guard is passed",
        "P1",
        _DELIVER,
        "            if any(self._offsets[topic].committable() < offset for topic, offset in until.items()):\n",
        "            if any(self._offsets[topic].committable() < 0 for topic, offset in until.items()):\n",
        (_ERASURE_TURN,),
        _NO_ERASURE,
    ),
    Mutant(
        "a row says that it has ended while a further attempt is scheduled",
        "P1",
        _DELIVER,
        "attempt=entry.attempt + 1, concluded=False, at=self.now",
        "concluded=True, at=self.now",
        (_ERASURE,),
        _NO_ERASURE,
    ),
    Mutant(
        "what an erased user has waiting is sent all the same",
        "P3",
        "streams/stages/schedule_step.py",
        'self.release_retries([(key, value)], [(ERASED_HEADER, b"1")])',
        "self.release_retries([(key, value)])",
        (_ERASURE_TURN, _ERASURE),
        _NO_ERASURE,
    ),
    Mutant(
        "schedule is asked before deliver has given back what it holds",
        "P3",
        _DELIVER,
        "    topic = lane.topics.verdicts\n    value = write_forget",
        "    topic = lane.topics.scheduled\n    value = write_forget",
        (_ERASURE_TURN, _ERASURE),
        _NO_ERASURE,
    ),
    Mutant(
        "a round ends where rows of users whose names go on fill it",
        "P3",
        "streams/stages/forgetting.py",
        "        if not left:\n            return Found(rows, looked_at[-1][0])\n",
        "        if len(rows) == limit:\n            return Found(rows, looked_at[-1][0])\n",
        (_FORGET,),
        _NO_ERASURE,
    ),
    Mutant(
        "an erasure frees slots whose window is not over",
        "P1",
        "streams/stages/suppress_step.py",
        "            if place is not None and place.blocked_until > self.now:\n                kept.append",
        "            if place is not None and place.blocked_until < 0:\n                kept.append",
        (_FORGET, _ERASURE),
        _NO_ERASURE,
    ),
    Mutant(
        "a coordinator's error is taken for nothing committed",
        "P3",
        "streams/group_offsets.py",
        '    _raise_for(answer.error_code, "the group")\n',
        "",
        ("tests/unit/test_group_offsets.py",),
        _BELOW,
    ),
    Mutant(
        "schedule is asked again in each round of suppress",
        "P4",
        "streams/stages/suppress.py",
        "        if forget.round == 0:  # on its way",
        "        if forget.round >= 0:  # on its way",
        (_FORGET,),
        _NO_ERASURE,
    ),
)
