"""Whole tasks without a mouse, from the key that begins them to what becomes of them in the system."""

from __future__ import annotations

import re
import uuid

import pytest
from playwright.sync_api import expect

from schemas.keys import slot_key
from streams.publish.messages import Message
from tests.browser.beside import beside
from tests.browser.gateway import post, scheduled, sent, until
from tests.browser.watched import Opened
from tests.integration.system import System

USER = "user-000001"


def kind() -> str:
    """A type that no other test uses: its slots are free."""
    return f"k{uuid.uuid4().hex[:8]}"


def test_a_user_is_found_and_a_story_is_read(page: Opened) -> None:
    """`/`, the id, Enter; from there by Tab to a notification, and what became of it step by step."""
    type = kind()
    name = sent(page.url, USER, type)
    until(page.url, f"/notifications/{USER}/{type}/{name}", lambda each: each["state"] == "ACCEPTED")
    shown = page.go("overview")
    page.keys("/", USER, "Enter")
    expect(shown.locator("h1")).to_have_text(f"User {USER}")
    expect(shown.get_by_role("heading", name="Devices")).to_be_visible()
    expect(shown.get_by_role("table", name="Devices").locator("tbody tr")).to_have_count(1)
    expect(shown.get_by_role("link", name=name)).to_be_visible()
    page.tab_to(name)
    page.keys("Enter")
    expect(shown.locator("h1")).to_contain_text(name)
    steps = shown.locator(".timeline > li .chip")
    expect(steps.last).to_have_text("accepted")
    assert [step.strip() for step in steps.all_text_contents()] == ["admitted", "sending", "attempted", "accepted"]
    expect(shown.locator(".timeline")).to_contain_text(re.compile(r"statuses-\d+@\d+"))
    expect(shown.get_by_role("heading", name="The slot now")).to_be_visible()


def test_one_is_composed_and_followed_to_its_end(page: Opened) -> None:
    """The keys g c, the fields in their order, Ctrl+Enter; the story goes on beside the form until it has ended."""
    shown = page.go("overview")
    page.keys("g", "c")
    expect(shown.locator("h1")).to_have_text("Compose")
    expect(shown.get_by_label("User", exact=True)).to_be_focused()
    page.keys(USER, "Tab", kind())
    page.tab_to("Title")
    page.keys("Hello there", "Control+Enter")
    page.said("accepted")
    expect(shown.locator(".sent .timeline > li .chip").last).to_have_text("accepted")
    expect(shown.get_by_role("link", name="The whole story")).to_be_visible()


def test_the_history_is_searched(page: Opened) -> None:
    """By user and type; a notification leads to its story."""
    type = kind()
    name = sent(page.url, USER, type)
    until(page.url, f"/history?user={USER}&type={type}&state=ACCEPTED", lambda each: each["notifications"])
    shown = page.go("history")
    shown.get_by_label("User", exact=True).fill(USER)
    shown.get_by_label("Type", exact=True).fill(type)
    page.keys("Enter")
    expect(shown.locator("tbody tr")).to_have_count(1)
    expect(shown.locator("tbody .chip")).to_have_text("accepted")
    page.tab_to(name)
    page.keys("Enter")
    expect(shown.locator(".timeline > li .chip").last).to_have_text("accepted")


def test_what_an_admin_did_stands_in_the_log(page: Opened) -> None:
    """The newest first, with what it was done to."""
    name = f"b-{uuid.uuid4().hex[:8]}"
    post(page.url, "/broadcasts", {"broadcast_id": name, "type": kind(), "audience": "all", "dry_run": True})
    post(page.url, f"/broadcasts/{name}/cancel", {})
    shown = page.go("log")
    expect(shown.locator("tbody tr", has_text=f"/broadcasts/{name}/cancel").first).to_contain_text("broadcast.cancel")


def test_a_mistake_is_shown_beside_its_field(page: Opened) -> None:
    """And the focus is there, so that it can be mended at once."""
    shown = page.go("compose")
    page.keys(USER, "Tab", "no type at all", "Control+Enter")
    expect(shown.get_by_label("Type")).to_be_focused()
    expect(shown.get_by_label("Type")).to_have_attribute("aria-invalid", "true")
    expect(shown.locator(".wrong:not(:empty)")).to_have_count(1)
    page.expected.append("status of 400")


def test_one_is_scheduled_moved_and_cancelled(page: Opened) -> None:
    """Each asks first; Escape leaves it as it is, and gives the focus back."""
    type = kind()
    name = scheduled(page.url, USER, type)
    shown = page.go("schedule", query=f"?type={type}")
    page.tab_to(f"Cancel {name}")
    page.keys("Enter")
    expect(shown.get_by_role("dialog", name="Cancel this notification?")).to_be_visible()
    page.keys("Escape")
    expect(shown.get_by_role("button", name=f"Cancel {name}")).to_be_focused()
    before = until(page.url, f"/schedule?type={type}", lambda each: each["notifications"])["notifications"][0]
    shown.get_by_role("button", name=f"Move {name}").focus()
    page.keys("Enter")
    shown.get_by_label("Due at").fill("2030-01-01T10:00:00")
    page.keys("Enter")
    page.said("It is moved.")
    after = until(page.url, f"/schedule?type={type}", lambda each: each["notifications"])["notifications"][0]
    assert after["due_at"] > before["due_at"]
    shown.get_by_role("button", name=f"Cancel {name}").focus()
    page.keys("Enter")
    expect(shown.get_by_role("button", name="Cancel it")).to_be_focused()
    page.keys("Enter")
    page.said("It is cancelled.")
    expect(shown.get_by_text("Nothing waits.")).to_be_visible()
    until(page.url, f"/notifications/{USER}/{type}/{name}", lambda each: each["state"] == "CANCELLED")


def test_a_broadcast_is_started_paused_resumed_and_cancelled(page: Opened) -> None:
    """It goes slowly, so that there is something to pause; its card says how far it is."""
    shown = page.go("broadcasts")
    name = f"b-{uuid.uuid4().hex[:8]}"
    page.keys("n")
    expect(shown.get_by_role("dialog", name="Start a broadcast")).to_be_visible()
    expect(shown.get_by_label("Type")).to_be_focused()
    page.keys(kind())
    shown.get_by_label("Id", exact=True).fill(name)
    shown.get_by_label("Users a second").fill("1")
    page.tab_to("Only count who would be told")
    page.keys("Space")
    page.tab_to("Start")
    page.keys("Enter")
    page.said(f"{name} is started.")
    card = shown.locator(".broadcast", has_text=name)
    expect(card.locator(".chip").first).to_have_text("running")
    expect(card.locator(".progress-words")).to_contain_text("of 60 users")
    for action, verb, state in (
        ("Pause", "Pause it", "paused"),
        ("Resume", "Go on", "running"),
        ("Cancel", "Cancel it", "cancelled"),
    ):
        card.get_by_role("button", name=f"{action} {name}").focus()
        page.keys("Enter")
        expect(shown.get_by_role("button", name=verb)).to_be_focused()
        page.keys("Enter")
        expect(card.locator(".chip").first).to_have_text(state)
    told = until(page.url, f"/broadcasts/{name}", lambda each: each["state"] == "CANCELLED")
    assert told["emitted"] < 60


def test_a_dry_run_tells_nobody(page: Opened) -> None:
    """It is what the form does unless it is told otherwise: a page must not tell everybody by mistake."""
    shown = page.go("broadcasts")
    page.keys("n")
    name = shown.get_by_label("Id", exact=True).input_value()
    page.keys(kind())
    page.tab_to("Start")
    page.keys("Enter")
    card = shown.locator(".broadcast", has_text=name)
    expect(card.locator(".chip").first).to_have_text("done")
    expect(card).to_contain_text("dry run")
    assert until(page.url, f"/broadcasts/{name}", lambda each: each["state"] == "DONE")["emitted"] == 0


@pytest.fixture
def letter(running: System, page: Opened) -> str:
    """A dead letter of a type of its own, which is returned."""
    type = kind()
    poison = Message(slot_key(USER, type), b"\xc3\x01 no such schema")
    beside(lambda: running.produce([poison]))
    until(page.url, f"/dead-letters?type={type}", lambda each: each["dead_letters"])
    return type


def test_a_dead_letter_is_inspected_and_replayed(page: Opened, letter: str) -> None:
    """With its bytes; once, and the second time it is said in words why not."""
    shown = page.go("letters", query=f"?type={letter}")
    place = shown.locator("tbody th button").text_content() or ""
    page.tab_to(f"Show the letter at {place}")
    page.keys("Enter")
    dialog = shown.get_by_role("dialog", name=f"Dead letter {place}")
    expect(dialog).to_contain_text("6e 6f 20 73 75 63 68")
    page.keys("Escape")
    expect(shown.get_by_role("button", name=f"Show the letter at {place}")).to_be_focused()
    page.tab_to(f"Replay the letter at {place}")
    page.keys("Enter")
    expect(shown.get_by_role("dialog", name="Replay this letter?")).to_be_visible()
    shown.get_by_role("button", name="Replay it").focus()
    page.keys("Enter")
    page.said(f"The letter at {place} is replayed.")
    shown.get_by_role("button", name=f"Replay the letter at {place}").focus()
    page.keys("Enter")
    shown.get_by_role("button", name="Replay it").focus()
    page.keys("Enter")
    expect(shown.locator("dialog [role=alert]")).not_to_be_empty()
    page.expected.append("status of 409")


def test_letters_are_replayed_by_a_filter(page: Opened) -> None:
    """One that died of its data is replayed once, under a new id, and dies again; the second time it is refused."""
    type, name = "price_alert", f"n-{uuid.uuid4().hex[:8]}"
    post(page.url, "/notifications", {"user_id": "user-000007", "type": type, "notification_id": name, "data": {}})
    until(page.url, f"/dead-letters?id={name}", lambda each: each["dead_letters"])
    shown = page.go("letters", query=f"?id={name}")
    expect(shown.locator("tbody tr")).to_have_count(1)
    page.tab_to("Replay these …")
    page.keys("Enter")
    expect(shown.get_by_role("dialog", name="Replay what the filter finds?")).to_contain_text(f"id = {name}")
    page.tab_to("Replay")
    page.keys("Enter")
    page.said("1 letter replayed, 0 not.")
    shown.get_by_role("button", name="Replay these …").focus()
    page.keys("Enter")
    page.tab_to("Replay")
    page.keys("Enter")
    page.said("0 letters replayed, 1 not.")
    expect(shown.get_by_role("dialog", name="Not replayed")).to_be_visible()


def test_all_letters_are_replayed_only_by_whoever_says_so(page: Opened, letter: str) -> None:
    """Without a filter it takes the word."""
    shown = page.go("letters")
    page.tab_to("Replay these …")
    page.keys("Enter")
    expect(shown.get_by_role("dialog", name="Replay all dead letters?")).to_be_visible()
    shown.get_by_label("Type all to go on").fill("some")
    page.keys("Enter")
    expect(shown.locator("dialog [role=alert]")).to_contain_text("Type all")


def test_a_template_is_previewed_and_its_mistakes_are_shown(page: Opened) -> None:
    """With values for what it uses; without one of them, where it is missing."""
    shown = page.go("templates")
    page.tab_to("order_ready")
    page.keys("Enter")
    expect(shown.locator(".push-title")).to_have_text("Order 1234 is ready")
    expect(shown.locator(".push-body")).to_have_text("Hi Alice, your order 1234 is ready!")
    shown.get_by_label("Data: value").first.fill("<b>7</b>")
    expect(shown.locator(".push-title")).to_have_text("Order <b>7</b> is ready")
    shown.get_by_label("Data: name").first.fill("another")
    expect(shown.locator(".preview-place [role=alert]")).to_contain_text("order")
    page.expected.append("status of 422")


def test_a_device_is_removed_and_a_user_forgotten(page: Opened) -> None:
    """The one is asked for once, the other takes the id."""
    user = "user-000055"
    shown = page.go("users", user)
    expect(shown.get_by_role("table", name="Devices").locator("tbody tr")).to_have_count(1)
    shown.get_by_role("button", name=re.compile("^Remove the device")).focus()
    page.keys("Enter", "Enter")
    page.said("is being removed")
    expect(shown.get_by_text("No device is registered")).to_be_visible()
    shown.get_by_role("button", name="Forget …").focus()
    page.keys("Enter", "somebody else", "Enter")
    expect(shown.locator("dialog [role=alert]")).to_contain_text("That is another id.")
    shown.get_by_label("User id").fill(user)
    page.keys("Enter")
    expect(shown.locator("h1")).to_have_text("Users")


def test_the_keys_are_listed(page: Opened) -> None:
    """`?` shows them, Escape closes the list; none of them works while somebody types."""
    shown = page.go("schedule")
    page.keys("?")
    dialog = shown.get_by_role("dialog", name="Keys")
    expect(dialog).to_contain_text("Find a user")
    expect(dialog).to_contain_text("Load anew")
    page.keys("Escape")
    expect(dialog).to_have_count(0)
    shown.get_by_label("Type").focus()
    page.keys("?", "g", "o")
    expect(shown.get_by_label("Type")).to_have_value("?go")
    expect(shown.locator("h1")).to_have_text("Schedule")


def test_a_plot_is_read_by_keyboard(page: Opened) -> None:
    """It is a slider along time, and a table on demand."""
    shown = page.go("overview")
    slider = shown.get_by_role("slider", name="Events by decision")
    expect(slider).to_have_attribute("aria-valuetext", re.compile(r"\d\d:\d\d:\d\d: "))
    slider.focus()
    page.keys("Home")
    expect(slider).to_have_attribute("aria-valuenow", "0")
    page.keys("ArrowRight")
    expect(slider).to_have_attribute("aria-valuenow", "1")
    table = shown.locator(".plot", has=slider).get_by_role("button", name="Table")
    table.focus()
    page.keys("Enter")
    expect(table).to_have_attribute("aria-expanded", "true")
    expect(shown.get_by_role("region", name="Events by decision: table").locator("tbody tr").nth(1)).to_be_visible()


def test_the_figures_can_be_made_to_stand_still(page: Opened) -> None:
    """`p` stops them, and again lets them go on."""
    shown = page.go("overview")
    slider = shown.get_by_role("slider").first
    expect(slider).to_have_attribute("aria-valuetext", re.compile(r"\d\d:\d\d:\d\d"))
    page.keys("p")
    before = slider.get_attribute("aria-valuetext")
    shown.wait_for_timeout(4_500)
    assert slider.get_attribute("aria-valuetext") == before
    page.keys("p")
    expect(slider).not_to_have_attribute("aria-valuetext", before or "")


def test_a_choice_of_colours_is_kept(page: Opened) -> None:
    """From the system's to light to dark, also when the page is loaded anew."""
    shown = page.go("schedule")
    page.keys("t", "t")
    page.said("dark")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    assert shown.evaluate(ground) == "rgb(13, 16, 22)"
    shown.reload()
    expect(shown.locator("h1")).to_have_text("Schedule")
    assert shown.evaluate(ground) == "rgb(13, 16, 22)"
