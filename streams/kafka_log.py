"""Keeps credentials out of the log: at DEBUG aiokafka says every request, the one with the password included."""

from __future__ import annotations

import logging
from typing import Final

_CREDENTIALS: Final = "SaslAuthenticate"  # how the classes of requests and answers begin that hold them


class CredentialsFilter(logging.Filter):
    """Drops what aiokafka says of logging in."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record is about anything else."""
        arguments = record.args if isinstance(record.args, tuple) else ()
        return not any(type(argument).__name__.startswith(_CREDENTIALS) for argument in arguments)


_FILTER: Final = CredentialsFilter()


def keep_credentials_out_of_the_log() -> None:
    """See the module. Doing it again does nothing."""
    logging.getLogger("aiokafka.conn").addFilter(_FILTER)
