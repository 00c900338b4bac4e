"""Templates compiled: checked, rewritten so that they count, and kept by their source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from jinja2 import Template, TemplateSyntaxError, meta, nodes

from streams.policies.rendering import counting, locale_filters, text_filters
from streams.policies.rendering.limits import SOURCE_CHARACTERS_MAX, TEXT_CHARACTERS_MAX, LimitError
from streams.policies.rendering.plain import Plain, plain
from streams.policies.rendering.sandbox import GLOBALS, Rendering, Sandbox

COMPILED_CACHED: Final = 8_192  # sources, about 5 kB each: what a new version leaves as it was is not compiled anew
BLANKS_MAX: Final = 4_096  # that a text may have around it, from loops and conditions

SANDBOX: Final = Sandbox({**text_filters.FILTERS, **locale_filters.FILTERS}, text_filters.TESTS)
EVAL_CONTEXT: Final = nodes.EvalContext(SANDBOX)
_INTERNAL: Final = dict(counting.FILTERS)
SANDBOX.filters.update(_INTERNAL)


class TemplateError(ValueError):
    """A source that is no template of ours; the sentence says what is wrong, and where."""


class Compiled:
    """One template. `variables` are the names that it reads from event and profile."""

    __slots__ = ("_lines", "_plain", "_root", "constant", "source", "variables")

    def __init__(
        self,
        source: str,
        constant: str | None,
        variables: frozenset[str],
        template: Template | None,
        plain: Plain | None = None,
    ) -> None:
        self.source: Final = source
        self.constant: Final = constant
        self.variables: Final = variables
        self._root: Callable[[Any], Iterator[str]] | None = None if template is None else template.root_render_func
        self._lines = None if template is None else template.get_corresponding_lineno
        self._plain = plain

    def plain_text(self, data: Mapping[str, str], characters_max: int = TEXT_CHARACTERS_MAX) -> str | None:
        """Return what `text` gives, where only the data of the event is needed for it; None: ask `text`."""
        if self._plain is not None:
            return self._plain.text(data, characters_max)
        return self.constant

    def text(self, rendering: Rendering, characters_max: int = TEXT_CHARACTERS_MAX) -> str:
        """Return the text, without blanks around it. Raises whatever a template can raise."""
        if self._root is None:
            return self.constant or ""
        pieces: list[str] = []
        characters = 0
        for piece in self._root(rendering):
            characters += len(piece)
            if characters > characters_max + BLANKS_MAX:
                raise _too_long(characters_max)
            pieces.append(piece)
        if rendering.exported_vars:
            rendering.forget()
        text = "".join(pieces).strip()
        if len(text) > characters_max:
            raise _too_long(characters_max)
        return text

    def line_of(self, error: BaseException) -> int | None:
        """The line of the source at which it failed, None where there is only one."""
        trace, line = error.__traceback__, None
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == "<template>" and self._lines is not None:
                line = self._lines(trace.tb_lineno)
            trace = trace.tb_next
        return line if "\n" in self.source.strip() else None


def _too_long(characters_max: int) -> LimitError:
    return LimitError(f"more than {characters_max:,} characters")


@lru_cache(maxsize=COMPILED_CACHED)
def compile_source(source: str) -> Compiled:
    """Return a template by its source. Raises TemplateError."""
    try:
        tree = parsed(source)
        static = _static_text(tree)
        if static is not None:
            static = static.strip()
            if len(static) > TEXT_CHARACTERS_MAX:
                raise TemplateError(f"{len(static):,} characters, at most {TEXT_CHARACTERS_MAX:,} fit into a push")
            return Compiled(source, static, frozenset(), None)
        variables, simple = _variables(tree), plain(tree)
        tree = counting.counted(tree)
        tree.set_environment(SANDBOX)
        template = Template.from_code(SANDBOX, SANDBOX.compile(tree), {})
    except TemplateError:
        raise
    except TemplateSyntaxError as error:
        where = f" (line {error.lineno})" if "\n" in source.strip() else ""
        raise TemplateError(f"{error.message}{where}") from None
    except (RecursionError, MemoryError, SyntaxError):
        raise TemplateError("is nested too deep") from None
    except Exception as error:  # whatever Jinja makes of a source that is none ends in a reason
        raise TemplateError(f"{type(error).__name__}: {error}") from None
    return Compiled(source, None, variables, template, simple)


def parsed(source: str) -> nodes.Template:
    """Return the checked syntax tree of a source. Raises TemplateError or what Jinja raises."""
    if len(source) > SOURCE_CHARACTERS_MAX:
        raise TemplateError(f"has {len(source):,} characters, at most {SOURCE_CHARACTERS_MAX:,} are allowed")
    tree = SANDBOX.parse(source)
    counting.check_nodes(tree)
    counting.check_names(tree, SANDBOX.filters.keys() - _INTERNAL.keys(), SANDBOX.tests)
    return tree


def _variables(tree: nodes.Template) -> frozenset[str]:
    """The names that a template reads and nothing in it sets. As Jinja's `meta` has it, but evaluating nothing."""
    tracking = meta.TrackingCodeGenerator(SANDBOX)
    tracking.optimizer = None
    tracking.visit(tree)
    return frozenset(tracking.undeclared_identifiers) - set(GLOBALS)


def _static_text(tree: nodes.Template) -> str | None:
    texts: list[str] = []
    for node in tree.body:
        if not isinstance(node, nodes.Output) or not all(isinstance(each, nodes.TemplateData) for each in node.nodes):
            return None
        texts += [each.data for each in node.nodes if isinstance(each, nodes.TemplateData)]
    return "".join(texts)
