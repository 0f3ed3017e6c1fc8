"""A user's function with one of its lines replaced, as the user would edit it.

Its source is read, the statement of that line replaced, and the function made anew with the same globals and free
variables. The code that is put in was written here, never by a user.
"""

from __future__ import annotations

import ast
import copy
import inspect
import textwrap
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

EDITED = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Return)


def edited(
    function: Callable[..., Any], lines: Mapping[int, str], returned: Sequence[str] = ()
) -> Callable[..., Any] | None:
    """The function with other assignments in some of its lines; None where that cannot be done, or changes nothing.

    Args:
        lines: the number of a line in its file -> an assignment to a name; of what is returned in one statement
            several, one a line.
        returned: the names of the values of a returned tuple, with or without a leading "d"; none where the first is
            what the function gives and the others are for its backward pass.

    Example:
        >>> edited(len, {1: "x = 2"}) is None
        True
    """
    if not isinstance(function, types.FunctionType):
        return None
    try:
        source, start = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(source)))
        replacements = {number - start + 1: ast.parse(code).body for number, code in lines.items()}
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    definition = tree.body[0] if tree.body else None
    if not isinstance(definition, ast.FunctionDef) or not all(replacements.values()):
        return None
    definition.decorator_list = []
    before = ast.dump(tree)
    editor = _Editor(replacements, returned)
    editor.visit(tree)
    if editor.left or ast.dump(tree) == before:
        return None
    ast.increment_lineno(tree, start - 1)
    return _made(function, definition)


def statements_at(function: Callable[..., Any], number: int) -> list[ast.stmt]:
    """The assignments and returns that begin in a line of the function's file: behind `if` or `;` there may be more."""
    try:
        source, start = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(source)))
    except (OSError, TypeError, SyntaxError):
        return []
    return [n for n in ast.walk(tree) if isinstance(n, EDITED) and n.lineno == number - start + 1]


class _Editor(ast.NodeTransformer):
    """Replaces statements by the lines on which they begin."""

    def __init__(self, new: dict[int, list[ast.stmt]], returned: Sequence[str]) -> None:
        self.left, self.returned = dict(new), returned

    def visit(self, node: ast.AST) -> Any:
        """The node with what is to be replaced in it."""
        if isinstance(node, EDITED) and node.lineno in self.left:
            first, *others = self.left[node.lineno]
            new = _put_in(node, first, self.returned)
            for statement in others if isinstance(node, ast.Return) else ():
                new = _put_in(node, statement, self.returned) if new is not None else None
            if new is not None and (not others or isinstance(node, ast.Return)):
                del self.left[node.lineno]
                return ast.fix_missing_locations(ast.copy_location(new, node))
        return self.generic_visit(node)


def _put_in(old: ast.stmt, new: ast.stmt, returned: Sequence[str]) -> ast.stmt | None:
    """The new assignment in place of the old one; of what is returned its value at the key or place of that name."""
    if not isinstance(new, ast.Assign) or not isinstance(new.targets[0], ast.Name):
        return None
    name = new.targets[0].id
    if isinstance(old, ast.Return):
        if isinstance(old.value, ast.Tuple):
            place = _place(name, old.value, returned)
            if place is not None:
                old.value.elts[place] = new.value
            return old if place is not None else None
        if not isinstance(old.value, ast.Dict):
            old.value = new.value
            return old
        for k, key in enumerate(old.value.keys):
            if isinstance(key, ast.Constant) and name in (key.value, f"d{key.value!s}", f"d_{key.value!s}"):
                old.value.values[k] = new.value
                return old
        return None
    target = old.targets[0] if isinstance(old, ast.Assign) else getattr(old, "target", None)
    if isinstance(target, ast.Subscript):  # what was done to some of its places, for all of them
        target = target.value
    return new if isinstance(target, ast.Name) and target.id == name else None


def _place(name: str, values: ast.Tuple, returned: Sequence[str]) -> int | None:
    """Which value of a returned tuple has a name; without names the first, which stands before a cache."""
    if not returned:
        return 0
    places = [k for k, own in enumerate(returned) if name in (own, f"d{own}", f"d_{own}")]
    return places[0] if len(places) == 1 and len(returned) == len(values.elts) else None


def as_written(function: Callable[..., Any], number: int, code: str, returned: Sequence[str] = ()) -> str:
    """Assignments that `edited` takes, as they stand in the function: of what is returned the whole statement."""
    new = ast.parse(code).body
    takers = (s for s in statements_at(function, number) if all(_put_in(copy.deepcopy(s), n, returned) for n in new))
    statement = next(takers, None)
    if not isinstance(statement, ast.Return) or isinstance(statement.value, ast.Dict):
        return code
    if not isinstance(statement.value, ast.Tuple):
        return f"return {code.partition(' = ')[2]}"
    values = [ast.unparse(value) for value in statement.value.elts]
    for line in code.splitlines():
        name, _, value = line.partition(" = ")
        place = _place(name, statement.value, returned)
        if place is None:
            return code
        values[place] = value
    return f"return {', '.join(values)}"


def _made(function: types.FunctionType, definition: ast.FunctionDef) -> Callable[..., Any] | None:
    """The function of a changed definition, with the globals, free variables and defaults of the old one."""
    free = function.__code__.co_freevars
    outer = ast.parse(f"def outer({', '.join(free)}):\n    return {definition.name}")
    maker = outer.body[0]
    assert isinstance(maker, ast.FunctionDef)
    maker.body.insert(0, definition)
    code = compile(ast.fix_missing_locations(outer), function.__code__.co_filename, "exec")
    names: dict[str, Any] = {}
    exec(code, function.__globals__, names)  # the user's own definition, with one line that was made here
    try:
        made = names["outer"](*(cell.cell_contents for cell in function.__closure__ or ()))
    except (ValueError, NameError):
        return None
    if made.__code__.co_freevars != free:
        return None
    result = types.FunctionType(made.__code__, function.__globals__, function.__name__, None, made.__closure__)
    result.__defaults__, result.__kwdefaults__ = function.__defaults__, function.__kwdefaults__
    return result


__all__ = ["as_written", "edited", "statements_at"]
