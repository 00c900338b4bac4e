"""Draw the diagrams of docs/concepts.md anew, from what simulated worlds really do. Takes about a minute."""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "concepts.md"
sys.path.insert(0, str(ROOT))  # the tests are no installed package

from tests.simulation.drawing import draw, stages_diagram, states_diagram  # noqa: E402 (after the path is set)


def main() -> None:
    logging.disable(logging.CRITICAL)  # failures of simulated workers are no news
    drawn = draw()
    text = PAGE.read_text(encoding="utf-8")
    for name, diagram in (("stages", stages_diagram(drawn)), ("states", states_diagram(drawn))):
        block = f"<!-- drawn: {name} -->\n```mermaid\n{diagram}\n```\n<!-- end -->"
        text, replaced = re.subn(
            rf"<!-- drawn: {name} -->.*?<!-- end -->", lambda _, new=block: new, text, flags=re.DOTALL
        )
        assert replaced == 1, f"{PAGE} has no place for the diagram of the {name}"
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
