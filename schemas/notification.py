"""The hot path: all that suppress and deliver read and write for each event, without a detour over dictionaries."""

from schemas.deliveries import read_delivery
from schemas.delivery_states import write_delivery_state
from schemas.device_rows import read_device_row
from schemas.due_heads import DueHead, read_due_head
from schemas.envelopes import (
    current_body,
    notification_body,
    write_deferral,
    write_delivery,
    write_due,
    write_local_deferral,
)
from schemas.heads import RE_ENCODE, Head, read_head, read_heads
from schemas.slots import SlotRow, read_slot, write_slot
from schemas.statuses import StatusWriter, StatusWriters, Subject, subject_of
from schemas.verdicts import write_verdict

__all__ = [
    "RE_ENCODE",
    "DueHead",
    "Head",
    "SlotRow",
    "StatusWriter",
    "StatusWriters",
    "Subject",
    "current_body",
    "notification_body",
    "read_delivery",
    "read_device_row",
    "read_due_head",
    "read_head",
    "read_heads",
    "read_slot",
    "subject_of",
    "write_deferral",
    "write_delivery",
    "write_delivery_state",
    "write_due",
    "write_local_deferral",
    "write_slot",
    "write_verdict",
]
