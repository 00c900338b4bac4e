"""A worker that stands still while the page is open: it is said, what is left is shown, and it comes back."""

from __future__ import annotations

import signal

from playwright.sync_api import expect

from tests.browser.watched import Opened
from tests.integration.system import System, web_url
from tests.integration.test_web import until_status


def test_a_worker_that_stands_still_is_named(page: Opened, running: System) -> None:
    """The others go on; once it answers again, nothing needs anybody any more."""
    other = running.processes[2]
    shown = page.go("overview")
    expect(shown.locator("#connection")).to_have_text("2 workers")
    other.popen.send_signal(signal.SIGSTOP)
    try:
        expect(shown.locator("#connection")).to_have_text("1 of 2 workers")
        expect(shown.locator(".attention")).to_contain_text(f"{web_url(other)} does not answer")
        row = shown.get_by_role("table", name="Workers, and which partitions").locator("tr", has_text=web_url(other))
        expect(row).to_contain_text("no answer")
        expect(shown.get_by_text("every promise is kept")).to_have_count(0)
    finally:
        other.popen.send_signal(signal.SIGCONT)
    for worker in running.processes[1:]:
        until_status(f"{web_url(worker)}/health/ready", 200)
    expect(shown.locator("#connection")).to_have_text("2 workers", timeout=90_000)


def test_a_page_whose_worker_is_gone_says_so_and_goes_on_asking(page: Opened) -> None:
    """The figures of before stay, marked as such; when it answers again, the words go."""
    page.expected += ["net::ERR_INTERNET_DISCONNECTED"]
    shown = page.go("overview")
    expect(shown.locator("#connection")).to_have_text("2 workers")
    shown.context.set_offline(True)
    expect(shown.locator("#connection")).to_have_text("no answer")
    expect(shown.locator("main [role=alert]")).to_contain_text("cannot be reached")
    expect(shown.locator(".plot").first).to_be_visible()
    shown.context.set_offline(False)
    expect(shown.locator("#connection")).to_have_text("2 workers")
    expect(shown.locator("main [role=alert]")).to_be_empty()
