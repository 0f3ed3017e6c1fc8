"""Programs written down as equations in text: the front end for mathematics that is no dense network.

    read_program('''
        h[n] = sigmoid(sum(j, theta[j]*x[n,j]) + theta0)      # what unit and input give
        J = -1/m*sum(n, y[n]*log(h[n]) + (1 - y[n])*log(1 - h[n]))
    ''', {"x": ("m", "s"), "theta": ("s",), "theta0": (), "y": ("m",), "h": ("m",)})

One equation a line; a comment becomes its note. Every tensor has its shape in the table; those without an equation are
the inputs. Formulas are read by the whitelist of `formula`; here a subscript may be computed, a[n,j-1]. `renamed` and
`joined` make one Program of several.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from symbackprop.errors import FormulaError
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Entry,
    Expr,
    Index,
    Sum,
    Symbol,
    Tensor,
    alike,
    rewrite,
    substitute,
    tensors_in,
)
from symbackprop.expression.functions import Function, arbitrary, derivative
from symbackprop.expression.program import Assumption, AssumptionKind, Equation, Program, defined_once, symbols
from symbackprop.expression.sizes import simplify
from symbackprop.expression.sympy_bridge import PI
from symbackprop.frontends.formula import Scope, left_indices, parse, split_equation
from symbackprop.normal_form.normal_form import Canonical

Shape = Sequence[str | int]
NOTHING_ASSUMED: Mapping[str, AssumptionKind] = MappingProxyType({})


def read_program(
    text: str,
    shapes: Mapping[str, Shape],
    *,
    output: str = "J",
    outside: Sequence[str] = (),
    sizes: Sequence[str] = (),
    real: Sequence[str] = (),
    positive: Sequence[str] = (),
    functions: Sequence[str] = ("f",),
    assume: Mapping[str, AssumptionKind] = NOTHING_ASSUMED,
) -> Program:
    """The Program that the equations in `text` describe.

    Args:
        shapes: for every tensor its axes: size symbols, numbers or formulas such as "s_1 + 1".
        output: the tensor that is returned, the cost.
        outside: tensors that are read by equations that are not listed.
        sizes: names of sizes that stand in no shape.
        real, positive: names of scalars without equation, such as lam.
        functions: names of arbitrary differentiable functions; each NAME has its derivative NAME_prime.
        assume: what is known about the entries of an input: {"y": "bern"} for 0 or 1.

    Raises:
        FormulaError: a line is no equation, or a name is unknown.
        IndexNotationError: the indices of an equation do not fit.

    Example:
        >>> program = read_program("J = 1/2*sum(k, (a[k] - y[k])**2)", {"a": ("K",), "y": ("K",), "J": ()})
        >>> [t.name for t in program.inputs]
        ['a', 'y']
    """
    scalars = {"pi": PI, **{n: Symbol(n) for n in real}, **{n: Symbol(n, "positive") for n in positive}}
    lengths: Mapping[str, Expr] = _sizes([*shapes.values(), sizes])
    tensors = {name: Tensor(name, tuple(_size(axis, lengths) for axis in shape)) for name, shape in shapes.items()}
    tensors |= {output: tensors.get(output) or Tensor(output)}
    scope = Scope(tensors, {**scalars, **lengths}, _functions(functions), arithmetic=True)
    equations = [_equation(line, scope) for line in map(str.strip, text.splitlines()) if line and line[0] != "#"]
    defined = {e.tensor for e in equations}
    inputs = tuple(t for t in tensors.values() if t not in defined)
    used = dict.fromkeys(s for e in equations for s in symbols(e.value) if s.kind != "size" and s is not PI)
    outputs = (tensors[output], *(tensors[name] for name in outside))
    known = tuple(Assumption(kind, tensors[name]) for name, kind in assume.items())
    return Program(inputs, tuple(equations), outputs, tuple(used), known)


def _sizes(shapes: Iterable[Shape]) -> Mapping[str, Expr]:
    words = {word for shape in shapes for axis in shape if isinstance(axis, str) for word in _words(axis)}
    return {word: Symbol(word, "size") for word in sorted(words)}


def _words(axis: str) -> list[str]:
    spaced = "".join(c if c.isalnum() or c == "_" else " " for c in axis)
    return [word for word in spaced.split() if not word[0].isdigit()]


def _size(axis: str | int, sizes: Mapping[str, Expr]) -> Expr:
    return simplify(parse(str(axis), Scope(scalars=sizes)))


def _functions(names: Iterable[str]) -> dict[str, Function]:
    table = {name: arbitrary(name) for name in names}
    return table | {derivative(f).name: derivative(f) for f in table.values()}


def _equation(line: str, scope: Scope) -> Equation:
    formula, _, note = line.partition("#")
    left, right = split_equation(formula)
    if left.partition("[")[0].strip() not in scope.tensors:
        raise FormulaError(f"no shape is given for {left}", where=line, help="name it in the table of shapes")
    name, indices = left_indices(left, scope)
    value = parse(right, replace(scope, indices={i.name: i for i in indices}))
    return Equation(scope.tensors[name], indices, value, note.strip())


def renamed(program: Program, name: Callable[[Tensor], str]) -> Program:
    """The same program with other names for its tensors."""
    table = {t: alike(t, name(t), t.shape) for t in program.tensors}
    equations = tuple(replace(e, tensor=table[e.tensor], value=_put(e.value, table)) for e in program.equations)
    assumptions = tuple(replace(a, tensor=table[a.tensor]) for a in program.assumptions)
    inputs, outputs = tuple(table[t] for t in program.inputs), tuple(table[t] for t in program.outputs)
    return replace(program, inputs=inputs, equations=equations, outputs=outputs, assumptions=assumptions)


def resized(program: Program, sizes: Mapping[Expr, Expr]) -> Program:
    """The same program at special sizes: K = 1, say. A sum over an axis of length 1 is its only term."""
    table = {t: alike(t, t.name, tuple(substitute(s, sizes) for s in t.shape)) for t in program.tensors}

    def equation(e: Equation) -> Equation:
        indices = tuple(Index(i.name, substitute(i.size, sizes), i.uid) for i in e.indices)
        value = substitute(_put(e.value, table), {**sizes, **dict(zip(e.indices, indices, strict=True))})
        return Equation(table[e.tensor], indices, rewrite(value, _only_term), e.note)

    inputs, outputs = tuple(table[t] for t in program.inputs), tuple(table[t] for t in program.outputs)
    assumptions = tuple(replace(a, tensor=table[a.tensor]) for a in program.assumptions)
    return replace(
        program,
        inputs=inputs,
        equations=tuple(map(equation, program.equations)),
        outputs=outputs,
        assumptions=assumptions,
    )


def _only_term(node: Expr) -> Expr | None:
    if isinstance(node, Sum) and node.index.size is ONE:
        return rewrite(substitute(node.body, {node.index: ZERO}), _only_term)
    return None


def for_each(program: Program, index: str, size: str, mapped: Sequence[str]) -> Program:
    """The program done for each value of a further, first index of the inputs called `mapped`.

    From one example to m: x[j] becomes x[n,j], and whatever is computed from it has a row for each example.
    """
    length = Symbol(size, "size")
    n = Index(index, length)
    table = {t: alike(t, t.name, (length, *t.shape)) for t in program.inputs if t.name in mapped}
    for equation in program.equations:
        if tensors_in(equation.value) & table.keys():
            table[equation.tensor] = Tensor(equation.tensor.name, (length, *equation.tensor.shape))

    def lifted(e: Equation) -> Equation:
        if e.tensor not in table:
            return e
        return Equation(table[e.tensor], (n, *e.indices), _put(e.value, table, (n,)), e.note)

    inputs, outputs = tuple(table.get(t, t) for t in program.inputs), tuple(table.get(t, t) for t in program.outputs)
    return replace(program, inputs=inputs, equations=tuple(map(lifted, program.equations)), outputs=outputs)


def joined(*programs: Program, output: str = "J") -> Program:
    """All equations of all programs, each once; what one defines is no input of the whole.

    Later programs may use what earlier ones define. Where two define one tensor, both must say the same of it.

    Raises:
        IndexNotationError: two programs mean different things by one name.
    """
    defined = defined_once((e for p in programs for e in p.equations), _same)
    equations = tuple(defined.values())
    inputs = tuple(dict.fromkeys(t for p in programs for t in p.inputs if t not in defined))
    parameters = tuple(dict.fromkeys(s for p in programs for s in p.parameters))
    assumptions = tuple(dict.fromkeys(a for p in programs for a in p.assumptions))
    outputs = tuple(t for t in (*inputs, *defined) if t.name == output)
    return Program(inputs, equations, outputs, parameters, assumptions)


def _same(one: Equation, other: Equation) -> bool:
    """True if the right sides have one normal form."""
    value = other.at(one.indices)
    return one.value is value or Canonical().equal(one.value, value)


def _put(expr: Expr, table: Mapping[Tensor, Tensor], first: tuple[Expr, ...] = ()) -> Expr:
    def visit(node: Expr) -> Expr | None:
        if isinstance(node, Entry) and node.tensor in table:
            return Entry(table[node.tensor], (*first, *(_put(i, table, first) for i in node.indices)))
        return None

    return rewrite(expr, visit)
