"""Where a trace begins, or is taken over from the caller: `POST /notifications`.

One notification goes on in the caller's trace. Of a batch each has a trace of its own, with a link to the caller's:
a thousand notifications in one trace help nobody.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import replace

from streams.publish.messages import Message
from streams.tracing import TraceContext, Tracer, read_context
from streams.tracing.current import trace_of_record

Said = dict[str, str | int | float | bool]


class GatewayTraces:
    """The traces of one request. `messages`: as they were, with the headers that the stages will read."""

    def __init__(
        self,
        tracer: Tracer,
        headers: Iterable[tuple[str, str]],
        messages: Sequence[Message],
        notification_ids: Sequence[bytes],
    ) -> None:
        self._tracer = tracer
        began_at = int(tracer.now_ms())
        asked = [(name.lower(), value.encode("ascii", errors="replace")) for name, value in headers]
        caller = read_context(asked)
        self._links: list[TraceContext] = []
        if caller is not None and len(messages) > 1:
            self._links = [caller] if caller.is_sampled else []
            asked = []
        self._ids = [each.decode(errors="replace") for each in notification_ids]
        self._hops = [
            tracer.begin(asked, message.key, notification_id, began_at)
            for message, notification_id in zip(messages, notification_ids, strict=True)
        ]
        self.messages = [
            replace(message, headers=tuple(hop.headers)) for message, hop in zip(messages, self._hops, strict=True)
        ]
        if len(self._hops) == 1:
            trace_of_record.set(self._hops[0].trace_id)

    async def told(self, taking: Awaitable[None]) -> None:
        """Wait until Kafka has them, and tell of it, also where it failed."""
        error = ""
        try:
            await taking
        except BaseException as failure:
            error = type(failure).__name__
            raise
        finally:
            spans = []
            for hop, notification_id in zip(self._hops, self._ids, strict=True):
                if hop.is_sampled:
                    said: Said = {"ringonce.notification_id": notification_id, "http.route": "/notifications"}
                    spans.append(hop.own("gateway", said, error, "server")._replace(links=self._links))
            self._tracer.emit(spans)
