"""Sessions of the page: a key is exchanged for a cookie."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from streams.web.contract.operation import Answer, Body, Operation
from streams.web.contract.shown import Shown
from streams.web.security.scopes import Scope

KEY_LENGTH_MAX = 256
BODY_BYTES_MAX = 4 * 1024


class Login(BaseModel):
    """With which key."""

    model_config = ConfigDict(extra="forbid", strict=True)

    key: str = Field(description="An API key.", max_length=KEY_LENGTH_MAX)


class Session(Shown):
    """Who asks, and what for."""

    name: str = Field(description="The name of the key; `anybody` where there are no keys.")
    key_id: str = Field(description="Its id; empty where there are no keys.")
    scopes: list[Scope]
    csrf_token: str = Field(
        description="For the header `X-CSRF-Token` of whatever changes something in this session; empty where none is "
        "asked for: with a key instead of a session, or without any keys."
    )
    open: bool = Field(description="Whether there are no keys, and everybody may do everything.")


OPERATIONS = (
    Operation(
        "POST",
        "/session",
        "begin_session",
        "session",
        "public",
        "Begin a session with a key",
        {200: Answer("It has begun; the answer sets its cookie.", Session)},
        (401,),
        "For the page: programs send their key with each request. 401: the key is good for nothing.",
        body=Body(
            Login,
            BODY_BYTES_MAX,
            {"a key": {"key": "ro_0123456789ab_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"}},
            secret=True,
        ),
    ),
    Operation(
        "GET",
        "/session",
        "session",
        "session",
        "public",
        "Who asks",
        {200: Answer("Who it is.", Session)},
        (401,),
        "401: there is no session, or it is over, and no key was sent.",
    ),
    Operation(
        "DELETE",
        "/session",
        "end_session",
        "session",
        "public",
        "End the session of this browser",
        {204: Answer("There is none any more.", None, None)},
    ),
)
