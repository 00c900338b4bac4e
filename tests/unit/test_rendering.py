"""What a reader sees, and that no template can do more than that."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest

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
from streams.time_zones import zone_named

SECONDS_MAX = 1.0  # a hundred times what the worst of these takes; a second of a busy machine
FIELDS = ("title", "body", "image", "link")
WHERE = "t, template 1 of the test, any locale, any provider, title: "


def type_template(background: bool = False, /, **fields: str) -> TypeTemplate:
    """A template with one variant, for everybody."""
    title, body, image, link = (compile_source(fields[name]) if name in fields else None for name in FIELDS)
    variant = Variant(title, body, image, link)
    return TypeTemplate("t", "1", "test", {VariantKey(): variant}, background=background)


def values(data: Mapping[str, str] | None = None, **more: Any) -> Values:
    return Values("u", "t", data or {}, **more)


def shown(source: str, locale: str | None = None, **data: str) -> str:
    """The text of one template."""
    text = render(type_template(title=source).choose(locale, "apns"), None, None, values(data, locale=locale))
    assert isinstance(text, Text), text
    return text.title


def reason(source: str, **data: str) -> str:
    """Why one template has no text, from where it says what is wrong."""
    try:
        failed = render(type_template(title=source).choose(None, "apns"), None, None, values(data))
    except TemplateError as error:
        return str(error)
    assert isinstance(failed, RenderFailed), failed
    assert failed.reason.startswith(WHERE)
    return failed.reason.removeprefix(WHERE)


def test_templates_are_filled_with_the_data_of_the_event() -> None:
    """Each field on its own; values for the app come from the event and the template, and the event's win."""
    template = TypeTemplate(
        "t",
        "1",
        "test",
        {
            VariantKey(): Variant(
                title=compile_source("Order {{ order }}"),
                body=compile_source("Hi {{ name }}"),
                image=compile_source("https://img.example.com/{{ order }}.png"),
                link=compile_source("shop://orders/{{ order }}"),
                data={"screen": compile_source("order {{ order }}"), "name": compile_source("x")},
            )
        },
    )
    text = render(template.choose(None, None), None, None, values({"order": "7", "name": "Al"}))
    assert text == Text("Order 7", "Hi Al", "https://img.example.com/7.png", "shop://orders/7", {"screen": "order 7"})


def test_what_the_event_brings_wins() -> None:
    """Given texts are taken as they are: they are no templates."""
    chosen = type_template(title="T", body="B").choose(None, None)
    assert render(chosen, "{{ a }}", "b", values()) == Text("{{ a }}", "b", data={})
    assert render(chosen, "given", None, values()) == Text("given", "B", data={})


def test_the_event_wins_over_the_profile() -> None:
    """Names of the event, then what it is, then the profile; null is as if it were not there."""
    profile = {"name": "Profile", "city": "Graz", "tags": ["a", "b"], "gone": None, "type": "p"}
    chosen = type_template(
        title="{{ name }} {{ city }} {{ tags | join('+') }} {{ gone | d('-') }} {{ type }} {{ user_id }} {{ locale }}"
    ).choose("de", None)
    text = render(chosen, None, None, values({"name": "Event"}, profile=profile, locale="de"))
    assert isinstance(text, Text)
    assert text.title == "Event Graz a+b - t u de"


def test_a_push_is_not_html() -> None:
    """Nothing is escaped, and blanks around a text are not part of it."""
    assert shown("\n {{ t }}\n", t="Tom & <Jerry>") == "Tom & <Jerry>"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ name }}", "'name' is missing: neither the event nor the profile has it"),
        ("{{ name | upper }}", "'name' is missing: neither the event nor the profile has it"),
        ("{{ name | date }}", "'name' is missing: neither the event nor the profile has it"),
        ("{{ name.first }}", "'name' is missing: neither the event nor the profile has it"),
        ("{{ name() }}", "'name' is missing: neither the event nor the profile has it"),
        ("{% for each in names %}x{% endfor %}", "'names' is missing: neither the event nor the profile has it"),
        ("{{ data.name }}", "'name' is missing in a mapping"),
        ("{{ data['name'] }}", "'name' is missing in a mapping"),
    ],
)
def test_a_missing_value_is_named(source: str, said: str) -> None:
    """A person sees which value of which field of which template."""
    assert reason(source) == said


def test_a_mistake_in_a_long_template_names_its_line() -> None:
    """Where there is more than one."""
    chosen = type_template(title="one\n{{ two }}").choose(None, None)
    failed = render(chosen, None, None, values())
    assert isinstance(failed, RenderFailed)
    assert failed.reason.startswith("t, template 1 of the test, any locale, any provider, title, line 2: 'two' is")


def test_a_fallback_stands_in_for_what_is_missing() -> None:
    """Jinja's `default`, also for an empty value where it says so."""
    assert shown("{{ name | default('you') }} {{ data.nick | d('-') }} {{ e | default('E', true) }}", e="") == "you - E"


@pytest.mark.parametrize(
    "source",
    [
        "{{ 1 // 0 }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ ''['__class__'] }}",
        "{{ range.__globals__ }}",
        "{{ name.format(1) }}",
        "{{ '{0.__class__}' | format(1) }}",
        "{{ [].append(1) }}",
        "{{ data.update(a=1) }}",
        "{{ x.y.z }}",
        "{{ name | no_such_filter }}",
        "{% if false %}{{ name | no_such_filter }}{% endif %}",
        "{{ name is no_such_test }}",
        "{{ ['a'] | map('no_such_filter') | list }}",
        "{{ ['a'] | map(' each', -1000000) | list }}",
        "{{ name | safe }}",
        "{{ name | random }}",
        "{{ lipsum() }}",
        "{{",
        "{% include 'x' %}",
        "{% extends 'x' %}",
        "{% import 'x' as x %}",
        "{% from 'x' import y %}",
        "{% block x %}{% endblock %}",
        "{% autoescape true %}{% endautoescape %}",
        "{% for x in [] recursive %}{% endfor %}",
        "{{ self }}",
        "{{ 'a' + 1 }}",
        "{{ range }}",
        "{{ data }}",
        "{{ data.items }}",
        "{{ [1, 2] }}",
        "{{ none }}",
        "{{ ((-1) ** 0.5) }}",
        "{{ name % 1 }}",
    ],
)
def test_whatever_a_template_does_ends_in_a_reason(source: str) -> None:
    """No exception leaves it, and nothing of Python is reachable from it."""
    assert reason(source, name="Al")


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in range(10**9) %}a{% endfor %}",
        "{% for i in range(-10**40, 10**40) %}a{% endfor %}",
        "{% for a in range(900) %}{% for b in range(900) %}{{ a }}{% endfor %}{% endfor %}",
        "{% for a in range(900) %}{% for b in range(900) if false %}{% endfor %}{% endfor %}",
        "{% for a in range(900) %}{% for b in range(900) %}{{ loop.length }}{% endfor %}{% endfor %}",
        "{% for a in range(900) %}{{ range(900) | map('string') | join }}{% endfor %}",
        "{% for a in range(900) %}{{ range(900) | select('odd') | list | length }}{% endfor %}",
        "{% for a in range(900) %}{{ range(900) | sort | length }}{% endfor %}",
        "{% for a in range(900) %}{% set x %}" + "x" * 7_000 + "{% endset %}{% endfor %}",
        "{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}",
        "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
        "{% macro m() %}{{ caller() }}{{ caller() }}{% endmacro %}"
        "{% for a in range(900) %}{% for b in range(900) %}{% call m() %}x{% endcall %}{% endfor %}{% endfor %}",
        "{{ 'a' * 10**9 }}",
        "{{ 10**9 * 'a' }}",
        "{{ ([1] * 10**9) | length }}",
        "{{ 'a' | center(10**9) }}",
        "{{ 'a'.center(10**9) }}",
        "{{ '1'.zfill(10**9) }}",
        "{{ ('a' * 9000).replace('a', 'b' * 9000) }}",
        "{{ ('a' * 9000) | replace('a', 'b' * 9000) }}",
        "{{ ('b' * 9000).join('a' * 9000) }}",
        "{{ ('a' * 9000) | join('b' * 9000) }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '%*d' % (1000000000, 1) }}",
        "{{ '%.1000000000f' | format(1.5) }}",
        "{{ '%(a)s%(a)s' % {'a': 1} }}",
        "{{ 10**10**10 }}",
        "{{ 2 ** 64 ** 64 }}",
        "{{ 10 | round(10**9, 'ceil') }}",
        "{{ ('f' * 16000) | int(0, 16) }}",
        "{{ 1 | number(10**9) }}",
        "{{ '1e999999999' | number }}",
        "{{ now | date('y' * 9000) }}",
        "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% set ns = namespace(x='a') %}"
        "{% for i in range(99) %}{% set ns.x %}{{ ns.x }}{{ ns.x }}{% endset %}{% endfor %}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}",
        "{% set ns = namespace(x=(1,)) %}{% for i in range(99) %}{% set ns.x = (ns.x, ns.x) %}{% endfor %}",
        "{% set ns = namespace(x={}) %}{% for i in range(99) %}{% set ns.x = {1: ns.x, 2: ns.x} %}{% endfor %}",
        "{% set ns = namespace(x={}) %}{% for i in range(99) %}{% set ns.x = dict(a=ns.x, b=ns.x) %}{% endfor %}",
        "{% set a = 'a' * 9 %}" + "{% set a = a ~ a %}" * 90,
        "{% macro m(x) %}{{ m([x, x]) }}{% endmacro %}{{ m(1) }}",
        "{{ 'a' * 9000 }}",
        "{{ t }}{{ t }}{{ t }}",
        "{{ " + "(" * 4000 + "1" + ")" * 4000 + " }}",
        "{{ " + "1+" * 4000 + "1 }}",
        "{{ " + "[" * 4000 + "]" * 4000 + " }}",
        "{% if t %}" * 700,
        "{% for a in 'b' %}" * 50 + "{% endfor %}" * 50,
        "{{ " + "9" * 8000 + " }}",
        "x" * 9_000,
    ],
)
def test_what_would_take_too_long_or_too_much_is_cut_off(source: str) -> None:
    """It ends at once, with an error that says of what there was too much."""
    started_at = time.thread_time()
    assert reason(source, t="x" * 3_000, now="1766595600000")
    assert time.thread_time() - started_at < SECONDS_MAX


def test_what_a_message_needs_is_far_from_the_limits() -> None:
    """A list of a hundred, with conditions and numbers."""
    source = (
        "{% for item in items.split(';') %}{% if not loop.first %}, {% endif %}{{ loop.index }}. {{ item | upper }}"
        "{% if item == 'b' %} ({{ '1234.5' | money('EUR') }}){% endif %}{% endfor %}"
    )
    text = shown(source, items=";".join("abcd"[number % 4] for number in range(100)))
    assert text.startswith("1. A, 2. B (€1,234.50), 3. C, 4. D, 5. A")
    assert text.endswith("100. D")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ names.split(',') | map('trim') | sort | join('/') }}", "Al/Bo/Cy"),
        ("{{ data | dictsort | map('join', ': ') | join(', ') }}", "names: Bo, Al,Cy"),
        ("{% set n = names.split(',') | length %}{{ n }}{{ n * 2 }}", "36"),
        ("{{ [3, 1] | sum }} {{ [3, 1] | max }} {{ 7.5 | round | int }}", "4 3 8"),
        ("{{ names | truncate(6, leeway=0) }}", "Bo,..."),
        ("{{ 'a b' | urlencode }} {{ 'tom tit' | title }} {{ '<b>x</b>' | striptags }}", "a%20b Tom Tit x"),
        ("{{ '%05.1f' % 3.14159 }} {{ '%s-%s' | format(1, 'a') }}", "003.1 1-a"),
        (
            "{% macro hi(who, end='!') %}Hi {{ who }}{{ end }}{% endmacro %}{{ hi('Al') }}{{ hi('Bo', '?') }}",
            "Hi Al!Hi Bo?",
        ),
        ("{% macro box() %}[{{ caller() }}]{% endmacro %}{% call box() %}x{% endcall %}", "[x]"),
        ("{% filter upper %}loud{% endfilter %}", "LOUD"),
        ("{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}", "3"),
        ("{% for a, b in [('x', 1), ('y', 2)] %}{{ a }}{{ b }}{{ loop.cycle('-', '.') }}{% endfor %}", "x1-y2."),
        ("{% for a in [] %}{% else %}none{% endfor %}", "none"),
        ("{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.current }}", "aba"),
        ("{{ 'yes' if 'Al' in names else 'no' }}{{ 'x' if false }}", "yes"),
        ("{{ names[:2] }}{{ names[-2:] }}{{ {'a': 1}.a }}{{ {'a': 1}.get('b', 2) }}", "BoCy12"),
        ("{{ [1, 2, 3] | select('odd') | list | length }}{{ 3 is odd }}{{ 'x' is defined }}", "2TrueTrue"),
        ("{{ [{'a': 1}, {'a': 2}] | map(attribute='a') | join('+') }}", "1+2"),
    ],
)
def test_what_jinja_can_do_for_a_message_it_can_do_here(source: str, text: str) -> None:
    """The limits take nothing away that a text needs."""
    assert shown(source, names="Bo, Al,Cy") == text


def test_a_text_that_no_push_can_hold_is_refused() -> None:
    """Also when the event brings it."""
    chosen = type_template(title="").choose(None, None)
    assert isinstance(render(chosen, "a" * TEXT_CHARACTERS_MAX, "b", values()), Text)
    assert isinstance(render(chosen, "a" * (TEXT_CHARACTERS_MAX + 1), "b", values()), RenderFailed)
    assert isinstance(render(chosen, None, "b", values({"x": "y" * 20_000})), RenderFailed)


def test_an_empty_push_is_refused_unless_its_type_shows_nothing() -> None:
    """Neither the event nor its type says anything; a background type has no text whatever its templates say."""
    empty = type_template(title="", body="").choose(None, None)
    assert isinstance(render(empty, None, None, values()), RenderFailed)
    assert isinstance(render(type_template(title="T").choose(None, None), "", "", values()), RenderFailed)
    silent = type_template(True, title="{{ nobody }}", body="B").choose(None, None)
    assert render(silent, None, None, values()) == Text("", "", data={})
    assert render(silent, "T", None, values()) == Text("T", "", data={})


@pytest.mark.parametrize(
    ("field", "url", "said"),
    [
        ("image", "http://x.example/a.png", "must be an https:// URL"),
        ("image", "https:///a.png", "must be an https:// URL"),
        ("image", "https://x.example/{{ name }}.png", "write values into it with `| urlencode`"),
        ("image", "data:image/png;base64,AA", "must be an https:// URL"),
        ("link", "orders/7", "must be a URL with its scheme"),
        ("link", "javascript:alert(1)", "a link of the scheme javascript is not opened"),
        ("link", "JavaScript:alert(1)", "a link of the scheme javascript is not opened"),
        ("link", "shop://orders/{{ name }}", "write values into it with `| urlencode`"),
        ("link", "shop://" + "x" * 2_100, "at most 2,048 are allowed"),
    ],
)
def test_an_address_that_is_none_is_refused(field: str, url: str, said: str) -> None:
    """An image is fetched by the device, a link is opened by it: neither may be anything else."""
    chosen = type_template(title="T", **{field: url}).choose(None, None)
    failed = render(chosen, None, None, values({"name": "Jörg Müller"}))
    assert isinstance(failed, RenderFailed)
    assert failed.reason.startswith(f"t, template 1 of the test, any locale, any provider, {field}: ")
    assert said in failed.reason


def test_an_address_that_a_condition_leaves_empty_is_none() -> None:
    """A push without an image is one all the same."""
    chosen = type_template(title="T", image="{% if pic %}https://x.example/{{ pic }}{% endif %}").choose(None, None)
    assert render(chosen, None, None, values()) == RenderFailed(
        "t, template 1 of the test, any locale, any provider, image: "
        "'pic' is missing: neither the event nor the profile has it"
    )
    assert render(chosen, None, None, values({"pic": ""})) == Text("T", "", data={})


def test_what_one_template_sets_the_next_one_does_not_see() -> None:
    """Title and body are rendered one after the other, each on its own."""
    chosen = type_template(title="{% set name = 'x' %}{{ name }}", body="{{ name }}").choose(None, None)
    assert render(chosen, None, None, values({"name": "Al"})) == Text("x", "Al", data={})


def test_the_profile_is_plain_data() -> None:
    """What is no text, number, list or mapping is refused, and said by its name."""
    chosen = type_template(title="{{ who }}").choose(None, None)
    failed = render(chosen, None, None, values(profile={"who": [zone_named("UTC")]}))
    assert isinstance(failed, RenderFailed)
    assert failed.reason.endswith("'who' of the profile holds a ZoneInfo")
