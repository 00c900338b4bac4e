"""What a reader sees, and that no template can do more than that."""

from __future__ import annotations

import pytest

from streams.policies.rendering import TEXT_CHARACTERS_MAX, RenderFailed, Text, render


def test_templates_are_filled_with_the_data_of_the_event() -> None:
    """Title and body are rendered each on its own."""
    assert render(None, None, "Order {{ order }}", "Hi {{ name }}", {"order": "7", "name": "Al"}) == Text(
        "Order 7", "Hi Al"
    )


def test_what_the_event_brings_wins() -> None:
    """Given texts are taken as they are: they are no templates."""
    assert render("{{ a }}", "b", "T", "B", {}) == Text("{{ a }}", "b")
    assert render("given", None, "T", "B", {}) == Text("given", "B")


def test_a_push_is_not_html() -> None:
    """Nothing is escaped."""
    assert render(None, None, "{{ t }}", "", {"t": "Tom & <Jerry>"}) == Text("Tom & <Jerry>", "")


def test_a_missing_value_is_named() -> None:
    """A person sees which field and which value."""
    failed = render(None, None, "T", "Hi {{ name }}", {})
    assert failed == RenderFailed("body: 'name' is undefined")


@pytest.mark.parametrize(
    "source",
    [
        "{{ 1 // 0 }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ [].append(1) }}",
        "{{ x.y.z }}",
        "{% for i in range(10**9) %}a{% endfor %}",
        "{{ name | no_such_filter }}",
        "{{",
        "{{ 'a' * 5000 }}",
        "{{ 'a' + 1 }}",
    ],
)
def test_whatever_a_template_does_ends_in_a_reason(source: str) -> None:
    """No exception leaves it, nothing of Python is reachable from it, and its length is bounded."""
    failed = render(None, None, source, "B", {"name": "Al"})
    assert isinstance(failed, RenderFailed)
    assert failed.reason.startswith("title: ")


def test_a_text_that_no_push_can_hold_is_refused() -> None:
    """Also when the event brings it."""
    assert isinstance(render("a" * TEXT_CHARACTERS_MAX, "b", "", "", {}), Text)
    assert isinstance(render("a" * (TEXT_CHARACTERS_MAX + 1), "b", "", "", {}), RenderFailed)


def test_an_empty_push_is_refused() -> None:
    """Neither the event nor its type says anything."""
    assert isinstance(render(None, None, "", "", {}), RenderFailed)
    assert isinstance(render("", "", "T", "B", {}), RenderFailed)
