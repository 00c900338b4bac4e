"""Whatever people send is shown as text: markup, scripts, writing from right to left, names without an end."""

from __future__ import annotations

import json
import uuid
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import Browser, expect

from schemas.keys import slot_key
from streams.publish.messages import Message
from tests.browser.beside import beside
from tests.browser.conftest import DESKTOP, PHONE
from tests.browser.gateway import post, scheduled, sent, until
from tests.browser.watched import Opened, opened
from tests.integration.system import System

IMAGE = "<img src=x onerror=window.hacked=1>"
SCRIPT = '"><script>window.hacked=1</script>'
RIGHT_TO_LEFT = "‮gnp.exe‮ مرحبا"
LONG = "W" * 120
TEXTS = [IMAGE, SCRIPT, "{{7*7}}${window.hacked=1}", RIGHT_TO_LEFT, LONG, "a/b?c#d&e=f%2F", "javascript:alert(1)"]


def unharmed(found: Opened) -> None:
    """Nothing of it ran, no element came of it, and nothing sticks out."""
    page = found.page
    assert page.evaluate("window.hacked") is None
    assert page.locator("main img, main script, main iframe, main object, main a[href^='javascript']").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desk", "phone"])
def test_hostile_texts_are_shown_as_they_are(
    chromium: Browser, running: System, url: str, size: tuple[int, int]
) -> None:
    """As ids of users and notifications, in data, profiles, dead letters and broadcasts."""
    run = uuid.uuid4().hex[:6]
    window = chromium.new_context(viewport={"width": size[0], "height": size[1]})
    kind = f"h{run}"
    poison = Message(slot_key(SCRIPT + run, kind), b"\xc3\x01" + IMAGE.encode())
    beside(lambda: running.produce([poison]))
    names = {text: scheduled(url, f"{text[:100]}u{run}", kind, notification_id=f"{text[:90]}{run}") for text in TEXTS}
    with opened(window, url) as found:
        page = found.go("schedule", query=f"?type={kind}")
        for text, name in names.items():
            expect(page.get_by_role("link", name=name, exact=True)).to_be_visible()
            expect(page.get_by_role("link", name=f"{text[:100]}u{run}", exact=True)).to_be_visible()
        unharmed(found)
        for text, name in names.items():
            page = found.go("users", f"{text[:100]}u{run}", kind, name)
            expect(page.locator(".timeline")).to_be_visible()
            expect(page.locator("h1")).to_contain_text(name)
            unharmed(found)
            found.go("users", f"{text[:100]}u{run}")
            expect(page.locator(".loading")).to_have_count(0)
            unharmed(found)
        until(url, f"/dead-letters?type={kind}", lambda each: each["dead_letters"])
        page = found.go("letters", query=f"?type={kind}")
        page.locator("tbody th button").first.click()
        expect(page.locator("dialog")).to_contain_text(SCRIPT + run)
        unharmed(found)
        found.settle()
    window.close()


def test_a_profile_and_a_text_are_shown_as_they_are(page: Opened) -> None:
    """Also in the preview of what a reader sees, and in a broadcast's card."""
    user = f"profile-{uuid.uuid4().hex[:6]}"
    profile = {"name": IMAGE, "locale": "de", "fields": {SCRIPT: RIGHT_TO_LEFT, "long": LONG * 20}}
    assert httpx.put(f"{page.url}/users/{user}/profile", json=profile, trust_env=False).status_code == 202
    until(page.url, f"/users/{user}/profile", lambda each: each["name"] == IMAGE)
    shown = page.go("users", user)
    expect(shown.get_by_text(IMAGE)).to_be_visible()
    expect(shown.get_by_text(SCRIPT)).to_be_visible()
    unharmed(page)
    name = f"<b>{uuid.uuid4().hex[:6]}</b>"
    post(
        page.url,
        "/broadcasts",
        {
            "broadcast_id": name,
            "type": "news",
            "audience": "all",
            "dry_run": True,
            "title": IMAGE,
            "requested_by": SCRIPT,
        },
    )
    until(page.url, f"/broadcasts/{quote(name, safe='')}", lambda each: each["state"] == "DONE" and "title" in each)
    shown = page.go("broadcasts")
    expect(shown.locator(".broadcast", has_text=name)).to_be_visible()
    shown.get_by_role("button", name=f"Details {name}").click()
    expect(shown.locator("dialog")).to_contain_text(json.dumps(SCRIPT)[1:-1])
    unharmed(page)


def test_an_address_that_names_nothing_leads_to_the_overview(page: Opened) -> None:
    """Whatever stands behind `#`."""
    for address in ("#/nothing", "#/%", "#//////", "#/users/%ZZ", "#javascript:alert(1)", f"#/{IMAGE}"):
        page.page.goto(f"{page.url}/admin{address}")
        expect(page.page.locator("h1")).to_have_text("Overview")
        unharmed(page)
    shown = page.go("users", "..")
    expect(shown.locator("[role=alert]").first).to_contain_text("A browser cannot ask for")


def test_a_user_with_many_notifications_is_read_page_by_page(page: Opened) -> None:
    """The next ones come when they are asked for."""
    user = f"many-{uuid.uuid4().hex[:6]}"
    run = uuid.uuid4().hex[:6]
    for number in range(15):
        sent(page.url, user, f"m{run}{number}")
    until(page.url, f"/users/{user}/notifications?limit=30", lambda each: len(each["notifications"]) == 15)
    shown = page.go("users", user)
    rows = shown.get_by_role("table", name="Recent notifications").locator("tbody tr")
    expect(rows).to_have_count(10)
    shown.get_by_role("button", name="Show older ones").click()
    expect(rows).to_have_count(15)
    expect(shown.get_by_role("button", name="Show older ones")).to_have_count(0)
