"""Elementwise expressions and array statements as NumPy text; `jax.numpy` reads the same.

Each array has its axes by name, so lining two arrays up is a transpose and a `None` where an axis is missing. Main
names: `Writer.value`, `Writer.statement`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from symbackprop.codegen.lowering.form import (
    Contract,
    Gather,
    Join,
    Map,
    Marked,
    OfMatrix,
    Reduce,
    Statement,
    axes,
    is_plain,
)
from symbackprop.codegen.names import Names
from symbackprop.expression.build import (
    ZERO,
    Add,
    Apply,
    Compare,
    Entry,
    Expr,
    Index,
    Kronecker,
    MatrixKind,
    Multiply,
    Number,
    Power,
    Quotient,
    Remainder,
    Symbol,
    Tensor,
    Where,
    children,
    free_indices,
    negate,
    power,
    subtract,
)
from symbackprop.expression.sizes import decide

COMPARE, ADD, MULTIPLY, NEGATE, POWER, ATOM = range(6)
Text = tuple[str, int]
Axes = Sequence[Index]
# Functions that the array module has under another name, or that a printed helper provides.
FUNCTION_TEXT = {"relu": "{np}.maximum({}, 0.0)", "abs": "{np}.abs({})", "sigmoid": "sigmoid({})"}
HELPERS = ("sigmoid", "tail", "erf", "finite_exp", "tanh_beside")
MATRIX_TEXT = {"inverse": "{np}.linalg.inv({})", "cholesky": "{np}.linalg.cholesky({})",
               "determinant": "{np}.linalg.det({})", "logdet": "{np}.linalg.slogdet({})[1]"}  # fmt: skip


class ArrayWriter:
    """Writes expressions and statements.

    Args:
        names: identifiers of tensors and symbols.
        module: how the array module is called in the text.
        outputs: the arrays that may share memory with no other; None if none may.

    Attributes:
        inlined: temporaries whose text stands in place of their name.
        present: names of single steps of arrays: of the place along an axis.
        rolling: arrays of which the present step is there alone, with the axis of steps that they lack.
    """

    def __init__(self, names: Names, module: str = "np", outputs: Iterable[Tensor] | None = None) -> None:
        self.names, self.np = names, module
        self.outputs = None if outputs is None else frozenset(outputs)
        self.inlined: dict[Tensor, Text] = {}
        self.rolling: dict[Tensor, int] = {}
        self.present: dict[tuple[Tensor, int, Expr], str] = {}
        self.helpers: set[str] = set()  # functions that the module must provide
        self.mentioned: set[Symbol] = set()  # sizes and hyper-parameters in the text so far

    def statement(self, statement: Statement) -> Text:
        """The right side of an assignment to the statement's target."""
        text = self._right_side(statement)
        added_up = isinstance(statement, Contract) or (isinstance(statement, Reduce) and statement.kind == "sum")
        if added_up and statement.target.tensor.kind == "integer":  # what is added up are truth values as real numbers
            return self.as_integers(self._wrapped(text, ATOM)), ATOM
        return text

    def _right_side(self, statement: Statement) -> Text:
        match statement:
            case Map(target, value) if self.np == "np" and not is_plain(target) and target.tensor not in self.rolling:
                return self.value(value, axes(target))  # an assignment to one step broadcasts
            case Map(target, value):
                return self._whole(value, axes(target), self._is_copied(target.tensor))
            case Contract():
                return self._contract(statement)
            case Reduce(target, kind, operand, over):
                text = self._wrapped(self.array(operand), ATOM)
                where = [axes(operand).index(i) for i in over]
                rest = [i for i in axes(operand) if i not in over]
                return self._ordered((self.reduced(text, kind, where if rest else []), ATOM), rest, axes(target))
            case Gather():
                return self._gather(statement)
            case Marked(target, value):
                return self.marked(statement, self._whole(value, axes(target), True)[0]), ATOM
            case Join(target, parts, along):
                order = axes(target)
                place = order.index(along)
                texts = []
                for part in parts:
                    own = next(i for i in axes(part) if i not in order or i is along)
                    texts.append(self.ordered(part, [own if i is along else i for i in order]))
                return self.joined(texts, place), ATOM
            case OfMatrix():
                return self._of_matrix(statement)

    def _of_matrix(self, statement: OfMatrix) -> Text:
        """By LAPACK, of matrices in the last two axes."""
        order = [i for i in axes(statement.matrix) if i not in statement.places]
        matrix = self._operand(statement.matrix, [*order, *statement.places])[0]
        text = self.of_matrix(statement.kind, matrix)
        inside = statement.places if statement.kind in ("inverse", "cholesky") else ()
        return self._ordered((text, ATOM), [*order, *inside], axes(statement.target))

    def marked(self, s: Marked, array: str) -> str:
        """The call that puts the extra into an array that holds the value of `s`."""
        helper = "put_at" if s.instead else "add_at"
        self.helpers.add(helper)
        rest = [i for i in axes(s.target) if i is not s.at]
        places = ", ".join(self.value(s.place if i is s.at else i, rest)[0] for i in axes(s.target))
        return f"{helper}({array}, ({places}{',' * (not rest)}), {self.value(s.extra, rest)[0]})"

    def size(self, expr: Expr) -> str:
        """An integer expression without indices."""
        return self.value(expr, ())[0]

    def _is_copied(self, tensor: Tensor) -> bool:
        return self.outputs is None or tensor in self.outputs

    # Elementwise expressions

    def _whole(self, value: Expr, order: Axes, copied: bool) -> Text:
        """`value` with all axes of `order`, also those it does not depend on."""
        text = self.value(value, order)
        if any(i not in free_indices(value) for i in order):
            sizes = [self.size(i.size) for i in order]
            shape = f"({sizes[0]},)" if len(sizes) == 1 else f"({', '.join(sizes)})"
            return self.spread(text, value, shape, copied), ATOM
        if isinstance(value, Entry) and (text[0] == self.array(value)[0] or text[1] == ATOM):
            # An output is a copy: it may share no memory with an input.
            return (self.copy(text), ATOM) if copied else text
        return text

    def value(self, expr: Expr, order: Axes) -> Text:
        """`expr` as an array whose axes broadcast against `order`."""
        match expr:
            case Number(value):
                text = str(value.numerator) if value.denominator == 1 else repr(float(value))
                return text, NEGATE if value < 0 else ATOM
            case Symbol():
                self.mentioned.add(expr)
                return self.names[expr], ATOM
            case Index(_, size):
                return self._lined_up((self.counted(self.size(size)), ATOM), [expr], order)
            case Entry():
                return self._lined_up(self.array(expr), list(axes(expr)), order)
            case Add(terms):
                return self._sum(terms, order)
            case Multiply() | Power():
                return self._product(expr, order)
            case Apply():
                return self._function(expr, order)
            case Where(condition, then, otherwise):
                return self._where(condition, then, otherwise, order)
            case Compare() | Kronecker():
                return self._indicator(expr, order)
            case Quotient(left, right) | Remainder(left, right):
                sign = "//" if isinstance(expr, Quotient) else "%"
                a, b = self._wrapped(self.value(left, order), MULTIPLY), self._wrapped(self.value(right, order), NEGATE)
                return f"{a} {sign} {b}", ADD  # in parentheses inside a product: 2 * (i // 2) is not 2 * i // 2
        raise AssertionError(f"{type(expr).__name__} is not elementwise")

    @staticmethod
    def _wrapped(text: Text, least: int) -> str:
        return text[0] if text[1] >= least else f"({text[0]})"

    def array(self, entry: Entry) -> Text:
        """The array of an entry; inside a loop the part of it that belongs to the step."""
        tensor = entry.tensor
        if all(isinstance(i, Index) for i in entry.indices):
            return self.inlined.get(tensor) or (self.names[tensor], ATOM)
        axis = self.rolling.get(tensor)
        name = self.names[tensor]
        for a, place in enumerate(entry.indices):
            if (tensor, a, place) in self.present:
                axis, name = a, self.present[tensor, a, place]
        places = [":" if isinstance(i, Index) else self.size(i) for a, i in enumerate(entry.indices) if a != axis]
        while places and places[-1] == ":":
            places.pop()
        return name + (f"[{', '.join(places)}]" if places else ""), ATOM

    def _sum(self, terms: Sequence[Expr], order: Axes) -> Text:
        # The first term that needs no minus goes in front, but terms keep their order otherwise: it decides the
        # rounding.
        signed = [_sign(t) for t in terms]
        front = next((p for p, (negative, _) in enumerate(signed) if not negative), 0)
        if front and all(isinstance(t, (Number, Entry, Symbol)) for _, t in signed[: front + 1]):
            signed.insert(0, signed.pop(front))
        out = ""
        for negative, term in signed:
            text = self._wrapped(self.value(term, order), MULTIPLY if negative else ADD)
            if not out:
                out = f"-{self._wrapped((text, MULTIPLY), MULTIPLY)}" if negative else text
            else:
                out += f" {'-' if negative else '+'} {text}"
        return out, ADD

    def _product(self, expr: Expr, order: Axes) -> Text:
        above, below = over_and_under(expr)
        if not below and len(above) == 1:
            return self._power(above[0], order)
        negative = above and above[0] is not ZERO and isinstance(above[0], Number) and above[0].value < 0
        if negative:
            flipped = negate(above[0])
            above = above[1:] if isinstance(flipped, Number) and flipped.value == 1 else [flipped, *above[1:]]
        # Scalars first and in parentheses: one product of numbers instead of several passes over an array.
        small = [f for f in above if not free_indices(f)]
        large = [f for f in above if free_indices(f)]
        small_below = [f for f in below if not free_indices(f)]
        large_below = [f for f in below if free_indices(f)]
        coefficient = self._quotient(small, small_below, order) if small or (small_below and not large) else None
        divisor = small_below if coefficient is None else []
        text = self._quotient(large, large_below + divisor, order) if large or large_below else None
        if coefficient is None or text is None:
            both = coefficient or text or ("1", ATOM)
        elif large:
            both = f"{self._wrapped(coefficient, NEGATE)} * {self._wrapped(text, MULTIPLY)}", MULTIPLY
        else:
            both = f"{self._wrapped(coefficient, MULTIPLY)} / {self._chain(large_below, order)}", MULTIPLY
        return (f"-{self._wrapped(both, MULTIPLY)}", NEGATE if both[1] != MULTIPLY else MULTIPLY) if negative else both

    def _quotient(self, above: Sequence[Expr], below: Sequence[Expr], order: Axes) -> Text:
        texts = [self._power(f, order) for f in above]
        if len(texts) == 1 and not below:
            return texts[0]
        top = " * ".join(self._wrapped(t, NEGATE if p else MULTIPLY) for p, t in enumerate(texts)) or "1"
        if not below:
            return top, MULTIPLY if above else ATOM
        return f"{top} / {self._chain(below, order)}", MULTIPLY

    def _chain(self, below: Sequence[Expr], order: Axes) -> str:
        parts = [self._wrapped(self._power(f, order), NEGATE) for f in below]
        return parts[0] if len(parts) == 1 else f"({' * '.join(parts)})"

    def _power(self, expr: Expr, order: Axes) -> Text:
        if not isinstance(expr, Power):
            return self.value(expr, order)
        base, exponent = expr.base, expr.exponent
        if isinstance(exponent, Number) and exponent.value < 0:
            return f"1 / {self._wrapped(self._power(power(base, negate(exponent)), order), NEGATE)}", MULTIPLY
        if isinstance(exponent, Number) and exponent.value.denominator == 2 and exponent.value.numerator == 1:
            return self.applied("sqrt", expr, [self.value(base, order)[0]]), ATOM
        text = self._wrapped(self.value(base, order), ATOM)
        return f"{text}**{self._wrapped(self.value(exponent, order), POWER)}", POWER

    def _function(self, expr: Apply, order: Axes) -> Text:
        return self.applied(expr.function.name, expr, [self.value(a, order)[0] for a in expr.arguments]), ATOM

    def condition(self, expr: Expr, order: Axes) -> Text:
        """`expr`, whose values are 0 and 1, as truth values."""
        match expr:
            case Compare(relation, left, right):
                return self._relation(relation, left, right, order)
            case Kronecker(left, right):
                return self._relation("==", left, right, order)
            case Multiply(factors) if all(isinstance(f, (Compare, Kronecker)) for f in factors):
                return " & ".join(f"({self.condition(f, order)[0]})" for f in factors), COMPARE
        return f"{self._wrapped(self.value(expr, order), ADD)} != 0", COMPARE

    def _relation(self, relation: str, left: Expr, right: Expr, order: Axes) -> Text:
        # 0 < z reads better as z > 0.
        if isinstance(left, Number) and relation != "==":
            left, right, relation = right, left, relation.replace("<", ">")
        a, b = self._wrapped(self.value(left, order), ADD), self._wrapped(self.value(right, order), ADD)
        return f"{a} {relation} {b}", COMPARE

    def _indicator(self, expr: Expr, order: Axes) -> Text:
        """Truth values as numbers of the module's type, so that they add and subtract."""
        text = self.condition(expr, order)[0]
        return self.as_numbers(text, expr), ATOM

    def _where(self, condition: Expr, then: Expr, otherwise: Expr, order: Axes) -> Text:
        parts = [self.value(e, order)[0] for e in (then, otherwise)]
        test = self.condition(condition, order)[0]
        if not any(free_indices(e) for e in (condition, then, otherwise)):
            return self.chosen(test, parts, condition), ATOM
        if not free_indices(then) and not free_indices(otherwise):
            if isinstance(then, Number) and then.value == 1 and otherwise is ZERO:
                return self.as_numbers(test, condition), ATOM
            parts = [self.constant(p, e) for p, e in zip(parts, (then, otherwise), strict=True)]
        return self.chosen(test, parts, condition), ATOM

    # The words of the array library: a writer for another one says these otherwise

    def reduced(self, array: str, kind: str, places: Sequence[int]) -> str:
        """A reduction over these axes; over all if none is named."""
        axis = "" if not places else f"axis={places[0] if len(places) == 1 else tuple(places)}"
        return f"{array}.{kind}({axis})"

    def joined(self, parts: Sequence[str], axis: int) -> str:
        """Arrays one after the other."""
        return f"{self.np}.concatenate([{', '.join(parts)}], axis={axis})"

    def spread(self, text: Text, value: Expr, shape: str, copied: bool) -> str:
        """What has not all axes as an array that has them."""
        dtype = "DTYPE" if isinstance(value, (Number, Symbol)) else "None"
        return f"{self.np}.array({self.np}.broadcast_to({text[0]}, {shape}), dtype={dtype})"

    def copy(self, text: Text) -> str:
        """An array of its own."""
        return f"{self.np}.array({text[0]})"

    def counted(self, size: str) -> str:
        """0, 1, ... below a size."""
        return f"{self.np}.arange({size})"

    def applied(self, name: str, expr: Expr, arguments: Sequence[str]) -> str:
        """A function of arrays or numbers."""
        if name in HELPERS:
            self.helpers.add(name)
            return f"{name}({', '.join(arguments)})"
        return FUNCTION_TEXT.get(name, "{np}." + name + "({})").format(*arguments, np=self.np)

    def as_numbers(self, test: str, expr: Expr) -> str:
        """Truth values as numbers."""
        return f"({test}).astype(DTYPE)" if free_indices(expr) else f"float({test})"

    def as_integers(self, array: str) -> str:
        """Numbers that count as what an array may be looked up by."""
        return f"{array}.astype(int)"

    def chosen(self, test: str, parts: Sequence[str], condition: Expr) -> str:
        """One part where the test holds, the other elsewhere."""
        return f"{self.np}.where({test}, {parts[0]}, {parts[1]})"

    def constant(self, text: str, expr: Expr) -> str:
        """A number of the type of the arrays."""
        return f"DTYPE({text})"

    def permuted(self, array: str, places: Sequence[int]) -> str:
        """The axes in another order."""
        return f"{array}.T" if len(places) == 2 else f"{array}.transpose({', '.join(map(str, places))})"

    def inner(self, left: Text, right: Text) -> str:
        """The sum of all products of two arrays of one shape."""
        return f"{self.np}.vdot({left[0]}, {right[0]})"

    def tensordot(self, left: str, right: str, places: Sequence[Sequence[int]]) -> str:
        """The sum over these axes of the left and the right."""
        return f"{self.np}.tensordot({left}, {right}, axes=({places[0]}, {places[1]}))"

    def einsum(self, spelled: str, left: str, right: str, is_product: bool) -> str:
        """The sum that the letters spell."""
        product = ", optimize=True" if is_product else ""  # a sum has nothing to optimise, and looks for it long
        return f'{self.np}.einsum("{spelled}", {left}, {right}{product})'

    def clipped(self, text: str, place: Expr, size: str) -> str:
        """A position inside the axis."""
        return f"{self.np}.clip({text}, 0, {size} - 1)"

    def of_matrix(self, kind: MatrixKind, matrix: str) -> str:
        """What is made of each matrix in the last two axes."""
        return MATRIX_TEXT[kind].format(matrix, np=self.np)

    # Axes

    def _ordered(self, text: Text, have: Sequence[Index], want: Axes) -> Text:
        """The array `text` with axes `have`, transposed to the order of `want` (which has them all)."""
        positions = [have.index(i) for i in want if i in have]
        if positions == sorted(positions):
            return text
        return self.permuted(self._wrapped(text, ATOM), positions), ATOM

    def _lined_up(self, text: Text, have: Sequence[Index], order: Axes) -> Text:
        """The array `text` with axes `have`, ready to broadcast against an array with axes `order`."""
        if not have:
            return text
        first = min(order.index(i) for i in have)
        slots = [i in have for i in order[first:]]
        text = self._ordered(text, have, order)
        if all(slots):
            return text
        return f"{self._wrapped(text, ATOM)}[{', '.join(':' if s else 'None' for s in slots)}]", ATOM

    # Contractions

    def ordered(self, entry: Entry, want: Axes) -> str:
        """The array of an entry, its axes in this order."""
        return self._operand(entry, want)[0]

    def _operand(self, entry: Entry, want: Axes) -> Text:
        return self._ordered(self.array(entry), axes(entry), want)

    def _contract(self, s: Contract) -> Text:
        order, left, right = axes(s.target), axes(s.left), axes(s.right)
        batch = [i for i in order if i in left and i in right]
        if not order:
            return self.inner(self._operand(s.left, left), self._operand(s.right, left)), ATOM
        first, second = (s.left, s.right) if self._comes_first(left, right, order) else (s.right, s.left)
        rows = [i for i in axes(first) if i not in s.over and i not in batch]
        columns = [i for i in axes(second) if i not in s.over and i not in batch]
        if len(s.over) == 1 and len(rows) <= 1 and len(columns) <= 1 and not (batch and not (rows and columns)):
            a = self._wrapped(self._operand(first, [*batch, *rows, *s.over]), MULTIPLY)
            b = self._wrapped(self._operand(second, [*batch, *s.over, *columns]), NEGATE)
            return self._ordered((f"{a} @ {b}", MULTIPLY), [*batch, *rows, *columns], order)
        if not batch:
            where = [[axes(e).index(i) for i in s.over] for e in (first, second)]
            a, b = self.array(first)[0], self.array(second)[0]
            return self._ordered((self.tensordot(a, b, where), ATOM), rows + columns, order)
        letters = {i: chr(97 + p) for p, i in enumerate(dict.fromkeys([*left, *right]))}
        spelled = ["".join(letters[i] for i in w) for w in (left, right, order)]
        a, b = self.array(s.left)[0], self.array(s.right)[0]
        letters_of = f"{spelled[0]},{spelled[1]}->{spelled[2]}"
        return self.einsum(letters_of, a, b, bool(rows and columns)), ATOM

    @staticmethod
    def _comes_first(left: Axes, right: Axes, order: Axes) -> bool:
        """True if the axis of the target that only one side has, and that comes first, is on the left."""
        alone = [i for i in order if (i in left) != (i in right)]
        return not alone or alone[0] in left

    # Look-ups

    def _gather(self, s: Gather) -> Text:
        source = self.names[s.source]
        for axis, place in enumerate(s.positions):
            if (s.source, axis, place) in self.present:
                name = self.present[s.source, axis, place]
                return self._looked_up(s, name, axis)
        return self._looked_up(s, source)

    def _looked_up(self, s: Gather, source: str, gone: int | None = None) -> Text:
        """The look-up in the array called `source`, which may lack an axis."""
        order = axes(s.target)
        gone = self.rolling.get(s.source, gone)  # its last step is all there is of it
        places = [p for a, p in enumerate(s.positions) if a != gone]
        shape = [p for a, p in enumerate(s.source.shape) if a != gone]
        if s.whole and gone is None:
            text, level = self._reshaped(s, source), ATOM
            return (self.copy((text, level)), ATOM) if self._is_copied(s.target.tensor) else (text, level)
        known = not s.guarded or (gone is not None and all(map(_is_inside, places, shape)))
        windows = self._windows(places, shape) if known else None
        if windows is not None:
            have = [i for p in places for i in free_indices(p)]
            text = source if all(w == ":" for w in windows) else f"{source}[{', '.join(windows)}]"
            text, level = self._ordered((text, ATOM), have, order)
            return (self.copy((text, level)), ATOM) if self._is_copied(s.target.tensor) else (text, level)
        parts = []
        for position, size in zip(places, shape, strict=True):
            text = self.value(position, order)[0]
            inside = not s.guarded or (isinstance(position, Index) and position.size is size)
            parts.append(text if inside else self.clipped(text, position, self.size(size)))
        return f"{source}[{', '.join(parts)}]", ATOM

    def _reshaped(self, s: Gather, source: str) -> str:
        """The whole source with some axes split, the axes in the target's order, then some merged."""
        sizes = list[Expr]()
        for place, size in zip(s.positions, s.source.shape, strict=True):
            split = not isinstance(place, Index | Quotient | Remainder)
            sizes += [i.size for i in s.whole[len(sizes) : len(sizes) + 2] if isinstance(i, Index)] if split else [size]
        text, order = source, list[int]()
        if len(sizes) > len(s.source.shape):
            text = f"{text}.reshape({', '.join(map(self.size, sizes))})"
        for index in axes(s.target):
            if index in s.whole:
                order.append(s.whole.index(index))
            else:
                order += [next(k for k, d in enumerate(s.whole) if isinstance(d, kind) and d.left is index)
                          for kind in (Quotient, Remainder)]  # fmt: skip
        if order != sorted(order):
            text = self.permuted(text, order)
        if len(order) > len(axes(s.target)):
            text = f"{text}.reshape({', '.join(self.size(i.size) for i in axes(s.target))})"
        return text

    def _windows(self, positions: Sequence[Expr], shape: Sequence[Expr]) -> list[str] | None:
        """Slices, if every position is a number or an index plus a number, and no index occurs twice."""
        found, seen = list[str](), set[Index]()
        for position, size in zip(positions, shape, strict=True):
            free = free_indices(position)
            if not free:
                found.append(self.size(position))
                continue
            index = next(iter(free))
            offset = _without(position, index)
            if len(free) > 1 or index in seen or offset is None or free_indices(offset) or _reads_array(offset):
                return None
            seen.add(index)
            found.append(self._window(index, offset, size))
        return found

    def _window(self, index: Index, offset: Expr, size: Expr) -> str:
        """The slice start : start + length of an axis."""
        if offset is ZERO:
            return ":" if index.size is size else f":{self.size(index.size)}"
        start = self._wrapped(self.value(offset, ()), ADD)
        return f"{start} : {start} + {self._wrapped(self.value(index.size, ()), ADD)}"


def _sign(term: Expr) -> tuple[bool, Expr]:
    lead = term.factors[0] if isinstance(term, Multiply) else term
    return (True, negate(term)) if isinstance(lead, Number) and lead.value < 0 else (False, term)


def over_and_under(expr: Expr) -> tuple[list[Expr], list[Expr]]:
    """Numerator and denominator: factors with a negative number as exponent go below."""
    above, below = list[Expr](), list[Expr]()
    for factor in expr.factors if isinstance(expr, Multiply) else (expr,):
        exponent = factor.exponent if isinstance(factor, Power) else None
        if isinstance(factor, Power) and isinstance(exponent, Number) and exponent.value < 0:
            below.append(power(factor.base, negate(exponent)))
        else:
            above.append(factor)
    return above, below


def _without(position: Expr, index: Index) -> Expr | None:
    """position - index, if that is free of the index."""
    rest = subtract(position, index)
    if isinstance(position, Add) and index in position.terms:
        terms = list(position.terms)
        terms.remove(index)
        rest = terms[0] if len(terms) == 1 else Add(tuple(terms))
    elif position is index:
        rest = ZERO
    return None if index in free_indices(rest) else rest


def _reads_array(expr: Expr) -> bool:
    return (isinstance(expr, Entry) and bool(expr.indices)) or any(_reads_array(c) for c in children(expr))


def _is_inside(place: Expr, size: Expr) -> bool:
    """True if a place lies within an axis whatever its indices are."""
    return bool(decide("<=", ZERO, place) and decide("<", place, size))
