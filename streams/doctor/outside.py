"""What workers speak to besides Kafka: providers (a dry run), the user service, the schema registry, the history."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import AsyncIterator
from typing import Final

from connectors.outcome import Accepted, Connector, Device, NotSent, Outcome, ProviderName, Push, Unknown
from schemas.registry import RegistryError
from streams.codec import open_codec
from streams.connect import open_connectors, open_user_service
from streams.doctor.finding import Finding, fail, ok, skip, warn
from streams.history.database import (
    DatabaseDownError,
    DatabaseRefusesError,
    history_address,
    history_source,
    open_database,
)
from streams.policies.profiles import NotFound, Profile, Unavailable, Unusable
from streams.settings import Settings, SettingsError
from streams.topics import TopicNames

NOBODY: Final = "ringonce-doctor"  # a user that no user service has
# One server answers for all of their addresses, and refuses one that does not exist only after it took the credentials.
_DRY: Final = {
    ProviderName.APNS: lambda: secrets.token_hex(32),
    ProviderName.FCM: lambda: f"doctor:{secrets.token_hex(64)}",
}
_BY_ADDRESS: Final = {
    ProviderName.WEBPUSH: "each subscription names its own push service, which is asked when the first push is sent",
    ProviderName.WEBHOOK: "each address names its own receiver, which is asked when the first push is sent",
}


async def check_outside(settings: Settings) -> AsyncIterator[Finding]:
    """Look at each that is set."""
    async for finding in _providers(settings):
        yield finding
    yield await _user_service(settings)
    yield await _registry(settings)
    yield await _history(settings)


async def _providers(settings: Settings) -> AsyncIterator[Finding]:
    dry = settings.model_copy(update={"fcm": settings.fcm.model_copy(update={"validate_only": True})})
    try:
        connectors = open_connectors(dry)
    except SettingsError as error:
        yield fail("providers", str(error), "set what it names; docs/configuration.md has all settings")
        return
    if not connectors:
        yield warn("providers", "none is set: nothing can be sent", "docs/configuration.md says what each one needs")
    for name in ProviderName:
        connector = connectors.get(name)
        if connector is None:
            yield skip(name.value, "not set: what is meant for its devices ends as DEAD, with the reason")
        elif name in _BY_ADDRESS:
            yield ok(name.value, f"the keys can be used; {_BY_ADDRESS[name]}")
        else:
            yield judge_dry_run(name, await _dry_run(connector, name))


async def _dry_run(connector: Connector, name: ProviderName) -> Outcome:
    device = Device("doctor", name, _DRY[name]())
    push = Push(
        push_id=str(uuid.uuid4()),
        notification_id=f"doctor-{uuid.uuid4()}",
        type="doctor",
        device=device,
        title="ringonce doctor",
        body="sent to an address that does not exist",
        data={},
        ttl_seconds=0,
        collapse_id=uuid.uuid4().hex,
    )
    await connector.start()
    try:
        return await connector.send(push, lambda: True)
    finally:
        await connector.close()


def judge_dry_run(name: ProviderName, outcome: Outcome) -> Finding:
    """Judge the answer to a push for an address that does not exist. Pure."""
    prefix = f"RINGONCE_{name.value.upper()}_"
    match outcome:
        case NotSent(status=None, reason=reason):
            todo = f"is {prefix}BASE_URL right, and may this machine reach it (port 443, HTTP/2)?"
            return fail(name.value, f"it cannot be reached: {reason}", todo)
        case NotSent(provider_wide=True, reason=reason, status=status):
            todo = f"check the {prefix}… credentials against the provider's console; docs/providers.md has each reason"
            return fail(name.value, f"it refuses us: {status} {reason}", todo)
        case NotSent(reason=reason, status=status):
            return ok(name.value, f"it takes our credentials; the address that does not exist got {status} {reason}")
        case Accepted(status=status):
            return ok(name.value, f"it takes our credentials, and the dry run ({status})")
        case Unknown(reason=reason, status=status):
            found = f"no clear answer: {reason if status is None else f'{status} {reason}'}"
            return warn(name.value, found, "try again; a provider that goes on so is left alone by its breaker")


async def _user_service(settings: Settings) -> Finding:
    try:
        service = open_user_service(settings)
    except SettingsError as error:
        return fail("user service", str(error), "set what it names")
    if service is None:
        return skip("user service", "not set: profiles come from their topic alone")
    try:
        found = await service.fetch(NOBODY)
    finally:
        await service.close()
    match found:
        case Unavailable(reason=reason):
            return fail("user service", reason, "types that need a profile wait for it: docs/profiles.md")
        case Unusable(reason=reason):
            return warn(
                "user service", f"it answers for {NOBODY}, but not as it must: {reason}", "see docs/profiles.md"
            )
        case NotFound() | Profile():
            return ok("user service", "it answers")


async def _registry(settings: Settings) -> Finding:
    if settings.schema_registry_url is None:
        return skip("schemas", "no registry is set: values carry their schema's fingerprint")
    topic = TopicNames.of(settings).notifications
    try:
        await asyncio.to_thread(lambda: open_codec(settings).header("Notification", topic))
    except RegistryError as error:
        return fail("schemas", str(error), "is the registry there, and may we register under its subjects?")
    return ok("schemas", f"the registry has the contract of {topic}")


async def _history(settings: Settings) -> Finding:
    if settings.history_url is None:
        return skip("history", "no database is set: `ringonce history` keeps a file in the data directory")
    address = history_address(settings)
    database = open_database(address, read_only=True)
    try:
        await asyncio.to_thread(database.open, history_source(settings))
    except DatabaseDownError as error:
        return fail("history", f"{address} does not answer: {error}", "is it there, and may this machine reach it?")
    except DatabaseRefusesError as error:
        todo = "`ringonce history` makes its tables; else check user, password and database"
        return fail("history", f"{address} cannot be used: {error}", todo)
    finally:
        await asyncio.to_thread(database.close)
    return ok("history", f"{address} answers")
