"""The table of scopes: every route has an entry, and what changes something asks for more than reading does."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.lane.app import LaneApp
from streams.web.contract.operations import OPERATIONS
from streams.web.security.scopes import ROUTES, SAFE_METHODS, rule_of
from tests.unit.front_bench import front_app, front_settings, routes_of

WITHOUT_EFFECT = {("POST", "/session"), ("DELETE", "/session"), ("POST", "/templates/render")}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> LaneApp:
    """A worker with its whole front."""
    return front_app(front_settings(tmp_path_factory.mktemp("front")))


def test_every_route_has_an_entry(app: LaneApp) -> None:
    """A route that is added without one is found here; the guard refuses it besides."""
    found = list(routes_of(app))
    assert len(found) > 40
    assert [route for route in found if rule_of(*route) is None] == []


def test_the_description_of_the_api_says_the_same(app: LaneApp) -> None:
    """Who may call what is decided in the table, and told by the OpenAPI document."""
    told = {(each.method, each.path): each for each in OPERATIONS}
    for route, operation in told.items():
        rule = ROUTES[route]
        assert {"metrics": "read"}.get(rule.access, rule.access) == operation.scope, route
        if operation.body is not None and rule.bytes_max is not None:
            assert rule.bytes_max >= operation.body.bytes_max, route


def test_a_route_without_an_entry_has_no_rule(app: LaneApp) -> None:
    """So the check above can fail."""
    assert rule_of("POST", "/slots/{user_id}/{type}") is None
    assert rule_of("GET", "/table") is None


def test_what_changes_something_needs_more_than_read() -> None:
    """Only what sends and changes nothing is open to readers."""
    unsafe = {route: rule for route, rule in ROUTES.items() if route[0] not in SAFE_METHODS}
    assert {route for route, rule in unsafe.items() if rule.access not in ("send", "admin")} == WITHOUT_EFFECT


def test_every_admin_action_has_a_name_for_the_audit_log() -> None:
    """What an admin changes is written down under a name; reading is no action."""
    for (method, path), rule in ROUTES.items():
        is_action = rule.access == "admin" and method not in SAFE_METHODS
        assert bool(rule.action) == is_action, path


def test_a_worker_without_keys_has_no_file_that_it_would_need(tmp_path: Path) -> None:
    """Open on loopback: nothing is written for it."""
    front_app(front_settings(tmp_path))
    assert list(tmp_path.iterdir()) == []
