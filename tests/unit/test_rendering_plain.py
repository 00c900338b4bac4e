"""Templates of text and names alone are put together without the template; what comes of it is the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.policies.rendering import Text, TypeTemplate, Values, Variant, compile_source, render
from streams.policies.rendering.compiling import EVAL_CONTEXT, SANDBOX, Compiled
from streams.policies.rendering.limits import TEXT_CHARACTERS_MAX
from streams.policies.rendering.render import ENGLISH
from streams.policies.rendering.sandbox import Rendering

PLAIN = (
    "Order {{ order }} is ready",
    "{{ name }}",
    "Hi {{ name | default('there') }}, your order {{ order }} is ready!",
    "  100 % of {{ order }}%s {{ name | d('x') }}  ",
    "{{ order }}{{ order }}{# a comment #}",
)
NOT_PLAIN = (
    "{{ name | upper }}",
    "{{ name | default('there', true) }}",
    "{{ name | default(order) }}",
    "{{ data.name }}",
    "{% if name %}{{ name }}{% endif %}",
    "{% set name = 'x' %}{{ name }}",
    "{{ name ~ order }}",
)
NAMES = st.sampled_from(("name", "order", "type", "user_id", "other"))
EVENTS = st.dictionaries(NAMES, st.text(max_size=30), max_size=4)


def rendered(template: Compiled, values: Values) -> str:
    """What the template itself gives."""
    own = {"data": values.data, "user_id": values.user_id, "type": values.type, "locale": "en"}
    rendering = Rendering(SANDBOX, EVAL_CONTEXT, values.data, values.profile, own, values.zone, ENGLISH)
    return template.text(rendering)


@given(EVENTS, st.sampled_from(PLAIN))
def test_it_is_what_the_template_gives(data: dict[str, str], source: str) -> None:
    """Whatever the event holds: the same text, or the template is asked."""
    template = compile_source(source)
    text = template.plain_text(data)
    missing = template.variables - data.keys()
    assert (text is None) == bool(missing)
    if text is not None:
        assert text == rendered(template, Values("u", "t", data))


@pytest.mark.parametrize("source", NOT_PLAIN)
def test_what_computes_is_rendered(source: str) -> None:
    """Where there is more than text and names, the template is asked, also where the event has all names."""
    assert compile_source(source).plain_text({"name": "a", "order": "b", "data": "c"}) is None


def test_a_text_that_is_too_long_is_left_to_the_template() -> None:
    """It knows what to say of it."""
    template = compile_source("{{ name }}")
    assert template.plain_text({"name": "x" * TEXT_CHARACTERS_MAX}) is not None
    assert template.plain_text({"name": "x" * (TEXT_CHARACTERS_MAX + 1)}) is None


def test_a_name_that_the_event_lacks_is_found_elsewhere() -> None:
    """The profile, and what is said of the event itself, count as ever."""
    variant = Variant(
        title=compile_source("{{ type }} for {{ name }}"), body=compile_source("{{ other | default('-') }}")
    )
    chosen = TypeTemplate("t", "1", "test", {}, variant).choose(None, "apns")
    text = render(chosen, None, None, Values("u", "t", {}, profile={"name": "Ann"}))
    assert isinstance(text, Text)
    assert (text.title, text.body) == ("t for Ann", "-")
