"""Every way to take one check out of a module, as changes of its syntax tree; no file is touched."""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Final, TypeVar

Change = Callable[[], None]
Node = TypeVar("Node", bound=ast.AST)

_LEAVES: Final = (ast.Raise, ast.Return, ast.Continue, ast.Break)
_CONSTRAINTS: Final = frozenset(
    {"extra", "strict", "ge", "le", "gt", "lt", "min_length", "max_length", "pattern", "validate"}
)
_OTHER: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_SQL: Final = re.compile(r"[()]|\b(?:WHERE|AND|BETWEEN|GROUP|LIMIT|ORDER|RETURNING)\b")
_SHOWN_MAX: Final = 90
_TABLE_MIN: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One removal: where it is, in which function, and what was taken out; `name` survives moved lines."""

    module: str
    index: int
    line: int
    function: str
    what: str
    in_function: bool
    """Directly so: a function inside another may be at work already when the other one is changed."""
    repeat: int = 0

    @property
    def is_removal(self) -> bool:
        """Whether a whole check is gone, not only another one in its place."""
        return self.what.startswith(("never ", "removed ", "dropped "))

    @property
    def name(self) -> str:
        """The name a reviewed list knows it by."""
        place = f"{self.module} {self.function}: {self.what}"
        return f"{place} ({self.repeat + 1})" if self.repeat else place


def mutants_of(module: str, source: str) -> list[Mutant]:
    """Gives every mutant of a module, in the order of its lines."""
    found: list[Mutant] = []
    seen: dict[tuple[str, str], int] = {}
    for index, change in enumerate(_below(ast.parse(source), _TOP)):
        repeat = seen.get((change.place.name, change.what), 0)
        seen[change.place.name, change.what] = repeat + 1
        mutant = Mutant(
            module=module,
            index=index,
            line=change.line,
            function=change.place.name,
            in_function=change.place.depth == 1,
            what=change.what,
            repeat=repeat,
        )
        found.append(mutant)
    return sorted(found, key=lambda mutant: mutant.line)


def compiled(mutant: Mutant, source: str, *, path: str) -> CodeType:
    """Gives the module's code with the check taken out."""
    tree = ast.parse(source)
    list(_below(tree, _TOP))[mutant.index].make()
    return compile(ast.fix_missing_locations(tree), path, "exec")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    name: str
    depth: int = 0


_TOP: Final = _Place(name="the module")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """One change that can be made to the very tree it was found in."""

    line: int
    place: _Place
    what: str
    make: Change


def _below(node: ast.AST, place: _Place) -> Iterator[_Change]:
    if isinstance(node, ast.Assert):
        return
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        place = _Place(name=node.name, depth=place.depth + 1)
    elif isinstance(node, ast.ClassDef):
        place = _Place(name=node.name)
    for what, make in _of(node):
        yield _Change(line=getattr(node, "lineno", 0), place=place, what=what, make=make)
    for child in ast.iter_child_nodes(node):
        yield from _below(child, place)


def _of(node: ast.AST) -> Iterator[tuple[str, Change]]:
    for kind, ways in _WAYS.items():
        if isinstance(node, kind):
            yield from ways(node)
    for name in ("body", "orelse", "finalbody"):
        statements = getattr(node, name, None)
        if isinstance(statements, list):
            yield from _statements(statements)


def _shown(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= _SHOWN_MAX else f"{text[: _SHOWN_MAX - 3]}..."


def _set(node: ast.AST, name: str, value: object) -> Change:
    return lambda: setattr(node, name, value)


def _without(items: list[ast.expr] | list[ast.keyword] | list[ast.stmt], place: int) -> Change:
    return lambda: items.__delitem__(place)


def _statements(statements: list[ast.stmt]) -> Iterator[tuple[str, Change]]:
    """A call made for what it refuses, awaited or not, and a raise."""
    for place, statement in enumerate(statements):
        value = statement.value if isinstance(statement, ast.Expr) else None
        call = isinstance(value.value if isinstance(value, ast.Await) else value, ast.Call)
        if call or isinstance(statement, ast.Raise):
            yield f"removed `{_shown(statement)}`", _replace(statements, place, ast.Pass())


def _replace(items: list[Node], place: int, new: Node) -> Change:
    return lambda: items.__setitem__(place, new)


def _if(node: ast.If) -> Iterator[tuple[str, Change]]:
    test = _shown(node.test)
    yield f"never `if {test}`", _set(node, "test", ast.Constant(value=False))
    if not isinstance(node.body[-1], _LEAVES):
        yield f"always `if {test}`", _set(node, "test", ast.Constant(value=True))


def _bool_op(node: ast.BoolOp) -> Iterator[tuple[str, Change]]:
    for place, value in enumerate(node.values):
        # One value alone is no and/or: its neighbour stands in for what is dropped.
        neighbour = node.values[place - 1 if place else 1]
        words = f"dropped `{_shown(value)}` of `{_shown(node)}`"
        yield words, _replace(node.values, place, neighbour)


def _compare(node: ast.Compare) -> Iterator[tuple[str, Change]]:
    for place, operator in enumerate(node.ops):
        other = _OTHER[type(operator)]()
        words = f"{type(operator).__name__} became {type(other).__name__} in `{_shown(node)}`"
        yield words, _replace(node.ops, place, other)


def _not(node: ast.UnaryOp) -> Iterator[tuple[str, Change]]:
    if isinstance(node.op, ast.Not):
        twice = ast.UnaryOp(op=ast.Not(), operand=node.operand)
        yield f"negated `{_shown(node)}`", _set(node, "operand", twice)


def _if_exp(node: ast.IfExp) -> Iterator[tuple[str, Change]]:
    yield f"always `{_shown(node.body)}` of `{_shown(node)}`", _set(node, "orelse", node.body)
    yield f"always `{_shown(node.orelse)}` of `{_shown(node)}`", _set(node, "body", node.orelse)


def _call(node: ast.Call) -> Iterator[tuple[str, Change]]:
    """Conditions of a statement to the database, limits of a shape, and all-or-any."""
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if called in {"where", "or_", "and_"}:
        for place, condition in enumerate(node.args):
            yield f"dropped the condition `{_shown(condition)}`", _without(node.args, place)
    if isinstance(node.func, ast.Name) and called in {"all", "any"}:
        other = "any" if called == "all" else "all"
        yield f"{called} became {other} in `{_shown(node)}`", _set(node.func, "id", other)
    for place, keyword in enumerate(node.keywords):
        if keyword.arg in _CONSTRAINTS and isinstance(keyword.value, ast.Constant | ast.Name | ast.JoinedStr):
            yield f"dropped `{_shown(keyword)}` of `{_shown(node)}`", _without(node.keywords, place)


def _calls(node: ast.Call) -> Iterator[tuple[str, Change]]:
    yield from _call(node)
    yield from _sql(node)


def _sql(node: ast.Call) -> Iterator[tuple[str, Change]]:
    """Conditions inside the text of a statement to the database."""
    if not (isinstance(node.func, ast.Name) and node.func.id == "text" and node.args):
        return
    said = node.args[0]
    if isinstance(said, ast.Constant) and isinstance(said.value, str):
        for start, end in _conditions(said.value):
            words = " ".join(said.value[start:end].split())
            changed = f"{said.value[:start]} true {said.value[end:]}"
            yield f"dropped the condition `{words}` of the statement", _set(said, "value", changed)


def _conditions(sql: str) -> Iterator[tuple[int, int]]:
    """Where each condition that stands behind WHERE or AND begins and ends."""
    depth, is_between = 0, False
    begun: list[tuple[int, int]] = []
    for found in _SQL.finditer(sql):
        word = found.group()
        depth += (word == "(") - (word == ")")
        if word == "BETWEEN" or (word == "AND" and is_between):
            is_between = word == "BETWEEN"
            continue
        ends = word not in {"(", "WHERE"} and begun and begun[-1][0] >= depth + (word == ")")
        if ends:
            yield begun.pop()[1], found.start()
        if word == "WHERE" or (word == "AND" and ends):
            begun.append((depth, found.end()))
    yield from ((start, len(sql)) for _, start in begun)


def _elements(node: ast.Tuple | ast.Set) -> Iterator[tuple[str, Change]]:
    """A table of rules or of allowed words; what is unpacked or compared keeps its size."""
    table = isinstance(node, ast.Set) or all(isinstance(item, ast.Tuple) for item in node.elts)
    if not table or len(node.elts) < _TABLE_MIN:
        return
    for place, item in enumerate(node.elts):
        if not isinstance(item, ast.Starred):
            yield f"dropped the element `{_shown(item)}`", _without(node.elts, place)


def _dict(node: ast.Dict) -> Iterator[tuple[str, Change]]:
    """A table of checks by name."""
    if len(node.values) > 1 and all(isinstance(value, ast.Name) for value in node.values):
        for place, value in enumerate(node.values):
            yield f"dropped the entry `{_shown(value)}`", _without_entry(node, place)


def _without_entry(node: ast.Dict, place: int) -> Change:
    def change() -> None:
        del node.keys[place], node.values[place]

    return change


def _comprehension(node: ast.comprehension) -> Iterator[tuple[str, Change]]:
    for place, test in enumerate(node.ifs):
        yield f"dropped `if {_shown(test)}`", _without(node.ifs, place)


def _return(node: ast.Return) -> Iterator[tuple[str, Change]]:
    value = node.value
    if isinstance(value, ast.Constant) and isinstance(value.value, bool):
        yield f"not `{_shown(node)}`", _set(value, "value", not value.value)


_WAYS: Final[dict[type[ast.AST], Callable[..., Iterator[tuple[str, Change]]]]] = {
    ast.If: _if,
    ast.BoolOp: _bool_op,
    ast.Compare: _compare,
    ast.UnaryOp: _not,
    ast.IfExp: _if_exp,
    ast.Call: _calls,
    ast.Tuple: _elements,
    ast.Set: _elements,
    ast.Dict: _dict,
    ast.comprehension: _comprehension,
    ast.Return: _return,
}
