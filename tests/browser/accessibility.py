"""What can be checked of WCAG 2.2 by a program, in the page as it is: names, landmarks, headings, contrast, sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

TEXT_RATIO, LARGE_RATIO = 4.5, 3.0
LARGE_PX, LARGE_BOLD_PX = 24.0, 18.66
TARGET_PX = 24.0

FINDINGS = (Path(__file__).parent / "findings.js").read_text(encoding="utf-8")


def findings(page: Page) -> list[str]:
    """Return what is wrong with the page as it is now."""
    least = {
        "text": TEXT_RATIO,
        "large": LARGE_RATIO,
        "largePx": LARGE_PX,
        "largeBoldPx": LARGE_BOLD_PX,
        "targetPx": TARGET_PX,
    }
    found: list[str] = page.evaluate(FINDINGS, least)
    return found


FOCUS = (Path(__file__).parent / "focus.js").read_text(encoding="utf-8")


def tab_order(page: Page, stops_max: int = 60) -> list[dict[str, Any]]:
    """Press Tab from the beginning on, and return each place of the focus until it leaves the page or comes round."""
    # Where the focus has been last is where Tab goes on from: so it is put to the very beginning.
    page.evaluate("document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute('tabindex')")
    page.evaluate("scrollTo(0, 0)")
    found: list[dict[str, Any]] = []
    for _ in range(stops_max):
        page.keyboard.press("Tab")
        at = page.evaluate(FOCUS)
        if at is None or (found and at["html"] == found[0]["html"]):
            break
        found.append(at)
    return found
