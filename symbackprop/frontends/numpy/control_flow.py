"""Control flow that depends on data, rewritten in the user's source so that both ways can be followed.

An `if` becomes the two arms, one after the other, between calls that ask which are to run and merge what they leave
(`branches`); a `for` hands its items over one by one, or one symbolic item for all (`loops`). Conditional expressions,
`and`, `or`, `not`, chained comparisons and comprehensions become calls as well. Code that jumps out of an arm
is first brought into a form in which it does not: what follows `if c: continue` becomes the other arm. Lines keep
their numbers. Nothing is rewritten of which the source is not found, or is not that of the code.
"""

from __future__ import annotations

import ast
import copy
import linecache
import types
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

MOST_COPIED = 400  # nodes of what follows a jump, which may be copied into both arms
Names = tuple[str, ...]


def rewritten_code(code: types.CodeType) -> types.CodeType:
    """The code of a function with its control flow as calls; the code itself where its source is not known."""
    source = "".join(linecache.getlines(code.co_filename))
    found = _codes(code.co_filename, source).get((code.co_qualname, code.co_firstlineno))
    return found[1] if found is not None and found[0] == code else code


@lru_cache(maxsize=64)
def _codes(file: str, source: str) -> dict[tuple[str, int], tuple[types.CodeType, types.CodeType]]:
    """The functions of a file: (qualified name, first line) -> (code as it is, code rewritten)."""
    try:
        tree = ast.parse(source)
        plain = compile(tree, file, "exec", dont_inherit=True)
        new = compile(ast.fix_missing_locations(_Rewriter().visit(tree)), file, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError):
        return {}
    before, after = _by_name(plain), _by_name(new)
    return {key: (before[key], after[key]) for key in before.keys() & after.keys()}


def _by_name(code: types.CodeType) -> dict[tuple[str, int], types.CodeType]:
    """The code objects inside, without those that share name and line."""
    inside = list(_inside(code))
    counts = Counter((c.co_qualname, c.co_firstlineno) for c in inside)
    named = {(c.co_qualname, c.co_firstlineno): c for c in inside}
    return {key: c for key, c in named.items() if counts[key] == 1}


def _inside(code: types.CodeType) -> Iterator[types.CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield constant
            yield from _inside(constant)


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_SCOPES = (*_FUNCTIONS, ast.ClassDef, ast.GeneratorExp, ast.ListComp, ast.SetComp, ast.DictComp)
_LOOPS = (ast.For, ast.While, ast.AsyncFor)
_SUSPENDS = (ast.Yield, ast.YieldFrom, ast.Await, ast.Global)
_RESULT = "__returned__"


def _own(nodes: ast.AST | list[ast.stmt], stop: tuple[type[ast.AST], ...]) -> Iterator[ast.AST]:
    """All nodes inside, without what stands in nodes of the kinds `stop`, which are given themselves."""
    stack: list[ast.AST] = list(reversed(nodes)) if isinstance(nodes, list) else [nodes]
    while stack:
        node = stack.pop()
        yield node
        if not isinstance(node, stop):
            stack.extend(ast.iter_child_nodes(node))


def _has(nodes: ast.AST | list[ast.stmt], kinds: type[ast.AST] | tuple[type[ast.AST], ...]) -> bool:
    return any(isinstance(n, kinds) for n in _own(nodes, _SCOPES))


def _jumps(body: list[ast.stmt], kind: type[ast.stmt]) -> bool:
    """True if `continue`, or `return`, leaves these statements by way of ifs alone."""
    return any(
        isinstance(s, kind) or (isinstance(s, ast.If) and (_jumps(s.body, kind) or _jumps(s.orelse, kind)))
        for s in body
    )  # fmt: skip


def _always_jumps(body: list[ast.stmt]) -> bool:
    if not body:
        return False
    last = body[-1]
    if isinstance(last, ast.If):
        return _always_jumps(last.body) and _always_jumps(last.orelse)
    return isinstance(last, (ast.Return, ast.Continue, ast.Break, ast.Raise))


def _assigned(body: list[ast.stmt]) -> Names:
    """The names that statements bind in their own function."""
    found: dict[str, None] = {}
    for node in _own(body, _SCOPES):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.ExceptHandler(name=str(name)):
                found[name] = None
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AsyncFunctionDef(name=name):
                found[name] = None
            case ast.alias(name=name, asname=other):
                found[other or name.partition(".")[0]] = None
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                found[name] = None
            case ast.GeneratorExp() | ast.ListComp() | ast.SetComp() | ast.DictComp():
                found |= {n.target.id: None for n in ast.walk(node) if isinstance(n, ast.NamedExpr)}
    return tuple(found)


def _locals(function: ast.FunctionDef) -> frozenset[str]:
    """The names that a function binds, and that are its own."""
    given = function.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]
    shared = (n for n in _own(function.body, _SCOPES) if isinstance(n, ast.Global | ast.Nonlocal))
    elsewhere = {name for statement in shared for name in statement.names}
    used = {n.id for s in ast.walk(function) if isinstance(s, _SCOPES) and s is not function
            for n in ast.walk(s) if isinstance(n, ast.Name)}  # fmt: skip
    return frozenset({a.arg for a in every} | set(_assigned(function.body))) - elsewhere - used


def _growing(body: list[ast.stmt]) -> Names:
    """The names of lists and dictionaries that may get more items here: hs.append(h), hs[t] = h."""
    found: dict[str, None] = {}
    for node in _own(body, _SCOPES):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append" | "insert")):
                found[name] = None
            case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store()):
                found[name] = None
    return tuple(found)


def _mangled(names: Names) -> bool:
    return any(n.startswith("__") and not n.endswith("__") for n in names)


class _Rewriter(ast.NodeTransformer):
    """Rewrites every function of a module."""

    def __init__(self) -> None:
        self.count = 0
        self.function = False
        self.locals: frozenset[str] = frozenset()  # the names that the function binds itself
        self.open: list[str] = []  # the branches and loops around a statement, in its function
        self.emptied: set[ast.expr] = set()  # what a call goes through before anything else is done

    # --- functions

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        """A function, whose last statements may return in an arm."""
        node.decorator_list = [self.visit(d) for d in node.decorator_list]
        node.args = self.visit(node.args)
        before, self.function, around, self.open = self.function, True, self.open, []
        outer, self.locals = self.locals, _locals(node)
        generator = _has(node.body, (ast.Yield, ast.YieldFrom))
        node.body = self._block(node.body, "" if generator else "return") or [ast.Pass()]
        self.function, self.open, self.locals = before, around, outer
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AsyncFunctionDef:
        """Coroutines are refused when they are called."""
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        """Only the methods of a class are rewritten: its own statements ran long ago."""
        before, self.function = self.function, False
        node.body = [self.visit(s) if isinstance(s, (ast.FunctionDef, ast.ClassDef)) else s for s in node.body]
        self.function = before
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.Lambda:
        """The expression of a lambda is one of a function."""
        node.args = self.visit(node.args)
        before, self.function = self.function, True
        node.body = self.visit(node.body)
        self.function = before
        return node

    # --- statements

    def _block(self, body: list[ast.stmt], tail: str = "") -> list[ast.stmt]:
        """Statements, rewritten.

        Args:
            tail: the jump that leaves the block as its end does: "return", or "continue" in the body of a loop.
        """
        kind: type[ast.stmt] | None = {"return": ast.Return, "continue": ast.Continue}.get(tail)
        result: list[ast.stmt] = []
        for k, statement in enumerate(body):
            rest = body[k + 1 :]
            if kind and isinstance(statement, ast.If) and _jumps([statement], kind) and self._may_move(statement, rest):
                moved = _moved(statement, rest)
                if tail == "return":
                    result += self._branch(self._returning(moved), tail)
                    load = ast.Name(_RESULT, ast.Load())
                    return [*result, ast.copy_location(ast.Return(load), statement)]
                return result + self._branch(moved, tail)
            if tail == "continue" and isinstance(statement, ast.Continue):
                return result
            new = self.visit(statement)
            result += new if isinstance(new, list) else [new]
            if isinstance(statement, (ast.Return, ast.Continue, ast.Break, ast.Raise)):
                return result
        return result

    def _may_move(self, statement: ast.If, rest: list[ast.stmt]) -> bool:
        """True unless much would be copied."""
        if _always_jumps(statement.body) or _always_jumps(statement.orelse):
            return True
        return sum(1 for s in rest for _ in ast.walk(s)) <= MOST_COPIED

    def _returning(self, node: ast.If) -> ast.If:
        """The branch at the end of a function, in which what was returned is assigned instead."""
        return ast.copy_location(
            ast.If(node.test, self._result(node.body, node), self._result(node.orelse, node)), node
        )  # fmt: skip

    def _result(self, body: list[ast.stmt], at: ast.stmt) -> list[ast.stmt]:
        new: list[ast.stmt] = []
        for k, statement in enumerate(body):
            if isinstance(statement, ast.Return):
                value = statement.value or ast.Constant(None)
                new.append(ast.copy_location(ast.Assign([ast.Name(_RESULT, ast.Store())], value), statement))
                return new
            if isinstance(statement, ast.If) and _jumps([statement], ast.Return):
                rest = body[k + 1 :]
                moved = _moved(statement, rest)
                return [*new, self._returning(moved)]
            new.append(statement)
            if isinstance(statement, ast.Raise):
                return new
        nothing = ast.Assign([ast.Name(_RESULT, ast.Store())], ast.Constant(None))
        return [*new, ast.copy_location(nothing, at)]

    def visit_If(self, node: ast.If) -> list[ast.stmt]:
        """An `if` outside of any block that is rewritten as a whole."""
        return self._branch(node, "") if self.function else [self.generic_visit(node)]  # type: ignore[list-item]

    def _branch(self, node: ast.If, tail: str) -> list[ast.stmt]:
        """Both arms of an `if`, between the calls that choose and merge."""
        test = self.visit(node.test)
        own = self._entered("branch")
        body, other = self._block(node.body, tail), self._block(node.orelse, tail)
        self.open.pop()
        names = _assigned([*body, *other])
        if _mangled(names) or _has([*body, *other], _SUSPENDS):
            start = _call("__plainly__", test)
            return [_located(s, node) for s in (_assign(own, start), ast.If(_method(own, "then"), body, other))]
        names = _of_user(names)
        result = [
            _assign(own, _call("__branch__", test, _texts(names))),
            ast.If(_method(own, "then"), body or [ast.Pass()], []),
            ast.If(_method(own, "otherwise"), [*_restored(own, "before", names), *other] or [ast.Pass()], []),
            *_restored(own, "after", names, "join"),
        ]
        return [_located(s, node) for s in result]

    def _entered(self, kind: str) -> str:
        """The name of a new branch or loop, which is open from now on."""
        self.count += 1
        self.open.append(f"__{kind}{self.count}__")
        return self.open[-1]

    def visit_Assign(self, node: ast.Assign) -> Any:
        """out[t] = h = value: the name is given first, so that what is written is called by it."""
        names = [t for t in node.targets if isinstance(t, ast.Name)]
        others = [t for t in node.targets if not isinstance(t, ast.Name)]
        inside = [n for t in others for n in ast.walk(t)]
        read = {n.id for n in inside if isinstance(n, ast.Name)}
        calls = any(isinstance(n, ast.Call) for n in inside)  # which may read the name
        if self.function and not calls and not read & {n.id for n in names}:
            node.targets = [*names, *others]
        return self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> Any:
        """A jump must not leave an arm, or a loop, that is followed for several cases at once."""
        return self._jump(node, "return", self.open)

    def visit_Break(self, node: ast.Break) -> Any:
        """As visit_Return, up to the loop."""
        last = max((k for k, own in enumerate(self.open) if own.startswith("__loop")), default=0)
        return self._jump(node, "break", self.open[last:])

    def visit_Continue(self, node: ast.Continue) -> Any:
        """As visit_Return, within the loop."""
        last = max((k for k, own in enumerate(self.open) if own.startswith("__loop")), default=-1)
        return self._jump(node, "continue", self.open[last + 1 :])

    def _jump(self, node: ast.stmt, word: str, leaves: list[str]) -> Any:
        self.generic_visit(node)
        if not leaves:
            return node
        names = ast.Tuple([ast.Name(own, ast.Load()) for own in leaves], ast.Load())
        return [_located(ast.Expr(_call("__leave__", ast.Constant(word), names)), node), node]

    def visit_While(self, node: ast.While) -> Any:
        """A loop of which the test must be known; one that goes on as long as there is something in a list takes it out
        item by item, or is refused; one that counts a name is a `for` over what the name is in each round."""
        counted = _counted(node, self.locals) if self.function else None
        if counted is not None:
            return self._counting(node, *counted)
        emptied = _asked_to_be_empty(node.test) if self.function else None
        later = [self._later(copy.deepcopy(e)) for e in (emptied, node.test) if e is not None and emptied is not None]
        if emptied is not None and None not in later:
            name = ast.Name(f"__item{self.count}__", ast.Store())
            rounds = _call("__until_empty__", *(e for e in later if e))
            loop = ast.copy_location(ast.For(name, rounds, node.body, node.orelse), node)
            end = ast.copy_location(ast.Expr(_call("__emptied__", self.visit(copy.deepcopy(emptied)))), node)
            return [*self.visit_For(loop), _located(end, node)]
        node.test = self.visit(node.test)
        own = self._entered("loop")
        body = self._block(node.body, "continue") or [ast.copy_location(ast.Pass(), node)]
        self.open.pop()
        new = ast.copy_location(ast.While(node.test, body, self._block(node.orelse)), node)
        return [_located(_assign(own, _call("__plainly__", ast.Constant(True))), node), new]

    def _counting(self, node: ast.While, name: str, step: ast.expr, relation: str, bound: ast.expr) -> Any:
        """for name in __counted__(...), which asks in each round whether `while` would go on, and at the end whether it
        would stop: how many rounds there are is guessed."""
        counter = ast.copy_location(ast.Name(name, ast.Load()), node)
        later = [self._later(copy.deepcopy(e)) for e in (node.test, counter, bound, step)]
        rounds = _call("__counted__", ast.Constant(relation), *(e for e in later if e))
        asks, ends = (ast.copy_location(ast.Expr(_call(word, copy.deepcopy(node.test))), node)
                      for word in ("__goes_on__", "__ends__"))  # fmt: skip
        target = ast.copy_location(ast.Name(name, ast.Store()), node)
        loop = ast.copy_location(ast.For(target, rounds, [asks, *node.body], []), node)
        return [*self.visit_For(loop), *self._block([ends])]

    def visit_For(self, node: ast.For) -> Any:
        """A loop: over its items one by one, or once with a symbolic item."""
        if not self.function:
            return self.generic_visit(node)
        if node.orelse and not any(isinstance(n, ast.Break) for s in node.body for n in ast.walk(s)):
            plain = ast.copy_location(ast.For(node.target, node.iter, node.body, []), node)
            return [*self.visit_For(plain), *self._block(node.orelse)]
        growing = tuple(n for n in _growing(node.body) if n in self.locals)
        names = tuple(dict.fromkeys((*_of_user(_assigned([node])), *growing)))
        items, orelse = self.visit(node.iter), self._block(node.orelse)
        nested = any(name.startswith("__loop") for name in self.open)
        own = self._entered("loop")
        if nested:  # how many rounds there are may depend on the round of the loop around: range(i)
            body = self._branch(ast.copy_location(ast.If(_method(own, "inside"), node.body, []), node), "continue")
        else:
            body = self._block(node.body, "continue") or [ast.copy_location(ast.Pass(), node)]
        self.open.pop()
        simple = not (orelse or _mangled(names) or _has(body, _SUSPENDS))
        bound = _assigned([ast.Expr(node.target)])
        start = _call("__loop__", items, _texts(names), ast.Constant(simple), _texts(bound))
        carried = tuple(n for n in names if n not in bound)
        restored = [_located(s, node) for s in _restored(own, "before", carried)] if simple else []
        items = ast.copy_location(ast.Name(own, ast.Load()), node)
        loop = ast.copy_location(ast.For(node.target, items, [*restored, *body], orelse), node)
        ending = _restored(own, "after", names, "join") if simple else []
        return [_located(s, node) for s in (_assign(own, start), loop, *ending)]

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Blocks of other statements are rewritten, each by itself."""
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if (
                self.function
                and isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case)
                and isinstance(block, list)
            ):
                rest = [n for n in ("body", "orelse", "finalbody") if isinstance(getattr(node, n, None), list)]
                blocks = {n: self._block(getattr(node, n)) for n in rest}
                for n in rest:
                    setattr(node, n, [])
                super().generic_visit(node)
                for n in rest:
                    setattr(node, n, blocks[n])
                return node
        return super().generic_visit(node)

    # --- expressions

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        """a if c else b"""
        arms = [self._later(e) for e in (node.body, node.orelse)]
        test = self.visit(node.test)
        if None in arms:
            return ast.copy_location(ast.IfExp(test, self.visit(node.body), self.visit(node.orelse)), node)
        return ast.copy_location(_call("__either__", test, *(a for a in arms if a)), node)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        """a and b, a or b"""
        name = "__both__" if isinstance(node.op, ast.And) else "__one_of__"
        later = [self._later(e) for e in node.values[1:]]
        if None in later:
            return self.generic_visit(node)  # type: ignore[return-value]
        return ast.copy_location(_call(name, self.visit(node.values[0]), *(e for e in later if e)), node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        """not a"""
        if not isinstance(node.op, ast.Not) or not self.function:
            return self.generic_visit(node)  # type: ignore[return-value]
        return ast.copy_location(_call("__denied__", self.visit(node.operand)), node)

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        """a < b < c is two comparisons; `is` must not be asked of what is only set on one way."""
        inner = node.comparators[:-1]
        if self.function and len(node.ops) == 1 and isinstance(node.ops[0], (ast.Is, ast.IsNot)):
            call = _call("__is__", self.visit(node.left), self.visit(node.comparators[0]))
            negated = isinstance(node.ops[0], ast.IsNot)
            return ast.copy_location(_call("__denied__", call) if negated else call, node)
        if not inner or not self.function or not all(isinstance(e, (ast.Name, ast.Constant)) for e in inner):
            return self.generic_visit(node)  # type: ignore[return-value]
        sides = [node.left, *node.comparators]
        pairs = [
            ast.copy_location(ast.Compare(copy.deepcopy(a), [op], [copy.deepcopy(b)]), node)
            for a, op, b in zip(sides, node.ops, sides[1:], strict=False)
        ]
        return self.visit_BoolOp(ast.copy_location(ast.BoolOp(ast.And(), list(pairs)), node))

    def _later(self, node: ast.expr) -> ast.Lambda | None:
        """An expression that is worked out when it is asked for; None where that would change its meaning."""
        awkward = (ast.NamedExpr, ast.Yield, ast.YieldFrom, ast.Await)
        names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        if not self.function or names & {"super", "__class__"} or any(isinstance(n, awkward) for n in ast.walk(node)):
            return None
        nothing = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
        return ast.copy_location(ast.Lambda(nothing, self.visit(node)), node)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """list(x), which may be as long as an axis."""
        if isinstance(node.func, ast.Name) and node.func.id in _EMPTYING:
            self.emptied.update(node.args)
        match node:
            case ast.Call(ast.Name("list"), [items], []) if self.function and not isinstance(items, ast.Starred):
                return ast.copy_location(_call("__as_list__", node.func, self.visit(items)), node)
        return self.generic_visit(node)  # type: ignore[return-value]

    def visit_ListComp(self, node: ast.ListComp) -> ast.expr:
        """[f(x) for x in items if c(x)]: what a filter on data keeps is known by the filter."""
        return self._comprehension(node)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> ast.expr:
        """(f(x) for x in items if c(x)), which gives its items once, and late unless emptied at once."""
        new = self._comprehension(node)
        return new if node in self.emptied or new is node else ast.copy_location(_call("__kept__", new), node)

    def _comprehension(self, node: ast.ListComp | ast.GeneratorExp) -> ast.expr:
        """One over a single iterable: __listed__(items, lambda x: f(x), lambda x: c(x) or None, is it a list)."""
        one = node.generators[0]
        target = one.target
        names = target.elts if isinstance(target, ast.Tuple) else [target]
        plain = len(node.generators) == 1 and not one.is_async and len(one.ifs) <= 1
        later = [self._later(e) for e in (node.elt, *one.ifs)] if plain and not _outlives(node.elt) else [None]
        if None in later or not all(isinstance(n, ast.Name) for n in names):
            return self.generic_visit(node)  # type: ignore[return-value]
        given = [ast.arg(n.id) for n in names if isinstance(n, ast.Name)]
        for function in later:
            assert function is not None
            function.args.args = [ast.copy_location(ast.arg(a.arg), node) for a in given]
        test: ast.expr = later[1] if one.ifs and later[1] is not None else ast.Constant(None)
        shape = ast.Constant(isinstance(target, ast.Tuple)), ast.Constant(isinstance(node, ast.ListComp))
        assert later[0] is not None
        return ast.copy_location(_call("__listed__", self.visit(one.iter), later[0], test, *shape), node)


def _moved(statement: ast.If, rest: list[ast.stmt]) -> ast.If:
    """An `if` with what follows it in its arms."""
    arms = _with_rest(statement.body, rest), _with_rest(statement.orelse, rest)
    return ast.copy_location(ast.If(statement.test, *arms), statement)


def _with_rest(body: list[ast.stmt], rest: list[ast.stmt]) -> list[ast.stmt]:
    """An arm with what follows the `if`, unless it jumps before."""
    return body if _always_jumps(body) else [*body, *copy.deepcopy(rest)]


def _outlives(node: ast.expr) -> bool:
    """True if the value may look at the item once it is the last: a function, a generator that nobody empties."""
    emptied = {a for n in ast.walk(node) if isinstance(n, ast.Call) for a in n.args}
    found = (n for n in ast.walk(node) if isinstance(n, (ast.Lambda, ast.GeneratorExp)))
    return any(isinstance(n, ast.Lambda) or n not in emptied for n in found)


def _asked_to_be_empty(test: ast.expr) -> ast.expr | None:
    """The list of `while items:`, `while len(items) > 0:`; None for other tests."""
    match test:
        case ast.Compare(ast.Call(ast.Name("len"), [items], []), [ast.Gt() | ast.NotEq()], [ast.Constant(0)]):
            return _asked_to_be_empty(items)
        case ast.Call(ast.Name("len"), [items], []) | ast.Attribute(value=items):
            inner = _asked_to_be_empty(items)
            return inner if inner is None or isinstance(test, ast.Call) else test
        case ast.Name():
            return test
    return None


_EMPTYING = frozenset({"all", "any", "list", "max", "min", "reduce", "sorted", "sum", "tuple"})
_STEPS = {ast.Add: 1, ast.Sub: -1}
_RELATIONS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.NotEq: "!="}
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "!=": "!="}
_ASKED = (ast.expr_context, ast.operator, ast.cmpop, ast.Name, ast.Attribute, ast.Constant, ast.BinOp, ast.Subscript,
          ast.UnaryOp, ast.unaryop, ast.Compare)  # fmt: skip


def _counted(node: ast.While, own: frozenset[str]) -> tuple[str, ast.expr, str, ast.expr] | None:
    """(name, step, relation, bound) of `while name < bound:` whose body counts the name, once in each round.

    Args:
        own: the names that the function binds and no other sees.
    """
    jumps = (ast.Break, ast.Continue, ast.Return)
    if node.orelse or any(isinstance(n, jumps) for s in node.body for n in ast.walk(s)) or not _is_asked(node.test):
        return None
    sides: list[tuple[ast.expr, str, ast.expr]]
    match node.test:
        case ast.Name():
            sides = [(node.test, "!=", ast.copy_location(ast.Constant(0), node))]
        case ast.Compare(left, [op], [right]) if type(op) in _RELATIONS:
            relation = _RELATIONS[type(op)]
            sides = [(left, relation, right), (right, _MIRRORED[relation], left)]
        case _:
            return None
    for counter, relation, bound in sides:
        if isinstance(counter, ast.Name) and counter.id in own:
            steps = [step for s in node.body if (step := _step(s, counter.id)) is not None]
            bindings = [n for s in node.body for n in ast.walk(s) if isinstance(n, ast.Name) and n.id == counter.id
                        and not isinstance(n.ctx, ast.Load)]  # fmt: skip
            if len(steps) == len(bindings) == 1:
                return counter.id, steps[0], relation, bound
    return None


def _step(statement: ast.stmt, name: str) -> ast.expr | None:
    """What a statement adds to a name: n += 2, n = n - 1."""
    match statement:
        case ast.AugAssign(ast.Name(id=target), op, ast.Constant(int(value))) if target == name and type(op) in _STEPS:
            return ast.copy_location(ast.Constant(_STEPS[type(op)] * value), statement)
        case ast.Assign([ast.Name(id=target)], ast.BinOp(ast.Name(id=old), op, ast.Constant(int(value)))) if (
            target == old == name and type(op) in _STEPS
        ):
            return ast.copy_location(ast.Constant(_STEPS[type(op)] * value), statement)
    return None


def _is_asked(test: ast.expr) -> bool:
    """True for a test that may be asked again: it calls nothing but len."""
    calls = [n for n in ast.walk(test) if isinstance(n, ast.Call)]
    plain = all(isinstance(n, (*_ASKED, ast.Call)) for n in ast.walk(test))
    return plain and all(isinstance(c.func, ast.Name) and c.func.id == "len" and not c.keywords for c in calls)


def _call(name: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), list(arguments), [])


def _assign(own: str, value: ast.expr) -> ast.stmt:
    return ast.Assign([ast.Name(own, ast.Store())], value)


def _of_user(names: Names) -> Names:
    """The names without those made here, but for what is returned."""
    return tuple(n for n in names if n == _RESULT or not n.startswith(("__branch", "__loop", "__item")))


def _method(own: str, name: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(ast.Attribute(ast.Name(own, ast.Load()), name, ast.Load()), list(arguments), [])


def _texts(names: Names) -> ast.expr:
    return ast.Tuple([ast.Constant(n) for n in names], ast.Load())


def _restored(own: str, method: str, names: Names, asked: str = "") -> list[ast.stmt]:
    """if own.merges: a = own.before("a"); b = ..."""
    assigned: list[ast.stmt] = [
        ast.Assign([ast.Name(n, ast.Store())], _method(own, method, ast.Constant(n))) for n in names
    ]
    test = _method(own, asked) if asked else ast.Attribute(ast.Name(own, ast.Load()), "merges", ast.Load())
    return [ast.If(test, assigned or [ast.Pass()], [])] if assigned or asked else []


def _located(statement: ast.stmt, at: ast.stmt) -> ast.stmt:
    """A statement made here, at the line of the one in whose place it stands."""
    for node in ast.walk(statement):
        if isinstance(node, (ast.expr, ast.stmt)) and not hasattr(node, "lineno"):
            ast.copy_location(node, at)
            node.end_lineno, node.end_col_offset = at.lineno, at.col_offset
    return statement


__all__ = ["rewritten_code"]
