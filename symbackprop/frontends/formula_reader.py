"""Python's syntax tree of a formula into an expression, node by node, by a whitelist.

It refuses every node that is not arithmetic, a subscript or a call of a known function; indices that do not fit are
refused or, when a claim is read leniently, noted. `formula` is the door to it.
"""

from __future__ import annotations

import ast
import re
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
    Tensor,
    add,
    apply,
    close_sum,
    divide,
    fresh,
    kronecker,
    multiply,
    negate,
    number,
    power,
    subtract,
    where,
)
from symbackprop.expression.functions import FUNCTIONS, derivative
from symbackprop.expression.sizes import decide, simplify
from symbackprop.frontends.formula_syntax import Scope, axes_of, size_text

MAXIMUM_DIGITS = 60
MAXIMUM_POWER = 1000
_ONE_ARGUMENT = ("sqrt", "square", "Abs", "Heaviside")
_TWO_ARGUMENTS = ("kronecker", "KroneckerDelta", "Max", "max", "Min", "min")
_SPECIAL = {"where": 3} | dict.fromkeys(_ONE_ARGUMENT, 1) | dict.fromkeys(_TWO_ARGUMENTS, 2)


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
        end = node.end_col_offset or node.col_offset + 1
        return kind(what, where=self.source, span=(node.col_offset, end), evidence=evidence, help=help)

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
                return multiply(a, b)
            case ast.Div():
                if b is ZERO:
                    raise self.fail("a quotient divides by zero", right)
                return divide(a, b)
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
        for index in reversed(bound):
            value = close_sum(index, value)
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
