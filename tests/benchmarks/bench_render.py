"""What rendering costs for each push, next to Jinja2 as its documentation has it, and what the worst template costs.

    python -m tests.benchmarks.bench_render [--renders N] [--rounds N] [--pushes N] [--json FILE]

The ways take turns, round by round, so that a busy machine is unjust to all alike; the figures are the best of the
rounds, in microseconds of CPU. Each way is warm: its templates are compiled, CLDR's data is loaded. Then deliver sends
so many `--pushes` with each kind of text, for what rendering costs of its throughput; 0: it does not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sys
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from connectors.embedded_kafka import EmbeddedKafka
from streams.policies.rendering import RenderFailed, Text, Values, render
from streams.templates.documents import compiled, read_document
from streams.templates.library import TemplateLibrary
from streams.types_file import NotificationTypes
from tests.benchmarks.render_deliver import Rendered, measure, new_values, repeated_values, table
from tests.benchmarks.results import measured_on, written_on

TYPES: Final = NotificationTypes.load()
WARM_UP: Final = 100
KIND: Final = "order_ready"
DATA: Final = {"name": "Alice", "order": "1234"}
RICH: Final = {
    "title": "{{ at | date('long') }}: {{ price | money('EUR') }}",
    "body": "{{ count | number }} {{ count | plural(one='order', other='orders') }} for {{ name | default('you') }}",
    "link": "shop://orders/{{ order | urlencode }}",
    "image": "https://img.example.com/{{ order }}.png",
    "data": {"screen": "order"},
}
WORST: Final = (
    "{% for a in range(900) %}{% for b in range(900) %}{{ [a, b] | map('string') | join }}{% endfor %}{% endfor %}"
)


def ways() -> dict[str, Callable[[int], object]]:
    """Each way renders its n-th push."""
    policy = TYPES.policy(KIND)
    assert policy is not None, "one of the sample types"
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    title, body = environment.from_string(policy.title), environment.from_string(policy.body)
    library = TemplateLibrary(TYPES)
    library.put("topic", compiled(read_document("rich", RICH), "topic"))
    worst = library.within(compiled(read_document("worst", {"title": WORST}), "topic"))

    def jinja(number: int) -> object:
        values = {"data": DATA, "user_id": f"u{number}", "type": KIND, **DATA}
        return title.render(values), body.render(values)

    lean = [environment.from_string(source) for source in (policy.title, policy.body)]
    for template in lean:
        template.globals = dict(template.globals)  # a ChainMap, copied at each rendering, is most of what it costs

    def jinja_lean(number: int) -> object:
        values = {"data": DATA, "user_id": f"u{number}", "type": KIND, **DATA}
        return [template.render(values) for template in lean]

    def ours(number: int) -> object:
        return _rendered(library, Values(f"u{number}", KIND, DATA, "de-AT"))

    def rich(number: int) -> object:
        return _rendered(library, Values(f"u{number}", "rich", new_values(number), "de-AT"))

    def repeated(number: int) -> object:
        return _rendered(library, Values(f"u{number}", "rich", repeated_values(number), "de-AT"))

    def values_alone(number: int) -> object:
        return Values(f"u{number}", "rich", new_values(number), "de-AT")

    def cut_off(number: int) -> object:
        failed = render(worst.choose(None, None), None, None, Values(f"u{number}", "worst", DATA))
        assert isinstance(failed, RenderFailed), "it is cut off"
        return failed

    return {
        "Jinja2 as documented: the sample's title and body": jinja,
        "Jinja2 without its ChainMap: the same": jinja_lean,
        "ours: the same": ours,
        "ours: date, amount, number, plural, link, image, data; values repeat": repeated,
        "ours: the same; no value twice": rich,
        "of these two, what making the values takes": values_alone,
        "ours: loops in loops, cut off": cut_off,
    }


def _rendered(library: TemplateLibrary, values: Values) -> Text:
    chosen = library.choose(values.type, values.locale, "apns")
    assert not isinstance(chosen, RenderFailed), "it is there"
    text = render(chosen, None, None, values)
    assert isinstance(text, Text), text
    return text


def measured(renders: int, rounds: int) -> dict[str, float]:
    """Microseconds of CPU for a push, by way."""
    best: dict[str, float] = {}
    kept = ways()
    for turn in range(rounds):
        for name, way in kept.items():
            count = max(1, renders // 100) if "cut off" in name else renders
            for number in range(WARM_UP):
                way(number)
            started_at = time.process_time()
            for number in range(turn * renders, turn * renders + count):
                way(number)
            best[name] = min(best.get(name, 1e9), (time.process_time() - started_at) / count * 1e6)
    return best


def page(found: dict[str, float], sent: list[str], on: Mapping[str, Any]) -> str:
    """The results as tables."""
    rows = [f"| {name} | {microseconds:,.1f} |" for name, microseconds in found.items()]
    return "\n".join(["| what | CPU µs/push |", "|---|---:|", *rows, "", *sent, *written_on(on), ""])


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--renders", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pushes", type=int, default=15_000)
    parser.add_argument("--deliver-rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = measured(options.renders, options.rounds)
    sent: list[Rendered] = []
    if options.pushes:
        with EmbeddedKafka() as kafka:
            sent = asyncio.run(measure(RICH, options.pushes, options.deliver_rounds, kafka.bootstrap))
    command = f"python -m tests.benchmarks.bench_render {' '.join(sys.argv[1:])}".strip()
    on = measured_on(command, 0)
    on["versions"] = {name: version(name) for name in ("jinja2", "babel")} | {"python": platform.python_version()}
    text = page(found, table(sent, options.pushes, options.deliver_rounds) if sent else [], on)
    print(text)
    if options.json is not None:
        results = {**on, "cpu_us_per_push": found, "deliver": [one._asdict() for one in sent]}
        options.json.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        options.json.with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
