"""The admin page in a window, watched for whatever must not happen: errors, violations of the policy, other hosts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, expect

SECONDS_MAX = 30.0
TABS_MAX = 80
KEYS = {"Enter", "Tab", "Escape", "Home", "End", "ArrowLeft", "ArrowRight", "Space", "Backspace"}
NOT_THERE = "the server responded with a status of 404"
FOCUSED = """() => {
  const at = document.activeElement;
  const labels = [...(at.labels ?? [])].map((each) => each.textContent.trim());
  return at.getAttribute("aria-label") ?? labels[0] ?? at.textContent.trim();
}"""
VIEWS = {
    "overview": "Overview",
    "users": "Users",
    "schedule": "Schedule",
    "broadcasts": "Broadcasts",
    "letters": "Dead letters",
    "templates": "Templates",
    "history": "History",
    "log": "Audit log",
    "compose": "Compose",
}
VIOLATIONS = (
    "window.violations = []; addEventListener('securitypolicyviolation', (e) => violations.push(e.violatedDirective))"
)

expect.set_options(timeout=SECONDS_MAX * 1000)


@dataclass(slots=True)
class Opened:
    """A page, its address, and what has gone wrong in it so far. `expected`: words of console errors that are meant.

    What is not there is meant: a user may have no profile, and a browser says so in its console. So is what comes again
    by itself: while one request reads the dead letters, or partitions move.
    """

    page: Page
    url: str
    wrong: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=lambda: [NOT_THERE, "status of 429", "status of 503"])

    def go(self, view: str, *parts: str, query: str = "") -> Page:
        """Go to a view by its address, and wait until it is there."""
        path = "/".join(quote(part, safe="") for part in (view, *parts))
        self.page.goto(f"{self.url}/admin#/{path}{query}")
        expect(self.page.locator("main > h1")).to_be_visible()
        return self.page

    def keys(self, *keys: str) -> None:
        """Press keys one after the other; a text that is no key is typed."""
        for key in keys:
            if len(key) == 1 or key in KEYS or "+" in key:
                self.page.keyboard.press(key)
            else:
                self.page.keyboard.type(key)

    def tab_to(self, name: str) -> None:
        """Press Tab until something with this name has the focus, as somebody without a mouse does."""
        for _ in range(TABS_MAX):
            if self.page.evaluate(FOCUSED) == name:
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"no way to {name!r} by Tab; the focus is at {self.page.evaluate(FOCUSED)!r}")

    def said(self, words: str) -> None:
        """Wait until a screen reader has been told this."""
        expect(self.page.locator("#said")).to_contain_text(words)

    def settle(self) -> None:
        """Nothing has gone wrong. Raises AssertionError with what has."""
        self.wrong += [f"policy: {each}" for each in self.page.evaluate("window.violations ?? []")]
        left = [each for each in self.wrong if not any(words in each for words in self.expected)]
        assert not left, left


@contextmanager
def opened(window: BrowserContext, url: str) -> Iterator[Opened]:
    """Open a page in this window that is watched; it shows nothing yet."""
    page = window.new_page()
    page.set_default_timeout(SECONDS_MAX * 1000)
    page.add_init_script(VIOLATIONS)
    found = Opened(page, url)

    def console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            found.wrong.append(f"{message.type}: {message.text} {message.location.get('url', '')}")

    def asked(request: Request) -> None:
        if urlsplit(request.url).netloc != urlsplit(url).netloc and not request.url.startswith("data:"):
            found.wrong.append(f"another host: {request.url}")

    page.on("console", console)
    page.on("pageerror", lambda error: found.wrong.append(f"error: {error}"))
    page.on("request", asked)
    try:
        yield found
    finally:
        page.close()
