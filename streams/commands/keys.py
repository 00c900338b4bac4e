"""`ringonce keys`: make, list and revoke the API keys that the web views ask for."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, get_args

import typer
from pydantic import ValidationError

from streams.commands.asking import instant, instant_in, shown
from streams.commands.terminal import fail, out, say
from streams.commands.written_down import note_afterwards
from streams.setting_error import ENV_PREFIX
from streams.settings import Settings, load_settings
from streams.web.security.keys import PREFIX, ApiKey, new_key, state_of
from streams.web.security.keys_file import KeysFileError, change_keys, read_keys
from streams.web.security.scopes import SCOPES, Scope

KEYS_MAX = 10_000  # of a file: every worker holds all of them


def register(app: typer.Typer) -> None:
    keys = typer.Typer(
        help="Make, list and revoke API keys. Workers notice within a second, without a restart.", no_args_is_help=True
    )
    keys.command()(create)
    keys.command("list")(list_keys)
    keys.command()(revoke)
    app.add_typer(keys, name="keys")


def create(
    name: Annotated[str, typer.Option(help="Who it is for; it stands in the audit log.")],
    scope: Annotated[list[str], typer.Option(help="read, send or admin; each that it is to have. None holds another.")],
    expires: Annotated[str | None, typer.Option(help="Until when it is good: an instant, ISO 8601.")] = None,
    expires_in: Annotated[str | None, typer.Option(help="For how long it is good: 90d, 12h.")] = None,
) -> None:
    """Make a key and show it, this once: only a hash of it is kept."""
    settings = load_settings()
    path = _file(settings)
    unknown = set(scope) - set(SCOPES)
    if unknown:
        fail(f"--scope: must be {', '.join(SCOPES)}, is {', '.join(sorted(unknown))}", 2)
    if expires is not None and expires_in is not None:
        fail("--expires and --expires-in: give one of them", 2)
    until = instant("--expires", expires) or instant_in("--expires-in", expires_in)
    if until is not None and until <= _now_ms():
        fail("--expires: is over already", 2)
    scopes: list[Scope] = [each for each in get_args(Scope) if each in scope]
    try:
        key, token = new_key(name, scopes, _now_ms(), until)
    except ValidationError:
        fail("--name: must have 1 to 100 characters, none of them a control character", 2)

    def add(keys: tuple[ApiKey, ...]) -> tuple[ApiKey, ...]:
        if len(keys) >= KEYS_MAX:
            raise KeysFileError(f"{path}: has {len(keys):,} keys already")
        return (*keys, key)

    try:
        change_keys(path, add)
    except KeysFileError as error:
        fail(str(error))
    say(f"{key.id}: {name}, {', '.join(scopes)}{'' if until is None else f', until {shown(until)}'}. Keep it now:")
    out.print(token, markup=False)
    note_afterwards(settings, "key.create", f"keys create {key.id} --name {name} --scope {' --scope '.join(scopes)}")


def list_keys(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of lines.")] = False,
) -> None:
    """Show all keys; of none of them what it is."""
    try:
        keys = read_keys(_file(load_settings()))
    except KeysFileError as error:
        fail(str(error))
    now = _now_ms()
    if as_json:
        shown_keys = [key.model_dump(mode="json", exclude={"sha256"}) | {"state": state_of(key, now)} for key in keys]
        out.print_json(json.dumps({"keys": shown_keys}))
        return
    for key in keys:
        scopes = ", ".join(each for each in SCOPES if each in key.scopes)
        until = "" if key.expires_at is None else f", until {shown(key.expires_at)}"
        line = f"{key.id}  {state_of(key, now):<8}  {scopes:<17}  since {shown(key.created_at)}{until}  {key.name}"
        out.print(line, markup=False)


def revoke(key_id: Annotated[str, typer.Argument(help="Its id; of a key that leaked, all of it will do.")]) -> None:
    """Make a key worthless, and end the sessions that were begun with it."""
    settings = load_settings()
    if key_id.startswith(f"{PREFIX}_"):
        key_id = key_id.split("_")[1]

    def without(keys: tuple[ApiKey, ...]) -> tuple[ApiKey, ...]:
        if all(key.id != key_id for key in keys):
            raise KeysFileError(f"there is no key of the id {key_id[:20]}")
        now = _now_ms()
        return tuple(
            key.model_copy(update={"revoked_at": now}) if key.id == key_id and key.revoked_at is None else key
            for key in keys
        )

    try:
        change_keys(_file(settings), without)
    except KeysFileError as error:
        fail(str(error))
    say(f"{key_id} is revoked")
    note_afterwards(settings, "key.revoke", f"keys revoke {key_id}")


def _file(settings: Settings) -> Path:
    path = settings.api.keys_file
    if path is None:
        fail(f"{ENV_PREFIX}API_KEYS_FILE: must name the file of API keys, the same for all workers of this machine", 2)
    return path


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
