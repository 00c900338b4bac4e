"""Templates that are nothing but text and names, as most are: where the event has the names, nothing is to be computed.

    Hi {{ name | default('there') }}, your order {{ order }} is ready!

Such a text is put together by one call of Python. What comes of it is what the template itself would give, which is
asked wherever this has no answer: a name that the event does not have, a text that is too long.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any, Final

from jinja2 import nodes

_DEFAULTS: Final = ("d", "default")


class Plain:
    """One such template."""

    __slots__ = ("_form", "_values")

    def __init__(self, form: str, names: list[str]) -> None:
        self._form = form
        self._values = itemgetter(*names)

    def text(self, data: Mapping[str, str], characters_max: int) -> str | None:
        """Return the text without blanks around it; None: ask the template."""
        try:
            text = (self._form % self._values(data)).strip()
        except KeyError:
            return None
        return text if len(text) <= characters_max else None


def plain(tree: nodes.Template) -> Plain | None:
    """Return it for a syntax tree that is no more than that; None: it is more."""
    form: list[str] = []
    names: list[str] = []
    for output in tree.body:
        if not isinstance(output, nodes.Output):
            return None
        for node in output.nodes:
            if isinstance(node, nodes.TemplateData):
                form.append(node.data.replace("%", "%%"))
                continue
            name = _name(node)
            if name is None:
                return None
            form.append("%s")
            names.append(name)
    return Plain("".join(form), names) if names else None


def _name(node: Any) -> str | None:
    """The name of the event that a node shows; with a default, which counts only where the event does not have it."""
    if isinstance(node, nodes.Filter) and node.name in _DEFAULTS:
        if len(node.args) != 1 or not isinstance(node.args[0], nodes.Const):
            return None
        if node.kwargs or node.dyn_args or node.dyn_kwargs:
            return None
        node = node.node
    return node.name if isinstance(node, nodes.Name) else None
