"""One HTTP/1.1 connection as a client sees it, without IO: requests and bytes in, bytes and results out (RFC 9112).

Reading and writing is h11's. One request is open at a time: with pipelining nobody could say which of the requests that
were written a lost connection had processed. Every request that was opened ends exactly once.

    idle --open--> busy --answer--> idle
                     |`--answer, and the connection cannot stay--> closing
                     `---lost, or not HTTP-----------------------> closing
"""

from __future__ import annotations

import re

import h11

from connectors.exchange import CONNECTION_LOST, Answer, Failure, Post

# No provider answers with more; the rest of a longer body is not read.
BODY_BYTES_MAX = 65_536
# Status line and headers of an answer, or one line of a chunked body.
HEAD_BYTES_MAX = 65_536
# RFC 2068 section 19.7.1.1, as servers still send it: Keep-Alive: timeout=5, max=100.
_TIMEOUT = re.compile(r"(?:^|[,;\s])timeout=(\d{1,9})(?:$|[,;\s])", re.IGNORECASE)


class Session:
    """`open` gives the bytes to write; `feed` it what is received.

    `closing`: no further request may be opened. `keep_alive_seconds`: how long the server keeps an idle connection,
    where it has said so.
    """

    def __init__(self, authority: str) -> None:
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES_MAX)
        self._host = ("host", authority)
        self._status: int | None = None
        self._headers: dict[str, str] = {}
        self._body = b""
        self.busy = False
        self.closing = False
        self.keep_alive_seconds: float | None = None

    def open(self, post: Post) -> bytes:
        """A whole POST request. Raises ValueError for text that does not belong in one, and then nothing is open."""
        path, staying, differing, body = post
        fields = (self._host, *staying, *differing, ("content-length", str(len(body))))
        try:
            request = h11.Request(
                method="POST",
                target=path,
                headers=[(name.encode("ascii"), value.encode("latin-1")) for name, value in fields],
            )
        except h11.LocalProtocolError as error:
            raise ValueError(str(error)) from None
        self.busy = True
        self._status, self._headers, self._body = None, {}, b""
        return self._h11.send(request) + self._h11.send(h11.Data(data=body)) + self._h11.send(h11.EndOfMessage())

    def feed(self, chunk: bytes) -> Answer | Failure | None:
        """Take what was received, empty: the server has closed its side. How the open request ended, if it has."""
        if not self.busy:
            return self.lose("closed, or answered before it was asked")
        try:
            self._h11.receive_data(chunk)
            while self.busy:
                event = self._h11.next_event()
                if isinstance(event, h11.Response):
                    self._begin(event)
                elif isinstance(event, h11.Data):
                    self._body += event.data
                    if len(self._body) > BODY_BYTES_MAX:
                        return self.lose("")
                elif isinstance(event, h11.EndOfMessage):
                    return self._finish()
                elif not isinstance(event, h11.InformationalResponse):
                    return None
        except h11.RemoteProtocolError as error:
            return self.lose(str(error) if chunk else "closed by the server")
        return None

    def lose(self, detail: str) -> Answer | Failure | None:
        """The connection is of no more use: the open request has what came of its answer, or may have arrived.

        A status that is here is the server's word, whatever becomes of the rest.
        """
        self.closing = True
        if not self.busy:
            return None
        self.busy = False
        if self._status is None:
            return Failure(True, CONNECTION_LOST, detail)
        return Answer(self._status, self._headers, self._body)

    def _begin(self, response: h11.Response) -> None:
        self._status = response.status_code
        for raw_name, raw_value in response.headers:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            known = self._headers.get(name)
            self._headers[name] = value if known is None else f"{known}, {value}"

    def _finish(self) -> Answer:
        assert self._status is not None, "h11 ends no message that has not begun"
        self.busy = False
        told = _TIMEOUT.search(self._headers.get("keep-alive", ""))
        if told is not None:
            self.keep_alive_seconds = float(told[1])
        unread, closed = self._h11.trailing_data
        if self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE and not unread and not closed:
            self._h11.start_next_cycle()
        else:
            self.closing = True
        return Answer(self._status, self._headers, self._body)
