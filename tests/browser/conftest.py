"""A real Chromium against a real system: two workers, the embedded broker, the simulators; shared by all tests here."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from tests.browser.beside import beside, opened_beside
from tests.browser.watched import Opened, opened
from tests.integration.system import System, system, web_url
from tests.integration.test_web import until_status

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DESKTOP = (1440, 900)
PHONE = (360, 740)


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """The system's Chromium, fresh. Tests are skipped where there is none, and fail where it is required."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        words = f"no Chromium on this machine ({', '.join(NAMES)}): install the system's package"
        if "browser" in os.environ.get("RINGONCE_TEST_REQUIRE", "").split(","):
            pytest.fail(f"{words}; RINGONCE_TEST_REQUIRE asks for one")
        pytest.skip(words)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS), timeout=60_000)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def running(chromium: Browser, kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Two workers that have their partitions and know all devices; only where there is a browser to look at them."""
    prefix = f"t{uuid.uuid4().hex[:10]}-"
    with opened_beside(system(kafka, prefix, tmp_path_factory.mktemp("browser"))) as found:
        found.environment["RINGONCE_HISTORY_URL"] = f"sqlite:///{found.directory / 'history.db'}"
        found.environment["RINGONCE_HISTORY"] = "worker"
        for name in ("one", "two"):
            found.worker(name)
        for worker in found.processes[1:]:
            until_status(f"{web_url(worker)}/health/ready", 200)
        beside(found.wait_for_devices)
        yield found


@pytest.fixture(scope="package")
def url(running: System) -> str:
    """Where the first worker answers."""
    return web_url(running.processes[1])


@pytest.fixture
def window(chromium: Browser) -> Iterator[BrowserContext]:
    """A window of its own, on a desk and in light."""
    context = chromium.new_context(
        viewport={"width": DESKTOP[0], "height": DESKTOP[1]}, color_scheme="light", reduced_motion="reduce"
    )
    yield context
    context.close()


@pytest.fixture
def page(window: BrowserContext, url: str) -> Iterator[Opened]:
    """The page, watched: at the end nothing may have gone wrong in it."""
    with opened(window, url) as found:
        yield found
        found.settle()
