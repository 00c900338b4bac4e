"""Whatever a template says, with whatever values: a text or a reason, never an exception, never long, never slow."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from streams.policies.rendering import (
    TEXT_CHARACTERS_MAX,
    RenderFailed,
    TemplateError,
    Text,
    TypeTemplate,
    Values,
    Variant,
    VariantKey,
    compile_source,
    render,
)
from tests.properties.template_texts import data, profiles, templates

LOCALES = ("de-AT", "ar", "pl", "zh-TW", "und", "x" * 50, "de-", "", "en-US-POSIX")
# Of this process alone, so that a busy machine does not count; the slowest that was found takes 30 ms.
CPU_SECONDS_MAX = 0.5
REASON_CHARACTERS_MAX = 1_000


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(templates, templates, data, profiles, st.one_of(st.none(), st.sampled_from(LOCALES)))
@example("{% for a in range(900) %}{% for b in range(900) %}{{ a ~ b }}{% endfor %}{% endfor %}", "", {}, {}, None)
def test_any_template_and_any_values_end_in_a_text_or_a_reason(
    title: str, body: str, values: Mapping[str, str], profile: Mapping[str, Any], locale: str | None
) -> None:
    """What compiles renders, or says why not, in bounded time and length; what does not compile says why."""
    try:
        variant = Variant(title=compile_source(title), body=compile_source(body))
    except TemplateError as error:
        assert str(error)
        return
    chosen = TypeTemplate("t", "1", "test", {VariantKey(): variant}).choose(locale, "apns")
    started_at = time.process_time()
    found = render(chosen, None, None, Values("u", "t", values, locale, profile))
    assert time.process_time() - started_at < CPU_SECONDS_MAX
    if isinstance(found, RenderFailed):
        assert 0 < len(found.reason) < REASON_CHARACTERS_MAX
    else:
        assert isinstance(found, Text)
        assert len(found.title) <= TEXT_CHARACTERS_MAX and len(found.body) <= TEXT_CHARACTERS_MAX
        assert found == render(chosen, None, None, Values("u", "t", values, locale, profile)), "the same again"
