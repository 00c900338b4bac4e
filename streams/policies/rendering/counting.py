"""Templates rewritten so that they count: what runs more than once is charged, and what makes a value checks it.

Only nodes that are listed here pass; what is not, such as an include, has no place in a message.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from jinja2 import TemplateSyntaxError, nodes, pass_context
from jinja2.visitor import NodeTransformer

from streams.policies.rendering.bounded import join
from streams.policies.rendering.limits import spend, weigh
from streams.policies.rendering.sandbox import INTERNAL

_EACH: Final = INTERNAL + "each"
_RUN: Final = INTERNAL + "run"
_KEPT: Final = INTERNAL + "kept"
_JOINED: Final = INTERNAL + "joined"
_STATIC_CHARACTERS_OF_A_STEP: Final = 64

_STATEMENTS: Final = (
    nodes.Template,
    nodes.Output,
    nodes.For,
    nodes.If,
    nodes.Macro,
    nodes.CallBlock,
    nodes.FilterBlock,
    nodes.With,
    nodes.Assign,
    nodes.AssignBlock,
)
_EXPRESSIONS: Final = (
    nodes.TemplateData,
    nodes.Name,
    nodes.NSRef,
    nodes.Const,
    nodes.Tuple,
    nodes.List,
    nodes.Dict,
    nodes.Pair,
    nodes.Keyword,
    nodes.CondExpr,
    nodes.Filter,
    nodes.Test,
    nodes.Call,
    nodes.Getitem,
    nodes.Getattr,
    nodes.Slice,
    nodes.Concat,
    nodes.Compare,
    nodes.Operand,
    nodes.BinExpr,
    nodes.UnaryExpr,
)
_TAGS: Final[dict[type[nodes.Node], str]] = {
    nodes.Include: "include",
    nodes.Import: "import",
    nodes.FromImport: "from",
    nodes.Extends: "extends",
    nodes.Block: "block",
    nodes.ScopedEvalContextModifier: "autoescape",
}


@pass_context
def each(rendering: Any, items: Iterable[Any], steps: int) -> Iterator[Any]:
    """The items of a loop, each charged with what one turn takes."""
    for item in items:
        spend(rendering, steps)
        yield item


@pass_context
def _run(rendering: Any, steps: int) -> None:
    spend(rendering, steps)


@pass_context
def _kept(rendering: Any, value: Any) -> Any:
    spend(rendering, weigh(value))
    return value


@pass_context
def _joined(rendering: Any, items: list[Any]) -> str:
    text = join("", items)
    spend(rendering, weigh(text))
    return text


FILTERS: Final = {_EACH: each, _RUN: _run, _KEPT: _kept, _JOINED: _joined}


def check_nodes(template: nodes.Template) -> None:
    """Raise TemplateSyntaxError for what has no place in a message."""
    for node in _all_nodes(template):
        if isinstance(node, nodes.For) and node.recursive:
            raise TemplateSyntaxError("a recursive loop: a message has no tree to walk", node.lineno)
        if isinstance(node, nodes.Name) and node.name == "self":
            raise TemplateSyntaxError("'self': a message has no blocks", node.lineno)
        if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice) and _is_number(node.node):
            raise TemplateSyntaxError("a number has no parts", node.lineno)
        if not isinstance(node, (*_STATEMENTS, *_EXPRESSIONS)):
            tag = _TAGS.get(type(node), type(node).__name__.lower())
            raise TemplateSyntaxError(f"{{% {tag} %}}: the template of a message stands alone", node.lineno)


def _is_number(node: nodes.Expr) -> bool:
    if isinstance(node, nodes.UnaryExpr):
        return _is_number(node.node)
    return isinstance(node, nodes.Const) and not isinstance(node.value, str)


def check_names(template: nodes.Template, filters: Iterable[str], tests: Iterable[str]) -> None:
    """Raise TemplateSyntaxError for a filter or a test that there is not, also where Jinja would find out later."""
    known = {nodes.Filter: ("filter", set(filters)), nodes.Test: ("test", set(tests))}
    for kind, (word, names) in known.items():
        for node in template.find_all(kind):
            if node.name not in names:
                raise TemplateSyntaxError(f"there is no {word} {node.name!r}", node.lineno)


def counted(template: nodes.Template) -> nodes.Template:
    """Return the template with what counts put into it."""
    rewritten: nodes.Template = _Counting().visit(template)
    return rewritten


class _Counting(NodeTransformer):
    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 (the visitor looks for this name)
        body = [*node.body, *([node.test] if node.test else [])]
        steps = nodes.Const(_steps(body))
        self.generic_visit(node)
        node.iter = _filter(_EACH, node.iter, node, steps)
        return node

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:  # noqa: N802 (as above)
        run = nodes.ExprStmt(_filter(_RUN, nodes.Const(_steps(node.body)), node), lineno=node.lineno)
        self.generic_visit(node)
        node.body.insert(0, run)
        return node

    def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.Node:  # noqa: N802 (as above)
        run = nodes.ExprStmt(_filter(_RUN, nodes.Const(_steps(node.body)), node), lineno=node.lineno)
        self.generic_visit(node)
        node.body.insert(0, run)
        return node

    def visit_AssignBlock(self, node: nodes.AssignBlock) -> nodes.Node:  # noqa: N802 (as above)
        self.generic_visit(node)
        node.filter = _filter(_KEPT, node.filter, node)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 (as above)
        self.generic_visit(node)
        return _filter(_JOINED, nodes.List(node.nodes, lineno=node.lineno), node)

    def visit_List(self, node: nodes.List) -> nodes.Node:  # noqa: N802 (as above)
        self.generic_visit(node)
        return _filter(_KEPT, node, node)

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:  # noqa: N802 (as above)
        self.generic_visit(node)
        return _filter(_KEPT, node, node)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:  # noqa: N802 (as above)
        self.generic_visit(node)
        return node if node.ctx == "store" else _filter(_KEPT, node, node)

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802 (as above)
        """What is compared with a constant is compared with little; else the other side is walked over."""
        self.generic_visit(node)
        left = node.expr
        for operand in node.ops:
            right = operand.expr
            among = operand.op in ("in", "notin")
            if not isinstance(right, nodes.Const) and (among or not isinstance(left, nodes.Const)):
                operand.expr = _filter(_KEPT, right, node)
            left = right
        return node


def _filter(name: str, value: Any, at: nodes.Node, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(value, name, list(args), [], None, None, lineno=at.lineno)


def _steps(body: Iterable[nodes.Node]) -> int:
    """What one run of these takes, loops within them but for their first step left out: they count for themselves."""
    steps = 1
    for node in body:
        if isinstance(node, nodes.TemplateData):
            steps += len(node.data) // _STATIC_CHARACTERS_OF_A_STEP
        elif isinstance(node, nodes.For):
            steps += _steps([node.iter, *node.else_])
        elif not isinstance(node, nodes.Macro | nodes.CallBlock):
            steps += _steps(node.iter_child_nodes())
        elif isinstance(node, nodes.CallBlock):
            steps += _steps([node.call])
    return steps


def _all_nodes(template: nodes.Node) -> Iterator[nodes.Node]:
    ahead: list[nodes.Node] = [template]
    while ahead:
        node = ahead.pop()
        yield node
        ahead += node.iter_child_nodes()
