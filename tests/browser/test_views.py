"""Every view, on a desk and on a phone, in light and in dark: it is there, it fits, and nothing goes wrong in it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import DESKTOP, PHONE
from tests.browser.watched import VIEWS, Opened, opened


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desk", "phone"])
def test_every_view_is_there_and_fits(chromium: Browser, url: str, size: tuple[int, int], theme: str) -> None:
    """Nothing sticks out to the side, and there is one heading of the first level, named like the view."""
    window = chromium.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if theme == "dark" else "light",
    )
    with opened(window, url) as found:
        for view, words in VIEWS.items():
            page = found.go(view)
            expect(page.locator("h1")).to_have_text(words)
            expect(page.locator(".loading")).to_have_count(0)
            sticks_out = page.evaluate(
                "document.documentElement.scrollWidth > innerWidth ? document.documentElement.scrollWidth : 0"
            )
            assert sticks_out == 0, view
        found.settle()
    window.close()


def test_the_overview_shows_what_goes_on(page: Opened) -> None:
    """Plots, both workers, all partitions; and that nothing needs anybody."""
    shown = page.go("overview")
    expect(shown.locator("#connection")).to_have_text("2 workers")
    expect(shown.get_by_role("table", name="Workers, and which partitions").locator("tbody tr")).to_have_count(2)
    expect(shown.locator(".plot").first).to_be_visible()
    expect(shown.get_by_text("every promise is kept")).to_be_visible()
