"""What a line of a backward pass may speak of: tensors, sizes, numbers and slopes of the forward pass.

A line that a loop runs several times is several equations; `Vocabulary` knows what is the same in every round.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from fractions import Fraction

from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    ZERO,
    Add,
    Apply,
    Compare,
    Entry,
    Expr,
    Index,
    Multiply,
    Number,
    Power,
    Quotient,
    Remainder,
    Sum,
    Symbol,
    Tensor,
    Where,
    add,
    children,
    entries_once,
    free_indices,
    multiply,
    negate,
    nodes_once,
    power,
    rewrite,
    subtract,
    tensors_in,
)
from symbackprop.expression.functions import STOP_GRADIENT
from symbackprop.expression.program import Equation, Program
from symbackprop.expression.recurrence import recurrent
from symbackprop.expression.sizes import simplify
from symbackprop.expression.sympy_bridge import slope
from symbackprop.rendering.text import to_text

Wording = tuple[str, str]  # what is wrong if the change cures, and what is wrong if it makes right into wrong
Change = tuple[Hashable, Wording, Expr]  # what is done, in a form that is the same in every round of a loop; the result
MAXIMUM_LAYOUTS = 12
MAXIMUM_PARTS = 12


LONG_NUMBER = 9  # characters of a fraction


def short(expr: Expr) -> str:
    """An expression for a sentence; a number of many digits as a decimal: -0.999999 rather than -999999/1000000.

    Example:
        >>> from fractions import Fraction
        >>> from symbackprop.expression.build import number
        >>> short(number(Fraction("-0.999999"))), short(number(Fraction("1e-12"))), short(number(Fraction(3, 1000)))
        ('-0.999999', '1e-12', '3/1000')
        >>> short(number(Fraction(1000, 123457)))  # it has no short decimal
        '1000/123457'
    """
    text = to_text(expr)
    if isinstance(expr, Number) and len(text) > LONG_NUMBER:
        decimal = f"{float(expr.value):.12g}"
        text = decimal if Fraction(decimal) == expr.value else text
    return text if len(text) <= 60 else text[:57] + "..."


def value_nodes(expr: Expr) -> Iterator[Expr]:
    """Nodes that are values, each once, the outermost first; what stands inside an index is none of them."""
    seen: set[Expr] = set()
    stack = [expr]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            yield node
            if not isinstance(node, Entry):
                stack.extend(reversed(children(node)))


def numbers_in(expr: Expr) -> list[Number]:
    """The numbers of an expression that are values."""
    return [n for n in value_nodes(expr) if isinstance(n, Number)]


class Vocabulary:
    """What a line of one pass may speak of.

    Args:
        forward: the user's forward pass.
        upstream: the gradients handed in.
        lines: the equations that are edited, in order; each may use what stands before it.
        variables: the user's names.
        alike: the same for tensors that probably have the same value: one of them is enough to try.
        derivation: whether the lines are those of the derived cotangents.
        whole_axes: whether an index runs along the whole of every axis it stands on, as in formulas; that of a slice of
            an array does not.
    """

    def __init__(
        self,
        forward: Program,
        upstream: Sequence[Tensor],
        lines: Sequence[Equation],
        variables: dict[Tensor, str],
        alike: Callable[[Tensor], Hashable] = lambda tensor: tensor,
        derivation: bool = False,
        whole_axes: bool = False,
    ) -> None:
        self.derivation, self.whole_axes = derivation, whole_axes
        self.alike = alike
        self.forward, self.variables = forward, variables
        self.sizes = forward.sizes
        self.place = {e.tensor: k for k, e in enumerate(lines)}
        known = (*forward.inputs, *(e.tensor for e in forward.equations), *upstream)
        self.known = tuple(dict.fromkeys(known))
        self.lines = tuple(lines)
        self.slopes = _slopes(forward.equations)
        self.arguments = dict(_arguments(forward.equations))
        self.means = _means(forward)
        self.following = {(k, alike(a)): b for (k, a), b in _following(forward.equations).items()}
        self.sensitive = _sensitive(upstream, lines)
        self.layouts = _layouts((*forward.equations, *lines))
        self.numbers = sorted({n.value for e in forward.equations for n in numbers_in(e.value)})
        self.constants = _constants(forward.equations)
        self.divisors = _divisors(self.constants)
        self.plain = frozenset(_constants(lines))
        self.parts = _parts(forward.equations)
        self._keys: dict[Expr, Hashable] = {}
        self._texts: dict[Expr, str] = {}
        self._families: dict[Hashable, list[Tensor]] = {}
        self.equations = {e.tensor: e for e in lines}
        self.steps = recurrent(dict.fromkeys((*forward.equations, *lines)))
        self._lengths = {t.shape[axis] for t, axis in self.steps.items()}
        self._notes = {e.tensor: e.note for e in (*forward.equations, *lines)}
        self._places = _places((*forward.equations, *lines), forward.inputs)

    def label(self, tensor: Tensor) -> Hashable:
        """The same for one variable in every round of a loop."""
        name = self.variables.get(tensor) or self._notes.get(tensor) or self._places.get(tensor)
        return (name, len(tensor.shape)) if name else tensor

    def text(self, expr: Expr) -> str:
        """An expression for a sentence, with the user's names. Thousands of edits speak of a few dozen expressions."""
        known = self._texts.get(expr)
        if known is None:
            known = self._texts[expr] = self._written(expr)
        return known

    def _written(self, expr: Expr) -> str:
        def visit(node: Expr) -> Expr | None:
            if not isinstance(node, Entry):
                return None
            tensor = Tensor(self.variables.get(node.tensor, node.tensor.name), node.tensor.shape, node.tensor.kind)
            return Entry(tensor, tuple(simplify(rewrite(i, visit)) for i in node.indices))

        named = rewrite(expr, visit)
        if isinstance(named, Compare):
            return f"{short(named.left)} {named.relation} {short(named.right)}"
        return short(named)

    def called(self, tensor: Tensor) -> str:
        """The user's name of a tensor."""
        return self.variables.get(tensor, tensor.name)

    def note(self, tensor: Tensor) -> str:
        """The user's line that defines a tensor, "" for an input."""
        return self._notes.get(tensor, "")

    def family(self, tensor: Tensor) -> list[Tensor]:
        """A variable's tensors in every round of a loop, in order."""
        if not self._families:
            own = [e.tensor for e in self.lines if e.tensor not in self.forward.by_tensor]
            for place, tensors in ((0, [e.tensor for e in self.forward.equations]), (1, own)):
                for t in tensors:
                    self._families.setdefault((place, self.label(t), t.shape), []).append(t)
        place = 0 if tensor in self.forward.by_tensor else 1
        return self._families.get((place, self.label(tensor), tensor.shape), [tensor])

    def before(self, tensor: Tensor) -> list[Tensor]:
        """Real tensors that the line of `tensor` may use, nearest last."""
        own = [e.tensor for e in self.lines[: self.place[tensor]]]
        if tensor in self.steps:  # of a loop's lines those that stand above it, whatever the order of computation
            number = self._line(tensor)
            own += [e.tensor for e in self.lines[self.place[tensor] :] if 0 <= self._line(e.tensor) < number]
        found: dict[Hashable, Tensor] = {}
        for t in (*self.known, *own):
            if t.kind == "real":
                found.pop(self.alike(t), None)  # the user's own, nearest one is the one to speak of
                found[self.alike(t)] = t
        return list(found.values())

    def step_axis(self, tensor: Tensor) -> int | None:
        """The axis along which a tensor has an entry for each step of a recurrence, up to one more or less."""
        gaps = [[simplify(subtract(size, length)) for length in self._lengths] for size in tensor.shape]
        return next((a for a, found in enumerate(gaps) if any(isinstance(g, Number) for g in found)), None)

    def _line(self, tensor: Tensor) -> int:
        """The number of the user's line; -1 of what is none."""
        match = re.fullmatch(r"line (\d+)", self.note(tensor))
        return int(match[1]) if match else -1

    def chain(self, tensor: Tensor) -> Hashable:
        """The same for the states that follow each other from round to round."""
        seen: set[Hashable] = set()
        while (self.alike(tensor) not in seen) and (-1, self.alike(tensor)) in self.following:
            seen.add(self.alike(tensor))
            tensor = self.following[-1, self.alike(tensor)]
        return self.alike(tensor)

    def key(self, expr: Expr) -> Hashable:
        """The same for an expression in every round of a loop: no index, no number of a round."""
        found = self._keys.get(expr)
        if found is None:
            found = self._keys[expr] = self._key(expr)
        return found

    def _key(self, expr: Expr) -> Hashable:
        match expr:
            case Entry(tensor, indices):
                return ("entry", self.label(tensor), tuple(not isinstance(i, Number) for i in indices))
            case Index():
                return "index"
            case Number(value):
                return value
            case Symbol(name, _):
                return name
        extra = expr.function.name if isinstance(expr, Apply) else getattr(expr, "relation", "")
        return (type(expr).__name__, extra, *(self.key(c) for c in children(expr)))


def _arguments(equations: Iterable[Equation]) -> Iterator[tuple[Tensor, Tensor]]:
    """For each tensor that is a function of another one, entry by entry, that one."""
    for equation in equations:
        match equation.value:
            case Apply(_, (Entry(tensor, indices),)) if indices == equation.indices:
                yield equation.tensor, tensor


def _means(forward: Program) -> dict[Expr, str]:
    """The sizes that a cost is divided by: it is a mean over them."""
    found: dict[Expr, str] = {}
    for line in forward.equations:
        if line.tensor in forward.outputs and not line.tensor.shape:
            for term in line.value.terms if isinstance(line.value, Add) else (line.value,):
                factors = term.factors if isinstance(term, Multiply) else ()
                if any(isinstance(f, Sum) for f in factors):
                    sizes = [f.base for f in factors if isinstance(f, Power) and f.exponent is MINUS_ONE]
                    found |= dict.fromkeys(sizes, line.tensor.name)
    return found


def _constants(equations: Iterable[Equation]) -> tuple[Expr, ...]:
    """The factors of the forward pass that are made of sizes and other scalars alone: 1/sqrt(D/H)."""
    found: dict[Expr, None] = {}
    for equation in equations:
        for node in value_nodes(equation.value):
            for factor in node.factors if isinstance(node, Multiply) else ():
                plain = isinstance(factor, (Number, Symbol)) or tensors_in(factor) or free_indices(factor)
                if isinstance(factor, Power) and not plain:
                    found[factor] = None
    return tuple(found)


def _divisors(constants: Iterable[Expr]) -> tuple[Power, ...]:
    """Powers of what is computed from sizes, and of each of its factors; sizes themselves are tried anyway."""
    found: dict[Power, None] = {}
    for constant in constants:
        if isinstance(constant, Power):
            base = constant.base
            for size in (base, *(base.factors if isinstance(base, Multiply) else ())):
                if not isinstance(size, (Symbol, Number)):
                    found[Power(size, constant.exponent)] = None
    return tuple(found)


def _parts(equations: Iterable[Equation]) -> tuple[Expr, ...]:
    """Sums, powers and multiples that the forward pass is made of, the small ones first."""
    found: dict[Expr, None] = {}
    for equation in equations:
        for node in value_nodes(equation.value):
            multiple = isinstance(node, Multiply) and len(node.factors) == 2 and isinstance(node.factors[0], Number)
            if (multiple or isinstance(node, Add | Power)) and tensors_in(node) and node is not equation.value:
                found[node] = None
    return tuple(sorted(found, key=lambda n: sum(1 for _ in nodes_once(n)))[:MAXIMUM_PARTS])


def _slopes(equations: Iterable[Equation]) -> list[tuple[tuple[Index, ...], str, Expr]]:
    """The local slope of every function and power of the forward pass, over the indices of its line."""
    found: list[tuple[tuple[Index, ...], str, Expr]] = []
    for equation in equations:
        for node in value_nodes(equation.value):
            if not tensors_in(node):
                continue
            local = _local_slope(node)
            if local is None:
                continue
            stopped = isinstance(node, Apply) and node.function is STOP_GRADIENT
            words = "the slope 0 of what is detached" if stopped else f"the slope of {_shape_of(node)}"
            found.append((tuple(sorted(free_indices(node), key=lambda i: i.uid)), words, local))
    return found


def _local_slope(node: Expr) -> Expr | None:
    """The derivative of a function of one entry, or of one argument."""
    if isinstance(node, Apply) and node.function is STOP_GRADIENT:
        return ZERO
    if isinstance(node, Apply) and len(node.arguments) == 1:
        return slope(node.function, 0, node.arguments)
    if _is_sigmoid(node):
        return multiply(node, add(ONE, negate(node)))
    if isinstance(node, Power) and isinstance(node.exponent, Number):
        return multiply(node.exponent, power(node.base, node.exponent.value - 1))
    if isinstance(node, Where) and isinstance(node.condition, Compare):
        branches = [_branch_slope(b, node) for b in (node.then, node.otherwise)]
        if branches[0] is not None and branches[1] is not None:
            return Where(node.condition, branches[0], branches[1])
    return None


def _branch_slope(branch: Expr, node: Where) -> Expr | None:
    """The derivative of a branch by the entry that the condition is about: of max(0, x), of abs(x)."""
    if not isinstance(node.condition, Compare):
        return None
    about = [s for s in (node.condition.left, node.condition.right) if not isinstance(s, Number)]
    if len(about) != 1:
        return None
    if isinstance(branch, Number):
        return ZERO
    factor = branch.factors[0] if isinstance(branch, Multiply) else ONE
    rest = multiply(*branch.factors[1:]) if isinstance(branch, Multiply) else branch
    return factor if rest is about[0] and isinstance(factor, Number) else None


def _shape_of(node: Expr) -> str:
    if isinstance(node, Apply):
        return node.function.name
    if _is_sigmoid(node):
        return "the sigmoid"
    inner = inside_abs(node)
    if inner is None and isinstance(node, Where) and isinstance(node.condition, Compare) and node.otherwise is ZERO:
        return f"max({short(node.then)}, 0)"
    return short(node) if inner is None else f"abs({short(inner)})"


def inside_abs(node: Expr) -> Expr | None:
    """x where the node is the absolute value of x."""
    if isinstance(node, Apply):
        return node.arguments[0] if node.function.name == "abs" else None
    if isinstance(node, Where) and isinstance(node.condition, Compare) and node.then is negate(node.otherwise):
        return node.otherwise if {node.condition.left, node.condition.right} == {node.otherwise, ZERO} else None
    return None


def _is_sigmoid(expr: Expr) -> bool:
    """1/(1 + exp(...)), as people write it."""
    if not (isinstance(expr, Power) and expr.exponent is MINUS_ONE and isinstance(expr.base, Add)):
        return False
    terms = expr.base.terms
    return len(terms) == 2 and ONE in terms and any(isinstance(t, Apply) and t.function.name == "exp" for t in terms)


def _sensitive(upstream: Sequence[Tensor], lines: Sequence[Equation]) -> frozenset[Tensor]:
    """The upstream gradients and what is computed from them."""
    found = set(upstream)
    for line in lines:
        if tensors_in(line.value) & found:
            found.add(line.tensor)
    return frozenset(found)


def _layouts(equations: Iterable[Equation]) -> dict[tuple[Expr, ...], list[tuple[Expr, ...]]]:
    """How arrays of each shape are read where their axes are split or merged."""
    found: dict[tuple[Expr, ...], dict[tuple[Expr, ...], None]] = {}
    for equation in equations:
        for entry in entries_once(equation.value):
            if any(isinstance(i, (Add, Multiply, Quotient, Remainder)) for i in entry.indices):
                found.setdefault(entry.tensor.shape, {})[entry.indices] = None
    return {shape: list(table)[:MAXIMUM_LAYOUTS] for shape, table in found.items()}


def _following(equations: Sequence[Equation]) -> dict[tuple[int, Tensor], Tensor]:
    """For the states of a loop: (1, state) is the one of the next round, (-1, state) that of the last.

    The rounds of one line are its equations; where two rounds read different tensors at the same place, the second
    follows the first.
    """
    rounds: dict[Hashable, list[Equation]] = {}
    for equation in equations:
        if equation.note:
            rounds.setdefault((equation.note, equation.tensor.shape), []).append(equation)
    needs: dict[Tensor, set[Tensor]] = {}
    for equation in equations:
        read = tensors_in(equation.value)
        needs[equation.tensor] = set(read).union(*(needs.get(t, set()) for t in read))
    found: dict[tuple[int, Tensor], Tensor] = {}
    for lines in rounds.values():
        for first, second in itertools.pairwise(lines):
            if first.tensor not in needs[second.tensor] or not same_form(first.value, second.value):
                continue  # two steps of one line, or a function called twice, not round after round
            for a, b in ((first.tensor, second.tensor), *_differing(first.value, second.value)):
                if a.shape == b.shape and a is not b:
                    found.setdefault((1, a), b)
                    found.setdefault((-1, b), a)
    return found


def _places(equations: Iterable[Equation], inputs: Iterable[Tensor]) -> dict[Tensor, str]:
    """For inputs of which one takes the place of another in the next round of a line, as weights of layers do: the name
    of the first of them."""
    given, rounds = set(inputs), dict[Hashable, Equation]()
    first: dict[Tensor, Tensor] = {}
    for equation in equations:
        before = rounds.get((equation.note, len(equation.tensor.shape)))
        rounds[equation.note, len(equation.tensor.shape)] = equation
        if before is None or not equation.note or not same_form(before.value, equation.value):
            continue
        for a, b in _differing(before.value, equation.value):
            if {a, b} <= given and len(a.shape) == len(b.shape) and a is not b:
                first.setdefault(b, first.setdefault(a, a))
    return {tensor: f"inputs such as {other.name}" for tensor, other in first.items()}


def same_form(left: Expr, right: Expr) -> bool:
    """True if two expressions differ in their tensors and in numbers at most."""
    if isinstance(left, (Entry, Number)) and type(left) is type(right):
        return True
    a, b = children(left), children(right)
    if type(left) is not type(right) or len(a) != len(b):
        return False
    return all(same_form(x, y) for x, y in zip(a, b, strict=True))


def _differing(left: Expr, right: Expr) -> Iterator[tuple[Tensor, Tensor]]:
    """Tensors that stand at the same place of two expressions of the same form."""
    if isinstance(left, Entry) and isinstance(right, Entry):
        yield left.tensor, right.tensor
        return
    a, b = children(left), children(right)
    if type(left) is type(right) and len(a) == len(b):
        for x, y in zip(a, b, strict=True):
            yield from _differing(x, y)
