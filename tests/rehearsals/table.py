"""Every alert and how it is rehearsed: the fault, on real parts, and the runbook's step that mends it.

`short` runs with the tests; `long` has faults that must last for longer than a minute, and runs by `make rehearse`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple


class Rehearsal(NamedTuple):
    """`step`: words of the alert's section in docs/runbook.md that are carried out."""

    day: Literal["short", "long"]
    fault: str
    step: str


REHEARSALS: dict[str, Rehearsal] = {
    "RingoncePromiseBroken": Rehearsal(
        "short",
        "somebody else writes a second SENDING of a slot to `statuses`",
        "The count goes back to 0 with the next start of the worker",
    ),
    "RingonceLedgerDiffers": Rehearsal(
        "short",
        "the worker's disk loses a row of a scheduled notification",
        "Stop the worker, move its data directory away and start it",
    ),
    "RingonceWorkerDown": Rehearsal("short", "the worker is killed (SIGKILL)", "start it again"),
    "RingonceNotReady": Rehearsal(
        "short", "the broker freezes (SIGSTOP) while a worker with an empty disk starts", "look at the brokers"
    ),
    "RingonceRestarting": Rehearsal(
        "long", "`statuses` takes no batch of the usual size (`max.message.bytes`)", "mend the reason"
    ),
    "RingonceClockSkew": Rehearsal(
        "short", "a worker whose clock is 1.6 s ahead, of 2.5 s that are allowed", "mend the time service"
    ),
    "RingonceLag": Rehearsal("long", "sound events behind a flood of broken ones", "RingonceDeadLettersPaused"),
    "RingonceLagGrows": Rehearsal(
        "long",
        "a producer goes wild while suppress is held by dead letters",
        "A producer that has gone wild is stopped",
    ),
    "RingonceAdmissionSlow": Rehearsal(
        "long", "the same: it fires when what had waited is decided on", "it goes away by itself"
    ),
    "RingonceSendingSlow": Rehearsal(
        "long", "the user service fails, and notifications wait 35 s for it", "RingonceUserServiceFails"
    ),
    "RingonceProviderSlow": Rehearsal("long", "FCM answers after 12 s", "nothing, if it is the provider"),
    "RingonceReleasesLate": Rehearsal(
        "long", "sixty are due at once, and one may be released in ten seconds", "raise the limit if it is too low"
    ),
    "RingonceCommitsSlow": Rehearsal(
        "long", "the broker freezes for 3 s again and again (SIGSTOP)", "mend the brokers"
    ),
    "RingonceDeadLetters": Rehearsal(
        "short", "events of a type that the types file does not have", "dead-letters replay --code"
    ),
    "RingonceDeadLettersPaused": Rehearsal("short", "sixty records that are no Avro", "raise the limit"),
    "RingonceRetrySpike": Rehearsal("short", "APNs, Web Push and a webhook answer 429", "Otherwise mend"),
    "RingonceUnknownShare": Rehearsal("short", "FCM answers 503", "its breaker opens and the rest waits"),
    "RingonceProviderBreakerOpen": Rehearsal("short", "FCM answers 503", "it goes on by itself"),
    "RingonceUserServiceFails": Rehearsal("short", "the user service answers 500", "mend it"),
    "RingonceTemplatesRefused": Rehearsal(
        "short", "somebody writes a template that cannot be compiled to `templates`", "publish it again"
    ),
    "RingonceAuditOverwhelmed": Rehearsal(
        "long", "400,000 events as fast as suppress can decide on them", "ringonce audit"
    ),
    "RingonceHistoryDown": Rehearsal(
        "long", "somebody else locks the database of the history (SQLite)", "end what holds it"
    ),
    "RingonceAuditLogLost": Rehearsal(
        "long", "wrong API keys while `audit-log` takes no entry of the usual size", "Mend Kafka, or the topic"
    ),
}
