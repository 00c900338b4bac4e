"""The page for those who do not see it, or see it badly, or have no mouse."""

from __future__ import annotations

import uuid

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.accessibility import findings, tab_order
from tests.browser.conftest import DESKTOP, PHONE
from tests.browser.gateway import scheduled, sent, until
from tests.browser.watched import VIEWS, Opened, opened

USER = "user-000002"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desk", "phone"])
def test_every_view_passes_what_a_program_can_check(
    chromium: Browser, url: str, size: tuple[int, int], theme: str
) -> None:
    """With something in each of them, and with the dialogs open."""
    kind = f"a{uuid.uuid4().hex[:8]}"
    name = sent(url, USER, kind)
    until(url, f"/notifications/{USER}/{kind}/{name}", lambda each: each["final"])
    scheduled(url, USER, kind)
    window = chromium.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if theme == "dark" else "light",
        reduced_motion="reduce",
    )
    with opened(window, url) as found:
        wrong: dict[str, list[str]] = {}
        for view in VIEWS:
            page = found.go(view)
            expect(page.locator(".loading")).to_have_count(0)
            if view == "overview":
                expect(page.locator(".plot .line").first).to_be_attached()
            wrong[view] = findings(page)
        places: tuple[tuple[str, ...], ...] = (
            ("users", USER),
            ("users", USER, kind),
            ("users", USER, kind, name),
            ("templates", "order_ready"),
        )
        for place in places:
            page = found.go(*place)
            expect(page.locator(".loading")).to_have_count(0)
            wrong["/".join(place)] = findings(page)
        page = found.go("broadcasts")
        found.keys("n")
        expect(page.get_by_role("dialog")).to_be_visible()
        wrong["a form"] = findings(page)
        found.keys("Escape", "?")
        expect(page.get_by_role("dialog")).to_be_visible()
        wrong["keys"] = findings(page)
        found.settle()
        assert {view: each for view, each in wrong.items() if each} == {}
    window.close()


def test_the_check_can_fail(page: Opened) -> None:
    """A button without a name, a faint text, a heading out of order, an id twice: each is found."""
    shown = page.go("schedule")
    expect(shown.locator(".loading")).to_have_count(0)
    assert findings(shown) == []
    shown.evaluate(
        """() => {
          const make = (name, text) => {
            const made = document.createElement(name);
            made.textContent = text;
            document.querySelector("main").append(made);
            return made;
          };
          make("button", "");
          make("p", "faint").style.color = "rgb(200, 200, 200)";
          make("h4", "too deep");
          make("p", "twice").id = "main";
          make("table", "no caption");
        }"""
    )
    found = "\n".join(findings(shown))
    for words in ("no name", "contrast", "a heading of level 4", "id twice: main", "no caption"):
        assert words in found


@pytest.mark.parametrize("view", list(VIEWS))
def test_the_focus_goes_through_the_page_in_order_and_is_seen(page: Opened, view: str) -> None:
    """The first stop skips to the content; each has a ring, none is hidden, and none jumps the queue."""
    shown = page.go(view)
    expect(shown.locator(".loading")).to_have_count(0)
    stops = tab_order(shown)
    assert stops[0]["name"] == "Skip to the content"
    assert len(stops) > len(VIEWS)
    assert [stop for stop in stops if not stop["ring"]] == []
    assert [stop for stop in stops if not stop["inside"]] == []
    assert [stop for stop in stops if stop["tabindex"] > 0] == []


def test_the_focus_stays_in_a_dialog_and_comes_back(page: Opened) -> None:
    """As long as it is open, nothing behind it can be reached."""
    shown = page.go("broadcasts")
    page.tab_to("Start one …")
    page.keys("Enter")
    expect(shown.get_by_role("dialog")).to_be_visible()
    for _ in range(40):
        page.keys("Tab")
        assert shown.evaluate(
            "document.activeElement === document.body || document.activeElement.closest('dialog') !== null"
        )
    page.keys("Escape")
    expect(shown.get_by_role("button", name="Start one …")).to_be_focused()


def test_the_skip_link_leads_to_the_content(page: Opened) -> None:
    """Past the header and the navigation, without leaving the view."""
    shown = page.go("schedule")
    shown.locator(".skip").focus()
    page.keys("Enter")
    assert shown.evaluate("document.activeElement.id") == "main"
    expect(shown.locator("h1")).to_have_text("Schedule")


def test_on_a_phone_the_menu_is_opened_and_closed_by_key(chromium: Browser, url: str) -> None:
    """Its button says whether it is open; Escape closes it and gives the focus back."""
    window = chromium.new_context(viewport={"width": PHONE[0], "height": PHONE[1]}, has_touch=True, is_mobile=True)
    with opened(window, url) as found:
        page = found.go("overview")
        menu = page.get_by_role("button", name="Menu")
        expect(menu).to_have_attribute("aria-expanded", "false")
        expect(page.get_by_role("link", name="Dead letters").first).not_to_be_in_viewport()
        menu.focus()
        found.keys("Enter")
        expect(menu).to_have_attribute("aria-expanded", "true")
        page.locator("nav#views a").first.focus()
        found.keys("Escape")
        expect(menu).to_be_focused()
        expect(menu).to_have_attribute("aria-expanded", "false")
        menu.tap()
        page.locator("nav#views").get_by_role("link", name="Dead letters").tap()
        expect(page.locator("h1")).to_have_text("Dead letters")
        expect(menu).to_have_attribute("aria-expanded", "false")
        found.settle()
    window.close()


def test_nothing_moves_for_those_who_do_not_want_it(chromium: Browser, url: str) -> None:
    """No transition is left where less motion is asked for."""
    window = chromium.new_context(reduced_motion="reduce")
    with opened(window, url) as found:
        page = found.go("overview")
        moving = page.evaluate(
            """[...document.querySelectorAll("*")].filter((each) => {
              const style = getComputedStyle(each);
              const moves = style.transitionDuration.split(", ").some((part) => parseFloat(part) > 0);
              return style.animationName !== "none" || moves;
            }).map((each) => each.outerHTML.slice(0, 80))"""
        )
        assert moving == []
        found.settle()
    window.close()
