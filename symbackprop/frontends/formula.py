"""Text formulas in Python's expression syntax, read by a whitelist and never evaluated.

    delta2[n,i] = sum(j, W2[j,i]*delta3[n,j]) * f_prime(z2[n,i])

A `Scope` says which tensors, scalars and functions there are. A sum's index ranges over the axis that its place in a
tensor demands; `sum(j < s_2 + 1, ...)` gives the range by hand. SymPy expressions are read in the form in which SymPy
prints them: `Sum(W2[j, i]*delta3[n, j], (j, 1, s_3))`. Python's parser reads the text, this module walks its tree and
refuses every node that is not arithmetic, a subscript or a call of a known function.

`parse` refuses a formula whose indices do not fit. `read_claim` reads it all the same and says what does not fit,
since a claim with a swapped index can still be refuted by numbers where the two axes are equally long.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from symbackprop.errors import FormulaError, IndexNotationError, nearest
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Compare,
    Entry,
    Expr,
    Index,
    Number,
    Symbol,
    Tensor,
    add,
    apply,
    fresh,
    kronecker,
    negate,
    number,
    power,
    subtract,
    sum_over,
    where,
)
from symbackprop.expression.functions import FUNCTIONS, WRITTEN_OUT, Function, derivative
from symbackprop.expression.sizes import decide, simplify
from symbackprop.expression.sympy_bridge import without_counterpart, written_out
from symbackprop.expression.zero_products import divide_as_written, multiply_as_written

MAXIMUM_LENGTH = 10_000
MAXIMUM_DEPTH = 200  # levels of nesting; a sum of n terms has n
MAXIMUM_DIGITS = 60
MAXIMUM_POWER = 1000
_ONE_ARGUMENT = ("sqrt", "square", "Abs", "Heaviside")
_TWO_ARGUMENTS = ("kronecker", "KroneckerDelta", "Max", "max", "Min", "min")
_SPECIAL = {"where": 3} | dict.fromkeys(_ONE_ARGUMENT, 1) | dict.fromkeys(_TWO_ARGUMENTS, 2)
# Real functions that SymPy has and that no formula of known functions gives.
_REFUSED = """acos acot acsc asec asin atan atan2 arccos arcsin arctan besseli besselj besselk bessely beta Chi Ci
ceiling digamma Ei erfcinv erfi erfinv expint factorial floor fresnelc fresnels gamma LambertW lgamma li loggamma
lowergamma polygamma Shi Si sinc uppergamma zeta"""
UNKNOWN_OF_SYMPY = frozenset(_REFUSED.split())
LATEX_HELP = "\\sum_j W^{(2)}_{ji} \\delta^{(3)}_{nj} is written sum(j, W2[j,i]*delta3[n,j])"
_KEYWORDS = {"lambda": "lam", "λ": "lam", "δ": "delta", "σ": "sigmoid", "ε": "eps"}


@dataclass(frozen=True)
class Scope:
    """What the names of a formula mean.

    Args:
        tensors: by name; a tensor of shape () is written without subscript.
        scalars: sizes and hyper-parameters by name.
        functions: by name, beside those of `expression.functions`.
        indices: free indices, fixed by the left side.
        widths: the length of an axis in numbers, where the user gave it; SymPy sums may say 5 instead of s_2.
        arithmetic: whether a subscript may be computed, W[i,j+1], and indices may be compared, as in where(j < 1, ...).
    """

    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    scalars: Mapping[str, Expr] = field(default_factory=dict)
    functions: Mapping[str, Function] = field(default_factory=dict)
    indices: Mapping[str, Index] = field(default_factory=dict)
    widths: Mapping[Expr, int] = field(default_factory=dict)
    arithmetic: bool = False

    def names(self) -> list[str]:
        """All names that may stand in a formula."""
        return [
            *self.tensors,
            *self.scalars,
            *self.functions,
            *FUNCTIONS,
            *self.indices,
            "sum",
            "sqrt",
            "where",
            "kronecker",
        ]


def translated(text: str) -> str:
    """`text` with Greek letters and dJ/dW1[...] in the spelling that Python's parser takes."""
    if not text.strip():
        raise FormulaError("the formula is empty")
    if len(text) > MAXIMUM_LENGTH:
        raise FormulaError(f"the formula has {len(text)} characters, more than {MAXIMUM_LENGTH}")
    text = re.sub(r"\bdJ\s*/\s*d(?=[A-Za-z])", "dJ_d", text)
    for word, name in _KEYWORDS.items():
        text = re.sub(rf"\b{word}(?![A-Za-z])", name, text) if word.isascii() else text.replace(word, name)
    return text.strip()


def tree(source: str, refusal: str = "this is not a formula", help: str | None = None) -> ast.expr:
    """Python's syntax tree of a formula, of limited depth.

    Args:
        refusal, help: what to say of text that is none, and how to write it.

    Raises:
        FormulaError: it is not a formula, or nested too deeply.
    """
    latex = re.search(r"\\[A-Za-z]+|[_^]\{", source.split("\n")[0])
    if latex:
        raise FormulaError(
            "this is LaTeX; a formula is written in Python's syntax",
            where=source.split("\n")[0],
            span=latex.span(),
            help=LATEX_HELP,
        )
    try:
        parsed = ast.parse(source, mode="eval").body
    except (RecursionError, MemoryError):
        raise FormulaError(f"the formula is nested deeper than {MAXIMUM_DEPTH} levels") from None
    except (SyntaxError, ValueError) as error:
        line = source.split("\n")[(getattr(error, "lineno", None) or 1) - 1]
        offset = getattr(error, "offset", None)  # 0 where the text ends too early: then its last letter is to blame
        column = (offset or len(line.rstrip()) or 1) - 1
        raise FormulaError(refusal, where=line, span=(column, column + 1), help=help) from None
    level: list[ast.AST] = [parsed]
    for _ in range(MAXIMUM_DEPTH):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return parsed
    raise FormulaError(f"the formula is nested deeper than {MAXIMUM_DEPTH} levels")


def split_equation(text: str) -> tuple[str, str]:
    """The two sides of "left = right".

    Raises:
        FormulaError: there is no = or more than one.
    """
    places = [
        found.start()
        for found in re.finditer(r"(?<![=<>!])=(?!=)", text)
        if text.count("(", 0, found.start()) == text.count(")", 0, found.start())  # axis=0 belongs to a call
    ]
    if len(places) != 1:
        raise FormulaError("an equation has one = sign", where=text, help='write it as "delta2[n,i] = ..."')
    return text[: places[0]].strip(), text[places[0] + 1 :].strip()


def axes_of(node: ast.AST, name: str, tensors: Mapping[str, Tensor]) -> Iterator[Expr]:
    """The sizes of the axes at which the index `name` stands."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "sum":
        for binder in node.args[:-1]:
            inner = binder.elts[0] if isinstance(binder, ast.Tuple) and binder.elts else binder
            inner = inner.left if isinstance(inner, ast.Compare) else inner
            if isinstance(inner, ast.Name) and inner.id == name:
                return
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        tensor = tensors.get(node.value.id)
        parts = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
        if tensor is not None and len(parts) == len(tensor.shape):
            for part, size in zip(parts, tensor.shape, strict=True):
                if isinstance(part, ast.Name) and part.id == name:
                    yield size
    for child in ast.iter_child_nodes(node):
        yield from axes_of(child, name, tensors)


def size_text(size: Expr) -> str:
    """A size by its name."""
    return size.name if isinstance(size, Symbol) else str(size)


class Reader:
    """Walks Python's syntax tree of one formula."""

    def __init__(self, source: str, scope: Scope, *, lenient: bool = False) -> None:
        self.source, self.scope, self.lenient = source, scope, lenient
        self.indices: dict[str, Index] = dict(scope.indices)
        self.strays: dict[str, Index] = {}
        self.clashes: list[tuple[Expr, Expr]] = []
        self.partial: list[tuple[Expr, Expr]] = []
        self.problem: IndexNotationError | None = None
        self.inside_index = False
        self.ranged: set[str] = set()  # indices whose range is said aloud

    def fail(
        self,
        what: str,
        node: ast.expr,
        *,
        kind: type[FormulaError] | type[IndexNotationError] = FormulaError,
        evidence: tuple[str, ...] = (),
        help: str | None = None,
    ) -> FormulaError | IndexNotationError:
        """An error that points at the node."""
        line = self.source.split("\n")[node.lineno - 1]
        last = node.end_col_offset if node.end_lineno == node.lineno else None
        # Python's parser counts bytes
        start, end = (len(line.encode()[:column].decode()) for column in (node.col_offset, last))
        return kind(what, where=line, span=(start, max(end, start + 1)), evidence=evidence, help=help)

    def misfit(self, error: FormulaError | IndexNotationError) -> None:
        """Refuse indices that do not fit, or only note it when reading a claim."""
        if not self.lenient:
            raise error
        if self.problem is None and isinstance(error, IndexNotationError):
            self.problem = error

    def read(self, node: ast.expr) -> Expr:
        """The expression of one node."""
        match node:
            case ast.Constant(value=bool()):
                raise self.fail("True and False are not numbers", node)
            case ast.Constant(value=int() | float()):
                return self._number(node)
            case ast.Name(id=name):
                return self._name(name, node)
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                return negate(self.read(inner))
            case ast.UnaryOp(op=ast.UAdd(), operand=inner):
                return self.read(inner)
            case ast.BinOp(left=left, op=operator, right=right):
                return self._binary(left, operator, right, node)
            case ast.Subscript(value=ast.Name(id=name)):
                return self._entry(name, node)
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                return self._call(name, args, node)
            case ast.Compare(left=left, ops=[operator], comparators=[right]):
                read = self._integer if self.scope.arithmetic else self.read
                return self._compare(read(left), operator, read(right), node)
        raise self.fail(
            "only numbers, names, + - * / **, entries such as a2[n,j] and calls of known functions are allowed", node
        )

    def _number(self, node: ast.Constant) -> Expr:
        """The exact decimal that was written, not the float next to it."""
        text = (ast.get_source_segment(self.source, node) or "").replace("_", "")
        if len(text) > MAXIMUM_DIGITS or (
            isinstance(node.value, float) and not 1e-300 < abs(node.value) < 1e300 and node.value
        ):
            raise self.fail("the number has too many digits", node)
        if isinstance(node.value, float):
            if not node.value and re.search("[1-9]", re.split("[eE]", text)[0]):
                raise self.fail("the number is too small", node)
            return number(Fraction(text) if node.value else 0)
        assert isinstance(node.value, int), "a number"
        return number(node.value)

    def _power(self, base: Expr, exponent: Expr, node: ast.expr) -> Expr:
        if isinstance(exponent, Number):
            size = max(abs(exponent.value.numerator), exponent.value.denominator)
            digits = (
                max(abs(base.value.numerator), base.value.denominator).bit_length() if isinstance(base, Number) else 1
            )
            if size * digits > MAXIMUM_POWER:
                raise self.fail(
                    "the power is too large", node, help=f"exponents go up to {MAXIMUM_POWER}, less for numbers"
                )
            if base is ZERO and exponent.value < 0:
                raise self.fail("a quotient divides by zero", node)
        return power(base, exponent)

    def _name(self, name: str, node: ast.expr) -> Expr:
        if name in self.indices:
            if not self.inside_index:
                raise self.fail(
                    f"index {name} stands outside the brackets of a tensor",
                    node,
                    help="an index is not a number here: entries are counted from 1 on paper, from 0 in code",
                )
            return self.indices[name]
        if name in self.scope.scalars:
            return self.scope.scalars[name]
        tensor = self.tensor(name, node)
        self.check_rank(tensor, 0, node)
        return Entry(tensor)

    def tensor(self, name: str, node: ast.expr) -> Tensor:
        """The tensor called `name`."""
        if name in self.scope.tensors:
            return self.scope.tensors[name]
        near = nearest(name, self.scope.names())
        raise self.fail(
            f"unknown name {name}",
            node,
            evidence=("known:  " + ", ".join(self.scope.tensors or self.scope.scalars),),
            help=f"did you mean {near}" if near else None,
        )

    def check_rank(self, tensor: Tensor, given: int, node: ast.expr) -> None:
        """Refuse an entry with too many or too few indices."""
        if given != len(tensor.shape):
            raise self.fail(
                f"{tensor.name} has {len(tensor.shape)} indices, not {given}", node, kind=IndexNotationError
            )

    def _binary(self, left: ast.expr, operator: ast.operator, right: ast.expr, node: ast.expr) -> Expr:
        a, b = self.read(left), self.read(right)
        match operator:
            case ast.Add():
                return add(a, b)
            case ast.Sub():
                return subtract(a, b)
            case ast.Mult():
                return multiply_as_written(a, b)
            case ast.Div():
                if b is ZERO:
                    raise self.fail("a quotient divides by zero", right)
                return divide_as_written(a, b)
            case ast.Pow():
                return self._power(a, b, node)
            case ast.BitXor():
                raise self.fail("^ is not a power here", node, help="write ** for a power")
        raise self.fail(f"the operator {type(operator).__name__} is not allowed", node)

    def _entry(self, name: str, node: ast.Subscript) -> Expr:
        tensor = self.tensor(name, node.value)
        parts = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
        self.check_rank(tensor, len(parts), node)
        indices = []
        for part, size in zip(parts, tensor.shape, strict=True):
            indices.append(self._subscript(part, size, name))
        return Entry(tensor, tuple(indices))

    def _subscript(self, part: ast.expr, size: Expr, name: str) -> Expr:
        if not isinstance(part, ast.Name):
            if self.scope.arithmetic:
                return self._integer(part)
            raise self.fail("an index must be a name", part, kind=IndexNotationError)
        if part.id not in self.indices:
            known = ", ".join(self.indices) or "none"
            self.misfit(
                self.fail(
                    f"index {part.id} is neither free on the left nor summed over",
                    part,
                    kind=IndexNotationError,
                    evidence=(f"known:  {known}",),
                    help=f"sum over it: sum({part.id}, ...)",
                )
            )
            return self.strays.setdefault(part.id, Index(part.id, size))
        index = self.indices[part.id]
        if index.size is not size and part.id in self.ranged:
            if not self.scope.arithmetic:
                self.misfit(
                    self.fail(
                        f"the sum over {part.id} does not run over this axis of {name}",
                        part,
                        kind=IndexNotationError,
                        evidence=(
                            f"sum:   {part.id} takes {size_text(index.size)} values",
                            f"axis:  {size_text(size)}",
                        ),
                    )
                )
            self.partial.append((index.size, size))
        elif index.size is not size:
            self.misfit(
                self.fail(
                    f"index {part.id} is used on two different axes",
                    part,
                    kind=IndexNotationError,
                    evidence=(
                        f"first:  {part.id} runs over {size_text(index.size)}",
                        f"here:   this axis of {name} has {size_text(size)}",
                    ),
                )
            )
            self.clashes.append((index.size, size))
        return index

    def _integer(self, node: ast.expr) -> Expr:
        """An expression in which indices count as integers."""
        outside, self.inside_index = self.inside_index, True
        value = self.read(node)
        self.inside_index = outside
        return value

    def _call(self, name: str, args: list[ast.expr], node: ast.expr) -> Expr:
        if name == "sum":
            return self._sum(args[:-1], args[-1] if args else node, node)
        if name == "Sum":
            return self._sum(args[1:], args[0] if args else node, node)
        if name == "Piecewise":
            return self._piecewise(args, node)
        if name in _SPECIAL:
            return self._special(name, args, node)
        function = self.scope.functions.get(name) or FUNCTIONS.get(name)
        if function is None and name.removesuffix("_prime") in FUNCTIONS:
            function = derivative(FUNCTIONS[name.removesuffix("_prime")])
        if function is None and name in WRITTEN_OUT and len(args) == 1:
            return written_out(name, self.read(args[0]))
        if function is None and name in UNKNOWN_OF_SYMPY:
            raise self.fail(without_counterpart(name), node)
        if function is None:
            near = nearest(name, self.scope.names())
            raise self.fail(f"unknown function {name}", node, help=f"did you mean {near}" if near else None)
        if len(args) != function.arity:
            raise self.fail(f"{name} takes {function.arity} argument(s), not {len(args)}", node)
        return apply(function, *(self.read(a) for a in args))

    def _special(self, name: str, args: list[ast.expr], node: ast.expr) -> Expr:
        wanted = _SPECIAL[name]
        if len(args) != wanted:
            raise self.fail(f"{name} takes {wanted} argument(s), not {len(args)}", node)
        if name in ("kronecker", "KroneckerDelta"):
            return kronecker(*(self._integer(a) for a in args))
        a, b, c = (*(self.read(a) for a in args), ZERO, ZERO)[:3]
        match name.lower():
            case "sqrt":
                return power(a, Fraction(1, 2))
            case "square":
                return power(a, 2)
            case "abs":
                return apply(FUNCTIONS["abs"], a)
            case "heaviside":
                return apply(FUNCTIONS["step"], a)
            case "max":
                return where(Compare("<", a, b), b, a)
            case "min":
                return where(Compare("<", a, b), a, b)
        return where(a, b, c)

    def _piecewise(self, branches: list[ast.expr], node: ast.expr) -> Expr:
        """SymPy's Piecewise((value, condition), ..., (value, True))."""
        match branches:
            case [*earlier, ast.Tuple(elts=[last, ast.Constant(value=True)])]:
                result = self.read(last)
            case _:
                raise self.fail("the last branch of a Piecewise must hold always: (value, True)", node)
        for branch in reversed(earlier):
            match branch:
                case ast.Tuple(elts=[value, ast.Compare() as condition]):
                    result = where(self.read(condition), self.read(value), result)
                case _:
                    raise self.fail("a branch of a Piecewise is a value and a comparison", branch)
        return result

    def _compare(self, left: Expr, operator: ast.cmpop, right: Expr, node: ast.expr) -> Expr:
        if isinstance(operator, ast.NotEq):
            return subtract(ONE, Compare("==", left, right))
        table: dict[type[ast.cmpop], Expr] = {
            ast.Lt: Compare("<", left, right),
            ast.LtE: Compare("<=", left, right),
            ast.Gt: Compare("<", right, left),
            ast.GtE: Compare("<=", right, left),
            ast.Eq: Compare("==", left, right),
        }
        if type(operator) not in table:
            raise self.fail("this comparison is not allowed", node)
        return table[type(operator)]

    def _sum(self, binders: list[ast.expr], body: ast.expr, node: ast.expr) -> Expr:
        """sum(j, body), sum(j, k, body), sum(j < size, body), and SymPy's Sum(body, (j, 1, size))."""
        if not binders:
            raise self.fail("sum takes its indices and then what is summed: sum(j, W[i,j]*a[j])", node)
        outer, bound = dict(self.indices), []
        for binder in binders:
            name, size = self._binder(binder, body)
            if name in self.indices:
                raise self.fail(
                    f"index {name} is in use already outside this sum",
                    binder,
                    kind=IndexNotationError,
                    help="give the summed index another name",
                )
            bound.append(self.indices.setdefault(name, fresh(name, size)))
            self.ranged = self.ranged | {name} if not isinstance(binder, ast.Name) else self.ranged - {name}
        value = self.read(body)
        self.indices = outer
        value = sum_over(bound, value)
        return value

    def _binder(self, binder: ast.expr, body: ast.expr) -> tuple[str, Expr]:
        match binder:
            case ast.Compare(left=ast.Name(id=name), ops=[ast.Lt()], comparators=[size]):
                return name, self._length(simplify(self.read(size)), body, name)
            case ast.Tuple(elts=[ast.Name(id=name), size]):
                return name, self._length(simplify(self.read(size)), body, name)
            case ast.Tuple(elts=[ast.Name(id=name), first, last]):
                start = self.read(first)
                if start is not ZERO and start is not ONE:
                    raise self.fail(
                        "a sum runs from the first entry, 1 (or 0)",
                        first,
                        help="write the others out, or leave out the range",
                    )
                length = subtract(add(self.read(last), ONE), start)
                return name, self._length(simplify(length), body, name)
            case ast.Name(id=name):
                sizes = list(dict.fromkeys(axes_of(body, name, self.scope.tensors)))
                if not sizes:
                    raise self.fail(
                        f"the range of {name} cannot be told: it is the index of no tensor in the sum",
                        binder,
                        kind=IndexNotationError,
                        help=f"give it: sum({name} < size, ...)",
                    )
                if len(sizes) > 1:
                    texts = tuple(f"axis:   {size_text(s)}" for s in sizes)
                    self.misfit(
                        self.fail(
                            f"index {name} is summed over two different axes",
                            binder,
                            kind=IndexNotationError,
                            evidence=texts,
                        )
                    )
                    self.clashes += [(sizes[0], s) for s in sizes[1:]]
                return name, sizes[0]
        raise self.fail("the index of a sum must be a name", binder, kind=IndexNotationError)

    def _length(self, given: Expr, body: ast.expr, name: str) -> Expr:
        """The length of an explicit range; a number that is the width of the axis in question stands for the axis."""
        if decide("<=", ZERO, given) is not True:
            raise self.fail(
                f"the range of {name} may be less than empty",
                body,
                kind=IndexNotationError,
                evidence=(f"range:  {size_text(given)}",),
            )
        for size in axes_of(body, name, self.scope.tensors):
            if isinstance(given, Number) and self.scope.widths.get(size) == given.value:
                return size
        return given


def parse(text: str, scope: Scope) -> Expr:
    """The expression that `text` describes.

    Raises:
        FormulaError: not a formula, or an unknown name (the nearest known one is named).
        IndexNotationError: an index is used on two different axes, or its range cannot be told.

    Example:
        >>> from symbackprop.expression.build import Symbol
        >>> parse("3*lambda", Scope(scalars={"lam": Symbol("lam")}))
        Multiply(factors=(Number(value=Fraction(3, 1)), Symbol(name='lam', kind='real')))
    """
    source = translated(text)
    return Reader(source, scope).read(tree(source))


@dataclass(frozen=True)
class Reading:
    """A claim as far as it can be understood.

    Args:
        value: the expression.
        strays: indices that are neither free on the left nor summed over.
        clashes: pairs of axes that one index runs over.
        partial: the length of a sum that is said aloud, and that of the axis it runs over, where they differ.
        problem: the first thing that does not fit, None if all is well.
    """

    value: Expr
    strays: tuple[Index, ...]
    clashes: tuple[tuple[Expr, Expr], ...]
    problem: IndexNotationError | None
    partial: tuple[tuple[Expr, Expr], ...] = ()


def read_claim(text: str, scope: Scope) -> Reading:
    """Like `parse`, but indices that do not fit are noted, not refused.

    Raises:
        FormulaError: not a formula, or an unknown name.
        IndexNotationError: the range of an index cannot be told.
    """
    source = translated(text)
    reader = Reader(source, scope, lenient=True)
    value = reader.read(tree(source))
    return Reading(
        value,
        tuple(reader.strays.values()),
        tuple(dict.fromkeys(reader.clashes)),
        reader.problem,
        tuple(dict.fromkeys(reader.partial)),
    )


def left_indices(text: str, scope: Scope) -> tuple[str, tuple[Index, ...]]:
    """The tensor's name and the free indices of a left side such as delta2[n,i].

    Raises:
        FormulaError: not a name with distinct indices in brackets.
        IndexNotationError: the wrong number of indices.
    """
    source = translated(text)
    node = tree(source)
    if isinstance(node, ast.Name):
        name, subscripts = node.id, []
    elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        name = node.value.id
        subscripts = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
    else:
        raise FormulaError("the left side must be one entry, such as delta2[n,i] or dJ/dW1[i,j]", where=source)
    reader = Reader(source, scope)
    tensor = reader.tensor(name, node)
    names = [s.id for s in subscripts if isinstance(s, ast.Name)]
    if len(names) != len(subscripts) or len(set(names)) != len(names):
        raise FormulaError("the indices of the left side must be distinct names", where=source)
    reader.check_rank(tensor, len(names), node)
    return name, tuple(Index(i, size) for i, size in zip(names, tensor.shape, strict=True))


__all__ = ["Reading", "Scope", "left_indices", "parse", "read_claim", "split_equation", "translated"]
