"""What a worker needs to know to tell who may do what: keys, secrets, names; checked before anything starts."""

from __future__ import annotations

import time
from dataclasses import dataclass

from streams.setting_error import ENV_PREFIX, SettingsError
from streams.settings import Settings
from streams.web.address import advertised_host
from streams.web.security.cluster_secret import cluster_secret, purpose_key
from streams.web.security.ended_sessions import EndedSessions
from streams.web.security.keys_file import KeysFile, KeysFileError, read_keys
from streams.web.security.origins import is_loopback
from streams.web.security.sessions import SessionRule


@dataclass(frozen=True, slots=True)
class Security:
    """`keys` None: everything is open. `forward_key` None: nothing is signed, which only an open system may do.

    `ended`: the sessions that are over before their time. `hosts`: the names by which this worker may be called while
    it is open.
    """

    settings: Settings
    keys: KeysFile | None
    session_key: bytes
    ended: EndedSessions
    forward_key: bytes | None
    hosts: frozenset[str]
    is_loopback: bool

    @property
    def session_rule(self) -> SessionRule:
        """How long a session of the page lasts."""
        api = self.settings.api
        return SessionRule(api.session_idle_seconds * 1000, api.session_seconds_max * 1000)

    @property
    def metrics_are_open(self) -> bool:
        """Whether anybody may read what this worker has counted."""
        return self.is_loopback or self.settings.api.metrics_open


def open_security(settings: Settings) -> Security:
    """Return what guards the front. Raises SettingsError where it would be open to the network, or let nobody in."""
    api = settings.api
    local = is_loopback(settings.web_host)
    if api.keys_file is None:
        if not local and not api.open:
            raise SettingsError(
                f"{ENV_PREFIX}WEB_HOST: {settings.web_host} can be reached from other machines, and without API keys "
                f"everything is open there; make a key with `ringonce keys create` and set {ENV_PREFIX}API_KEYS_FILE, "
                f"listen on 127.0.0.1, or, where nobody else reaches it, set {ENV_PREFIX}API_OPEN=true"
            )
        keys = None
    else:
        try:
            if not read_keys(api.keys_file):
                raise KeysFileError(f"{api.keys_file}: holds no key; `ringonce keys create` makes one")
        except KeysFileError as error:
            raise SettingsError(f"{ENV_PREFIX}API_KEYS_FILE: {error}") from None
        keys = KeysFile(api.keys_file, time.monotonic)
    secret = cluster_secret(settings)
    names = {name.strip().lower() for name in api.allowed_hosts.split(",") if name.strip()}
    names |= {settings.web_host.lower(), advertised_host(settings).lower()}
    return Security(
        settings,
        keys,
        purpose_key(secret or b"", "sessions"),  # without keys there are none
        EndedSessions(api.session_seconds_max * 1000),
        None if secret is None else purpose_key(secret, "forwarding"),
        frozenset(names),
        local,
    )
