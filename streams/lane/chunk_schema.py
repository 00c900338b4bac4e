"""How Faust hands a chunk to an agent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import faust
from faust.events import Event
from faust.types import AppT, Message


class ChunkSchema(faust.Schema[Any, Any]):
    """Hands the chunk through to the agent, undecoded: the stage decodes, and knows what to do with poison."""

    def compile(
        self, app: AppT, *, on_key_decode_error: Any = None, on_value_decode_error: Any = None, **kwargs: Any
    ) -> Callable[..., Awaitable[Event]]:
        """Return the coroutine function that Faust calls for each message."""

        async def decode(message: Message, *, propagate: bool = False) -> Event:
            return Event(app, None, message.value, None, message)

        return decode
