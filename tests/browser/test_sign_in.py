"""Signing in where a worker asks for keys: what each scope shows, and what becomes of a session that is over."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from streams.web.security.keys import new_key
from streams.web.security.keys_file import change_keys
from streams.web.security.scopes import Scope
from tests.browser.beside import opened_beside
from tests.browser.gateway import LOOK_SECONDS
from tests.browser.watched import SECONDS_MAX, VIEWS, Opened, opened
from tests.integration.system import now_ms, system, web_url
from tests.integration.test_web import until_status

READER: tuple[Scope, ...] = ("read",)
SENDER: tuple[Scope, ...] = ("read", "send")
ADMIN: tuple[Scope, ...] = ("read", "send", "admin")


class Locked(NamedTuple):
    """A system that asks for keys: where it answers, and its file of keys."""

    url: str
    keys_file: Path

    def key(self, *scopes: Scope) -> str:
        """A new key with these scopes, once the worker knows it."""
        key, token = new_key(f"key of {'-'.join(scopes)}", scopes, now_ms())
        change_keys(self.keys_file, lambda keys: (*keys, key))
        give_up_at = time.monotonic() + SECONDS_MAX
        while httpx.post(f"{self.url}/session", json={"key": token}, trust_env=False).status_code != 200:
            assert time.monotonic() < give_up_at, "the worker has not noticed a new key"
            time.sleep(LOOK_SECONDS)
        return token

    def forget_all(self) -> None:
        """Revoke every key."""
        change_keys(self.keys_file, lambda keys: ())


@pytest.fixture(scope="module")
def locked(chromium: object, kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    """One worker with a file of keys."""
    directory = tmp_path_factory.mktemp("locked")
    keys_file = directory / "keys.json"
    first, _ = new_key("first", ADMIN, now_ms())
    change_keys(keys_file, lambda keys: (first,))
    with opened_beside(system(kafka, f"t{uuid.uuid4().hex[:10]}-", directory)) as found:
        found.environment["RINGONCE_API_KEYS_FILE"] = str(keys_file)
        found.environment["RINGONCE_API_FAILED_PER_MINUTE_MAX"] = "0"
        worker = found.worker("locked")
        until_status(f"{web_url(worker)}/health/ready", 200)
        yield Locked(web_url(worker), keys_file)


@pytest.fixture
def page(window: BrowserContext, locked: Locked) -> Iterator[Opened]:
    """The page of the worker that asks for keys; that it refuses is meant."""
    with opened(window, locked.url) as found:
        found.expected += ["status of 401"]
        yield found
        found.settle()


def sign_in(page: Opened, key: str, view: str = "overview") -> Page:
    """Go to a view, sign in with a key by keyboard, and wait until the view is there."""
    page.page.goto(f"{page.url}/admin#/{view}")
    expect(page.page.get_by_label("API key")).to_be_focused()
    page.keys(key, "Enter")
    expect(page.page.locator("nav#views")).to_be_attached()
    return page.page


def test_a_wrong_key_is_refused_in_words(page: Opened, locked: Locked) -> None:
    """And the field has the focus again; the right one leads to the view that was asked for."""
    page.page.goto(f"{page.url}/admin#/schedule")
    expect(page.page.get_by_label("API key")).to_be_focused()
    page.keys("no key at all", "Enter")
    expect(page.page.locator("main [role=alert]")).to_contain_text("No such key")
    expect(page.page.get_by_label("API key")).to_be_focused()
    page.keys(locked.key(*ADMIN), "Enter")
    expect(page.page.locator("h1")).to_have_text("Schedule")


def test_a_session_lasts_over_a_reload_and_no_script_can_read_it(page: Opened, locked: Locked) -> None:
    """The key is kept nowhere."""
    key = locked.key(*ADMIN)
    shown = sign_in(page, key)
    shown.reload()
    expect(shown.locator("h1")).to_have_text("Overview")
    assert shown.evaluate("document.cookie") == ""
    kept = shown.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert key not in kept
    assert key not in shown.content()


@pytest.mark.parametrize(
    ("scopes", "views", "buttons"),
    [
        (READER, set(VIEWS) - {"compose", "log"}, set()),
        (SENDER, set(VIEWS) - {"log"}, set()),
        (ADMIN, set(VIEWS), {"Start one …"}),
        (("send",), {"compose"}, set()),
    ],
    ids=["read", "read and send", "all", "send"],
)
def test_what_a_key_does_not_allow_is_not_shown(
    page: Opened, locked: Locked, scopes: tuple[Scope, ...], views: set[str], buttons: set[str]
) -> None:
    """A worker would refuse it."""
    shown = sign_in(page, locked.key(*scopes), "broadcasts")
    found = shown.locator("nav#views a").evaluate_all("(links) => links.map((link) => link.dataset.view)")
    assert set(found) == views
    if "read" in scopes:
        expect(shown.locator(".empty")).to_be_visible()
    assert set(shown.locator(".toolbar button").all_text_contents()) == buttons
    page.expected += ["status of 403"]  # a key that may only send may not list templates


def test_something_is_changed_in_a_session(page: Opened, locked: Locked) -> None:
    """The token against forgery goes with it."""
    shown = sign_in(page, locked.key(*ADMIN), "compose")
    expect(shown.get_by_label("User", exact=True)).to_be_focused()
    page.keys("user-000003", "Tab", f"k{uuid.uuid4().hex[:8]}", "Control+Enter")
    page.said("accepted")


def test_a_session_that_is_over_asks_for_the_key_again_and_stays_where_it_was(page: Opened, locked: Locked) -> None:
    """The key was revoked while the page was open."""
    shown = sign_in(page, locked.key(*ADMIN), "letters")
    expect(shown.locator("h1")).to_have_text("Dead letters")
    locked.forget_all()
    again = locked.key(*READER)
    for _ in range(30):
        if shown.get_by_label("API key").count():
            break
        page.keys("r")  # asks again, until the worker has noticed
        shown.wait_for_timeout(300)
    expect(shown.get_by_label("API key")).to_be_focused()
    expect(shown.get_by_text("Your session has ended")).to_be_visible()
    page.keys(again, "Enter")
    expect(shown.locator("h1")).to_have_text("Dead letters")


def test_somebody_signs_out(page: Opened, locked: Locked) -> None:
    """And going back shows nothing."""
    shown = sign_in(page, locked.key(*ADMIN), "templates")
    shown.get_by_role("button", name="Sign out").focus()
    page.keys("Enter")
    expect(shown.get_by_text("You are signed out.")).to_be_visible()
    shown.reload()
    expect(shown.get_by_label("API key")).to_be_focused()


def test_somebody_signs_out_while_other_workers_cannot_be_told(page: Opened, locked: Locked) -> None:
    """He is out, and reads what that means for copies of his cookie."""
    shown = sign_in(page, locked.key(*ADMIN), "templates")
    document = {"title": "Not available", "status": 503, "detail": "this browser is signed out, but who knows"}
    answered = {"status": 503, "content_type": "application/problem+json", "body": json.dumps(document)}
    shown.route("**/session", lambda route: route.fulfill(**answered) if is_removal(route) else route.continue_())
    page.expected += ["status of 503"]
    shown.get_by_role("button", name="Sign out").focus()
    page.keys("Enter")
    expect(shown.get_by_label("API key")).to_be_focused()
    expect(shown.get_by_role("status").filter(has_text="but who knows")).to_be_visible()


def is_removal(route: Route) -> bool:
    """Whether a request ends the session."""
    return route.request.method == "DELETE"
