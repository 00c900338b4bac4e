"""The secret that all workers share: what signs sessions and what they forward to each other."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from streams.setting_error import ENV_PREFIX, SettingsError
from streams.settings import Settings
from streams.web.security.keys_file import write_private

SECRET_BYTES: Final = 32


def cluster_secret(settings: Settings) -> bytes | None:
    """Return the secret of the settings; else that of the machine, beside the keys, made where there is none yet.

    Workers of one machine share the file of keys, and so this one; each has a data directory of its own. None: there
    are no keys either, and nothing is signed. Raises SettingsError.
    """
    if settings.cluster_secret is not None:
        return settings.cluster_secret.get_secret_value().encode()
    if settings.api.keys_file is None:
        return None
    path = settings.api.keys_file.with_name(f".{settings.api.keys_file.name}.cluster-secret")
    try:
        return _read(path) or _made(path)
    except OSError as error:
        raise SettingsError(
            f"{ENV_PREFIX}CLUSTER_SECRET: must be set, the same for all workers, because {path} cannot be written or "
            f"read: {error.strerror}"
        ) from None


def purpose_key(secret: bytes, purpose: str) -> bytes:
    """Return a key for one purpose only: what is signed for one is nothing for another."""
    return hmac.new(secret, f"ringonce {purpose}".encode(), hashlib.sha256).digest()


def _read(path: Path) -> bytes | None:
    """None: there is none. It appears whole."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise SettingsError(f"{path}: others may read or write it; chmod 600 {path}")
            secret = file.read().strip()
    except FileNotFoundError:
        return None
    if len(secret) < SECRET_BYTES:
        raise SettingsError(f"{path}: holds no secret; remove it, and it is made anew")
    return secret


def _made(path: Path) -> bytes:
    """Make the file, or read the one that another worker has made first."""
    secret = secrets.token_hex(SECRET_BYTES).encode()
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    write_private(temporary, secret + b"\n")
    try:
        os.link(temporary, path)  # unlike a replacement, this fails where there is one already
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
    made = _read(path)
    assert made is not None, "it was linked, here or by another worker"
    return made
