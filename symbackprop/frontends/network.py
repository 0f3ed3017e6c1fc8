"""Dense networks: a description in one line, and the Program of its cost.

    z2[n,i] = Sum(j, W1[i,j]*a1[n,j]) + b1[i]        W[i,j]: i receives, j sends; layer 1 is the input x
    a2[n,i] = f(z2[n,i])
    J       = 1/m Sum(n, cost of example n) + penalties on the weights, never on the biases

Widths are symbols in the Program, also when the user gave numbers: what is proved about it holds for every width, and
costs the same for every width. This module describes; it derives nothing.

Source: the conventions of the Stanford UFLDL tutorial (W leads from layer l to l + 1).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import sympy as sp

from symbackprop.errors import NetworkError
from symbackprop.expression.build import (
    ONE,
    Entry,
    Expr,
    Index,
    Symbol,
    Tensor,
    add,
    apply,
    close_sum,
    contraction,
    divide,
    fresh,
    multiply,
    negate,
    number,
    power,
    rewrite,
    substitute,
    subtract,
)
from symbackprop.expression.functions import ARGUMENTS, EXP, FUNCTIONS, LOG, Function
from symbackprop.expression.nodes import interned
from symbackprop.expression.program import Assumption, Equation, Program, symbols
from symbackprop.expression.recurrence import recurrent
from symbackprop.expression.shown import Shown
from symbackprop.expression.sympy_bridge import PI, PLACES, definition, from_sympy, to_sympy
from symbackprop.frontends.formula import Scope, parse
from symbackprop.frontends.network_options import Activation, read_activations, read_cost, read_widths

M = Symbol("m", "size")
CONSTANTS = {"m": M, "pi": PI}


@dataclass(frozen=True)
class Layer:
    """One layer: number (1 is the input), width as a symbol and as given, activation (None for input and softmax)."""

    number: int
    size: Symbol
    width: int | str
    function: Function | None


_DESCRIPTION = ("depth", "reduction", "cost_function", "cost_name", "layers", "l1", "l2")


class Network(Shown):
    """A dense network with a cost.

    Args:
        layers: widths from the input to the output, each an integer or the name of a symbol.
        activation: a name, a SymPy expression in one symbol, or "f" for an arbitrary differentiable function; one for
            all layers or a list (hidden ..., output).
        cost: "squared_error" (1/2 |h - y|^2), "cross_entropy" (per output unit), "softmax_cross_entropy" (softmax at
            the output), or a SymPy expression in the symbols h and y, added up over the output units.
        l1: coefficient of Sum |W|; l2: coefficient of Sum W^2; expressions such as "lambda/(2*m)".
        reduction: "mean" or "sum" over the m examples.
        depth: name of a symbol, for a network of any depth (then `layers` is left out).

    Raises:
        NetworkError: the description makes no sense; says which part.

    Example:
        >>> Network([3, 5, 4], activation="tanh", cost="squared_error").widths
        (3, 5, 4)
    """

    def __init__(
        self,
        layers: Sequence[int | str] | None = None,
        *,
        activation: Activation | Sequence[Activation] = "sigmoid",
        cost: str | sp.Expr = "cross_entropy",
        l2: str | sp.Expr | float | None = None,
        l1: str | sp.Expr | float | None = None,
        reduction: Literal["mean", "sum"] = "mean",
        depth: str | None = None,
    ) -> None:
        if reduction not in ("mean", "sum"):
            raise NetworkError(f"reduction must be 'mean' or 'sum', not {reduction!r}")
        if (layers is None) == (depth is None):
            raise NetworkError(
                "give either the layers or a symbol for the depth", help='Network([3, 5, 4]) or Network(depth="L")'
            )
        if depth is not None and not re.fullmatch(r"[A-Za-z]\w*", str(depth)):
            raise NetworkError(f"the depth must be the name of a symbol, not {depth!r}", help='depth="L"')
        self.depth = depth
        # a network of any depth is shown by its last two layers; `proofs.any_depth` states the general step
        given = read_widths(layers if layers is not None else ["s_1", "s_2", "K"])
        self.reduction: Literal["mean", "sum"] = reduction
        self.cost_function, self.cost_name = read_cost(cost)
        functions = read_activations(activation, len(given), self.cost_name)
        self.layers = tuple(
            Layer(number, Symbol(w if isinstance(w, str) else _spare_name(f"s_{number}", given), "size"), w, f)
            for number, (w, f) in enumerate(zip(given, [None, *functions], strict=True), start=1)
        )
        self.l1, self.l2 = self._penalty("l1", l1), self._penalty("l2", l2)

    def __getstate__(self) -> dict[str, Any]:
        """The description; what follows from it is worked out again."""
        return {name: getattr(self, name) for name in _DESCRIPTION}

    def __setstate__(self, state: dict[str, Any]) -> None:
        layers = (replace(x, size=interned(x.size), function=interned(x.function)) for x in state["layers"])
        self.__dict__.update({n: interned(state[n]) for n in _DESCRIPTION}, layers=tuple(layers))

    def __eq__(self, other: object) -> bool:
        """Whether the descriptions are equal: a copy equals its original."""
        return isinstance(other, Network) and self._description() == other._description()

    def __hash__(self) -> int:
        return hash(self._description())

    def _description(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in _DESCRIPTION)

    def like(
        self,
        layers: Sequence[int | str],
        *,
        activation: Activation | Sequence[Activation] | None = None,
        cost: str | sp.Expr | None = None,
    ) -> Network:
        """A network with these layers, and for the rest as this one.

        Args:
            layers: widths, as for a network.
            activation: others than those of this network; by default hidden layers are like its first hidden one.
            cost: another than that of this network.

        Example:
            >>> Network([64, 30, 10], activation="tanh", cost="squared_error").like([2, 2, 1]).widths
            (2, 2, 1)
        """
        functions: list[Activation] = [x.function if x.function is not None else "softmax" for x in self.layers[1:]]
        hidden = functions[0] if functions[0] != "softmax" else "sigmoid"
        own = self.cost_function
        named = sp.Symbol("h", real=True)
        known = self.cost_name if own is None else own.definition.subs(ARGUMENTS[0], named)  # type: ignore[union-attr]
        return Network(
            layers,
            activation=activation if activation is not None else [*[hidden] * (len(layers) - 2), functions[-1]],
            cost=cost if cost is not None else known,
            l2=None if self.l2 is None else to_sympy(self.l2),
            l1=None if self.l1 is None else to_sympy(self.l1),
            reduction=self.reduction,
        )

    @property
    def widths(self) -> tuple[int | str, ...]:
        """The widths as given."""
        return tuple(layer.width for layer in self.layers)

    @property
    def softmax(self) -> bool:
        """True if the output layer is a softmax."""
        return self.layers[-1].function is None

    @property
    def hyper_parameters(self) -> tuple[Symbol, ...]:
        """The scalars that a caller must give: lam, and whatever else the user's expressions contain."""
        found: dict[Symbol, None] = {}
        for equation in self.program.equations:
            found.update(dict.fromkeys(s for s in symbols(equation.value) if s.kind != "size" and s is not PI))
        return tuple(found)

    def _penalty(self, name: str, value: str | sp.Expr | float | None) -> Expr | None:
        if value is None:
            return None
        sizes = {layer.size.name: layer.size for layer in self.layers}
        if isinstance(value, str):
            words = set(re.findall(r"[A-Za-z_]\w*", value.replace("lambda", "lam"))) - set(FUNCTIONS) - {"sqrt"}
            scalars = {w: sizes.get(w) or CONSTANTS.get(w) or Symbol(w) for w in words}
            coefficient = parse(value, Scope(scalars=scalars))
        else:
            given = {s: "lam" if s.name == "lambda" else s.name for s in getattr(value, "free_symbols", ())}
            known = {s: sizes.get(name) or CONSTANTS.get(name) or Symbol(name) for s, name in given.items()}
            coefficient = from_sympy(sp.sympify(value) if isinstance(value, (int, float)) else value, known)
        names = {t.name for t in self._tensors()}
        taken = names | {f"dJ_d{n}" for n in names} | {f"delta{layer.number}" for layer in self.layers} | {"h"}
        if any(s.name in taken for s in symbols(coefficient)):
            raise NetworkError(f"the coefficient {name} may contain hyper-parameters and sizes only", where=str(value))
        return coefficient

    # The program.

    @cached_property
    def x(self) -> Tensor:
        """The examples, one a row: (m, s_1)."""
        return Tensor("x", (M, self.layers[0].size))

    @cached_property
    def y(self) -> Tensor:
        """The targets, one a row: (m, s_L)."""
        return Tensor("y", (M, self.layers[-1].size))

    def weight(self, number: int) -> Tensor:
        """W of shape (s_{l+1}, s_l), leading from layer `number` to the next."""
        return Tensor(f"W{number}", (self.layers[number].size, self.layers[number - 1].size))

    def bias(self, number: int) -> Tensor:
        """b of shape (s_{l+1},)."""
        return Tensor(f"b{number}", (self.layers[number].size,))

    def pre_activation(self, number: int) -> Tensor:
        """z of layer `number` >= 2: (m, s_l)."""
        return Tensor(f"z{number}", (M, self.layers[number - 1].size))

    def activations(self, number: int) -> Tensor:
        """a of layer `number`; layer 1 is x."""
        return self.x if number == 1 else Tensor(f"a{number}", (M, self.layers[number - 1].size))

    def _tensors(self) -> Iterable[Tensor]:
        """Everything that has a name in the equations."""
        last = len(self.layers)
        inner = (t for k in range(2, last + 1) for t in (self.pre_activation(k), self.activations(k)))
        return (self.x, self.y, *self.parameters, *inner, self.denominator, Tensor("J"))

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """W1, b1, W2, b2, ..."""
        return tuple(t for k in range(1, len(self.layers)) for t in (self.weight(k), self.bias(k)))

    @cached_property
    def program(self) -> Program:
        """The forward equations and the cost, as a textbook writes them."""
        cost = Equation(Tensor("J"), (), self._cost(), "cost")
        equations = (*self._forward, cost)
        scalars = dict.fromkeys(s for e in equations for s in symbols(e.value) if s.kind != "size" and s is not PI)
        inputs = (self.x, self.y, *self.parameters)
        return Program(inputs, equations, (cost.tensor,), tuple(scalars), self.assumptions, (), self.conditions)

    @cached_property
    def prediction(self) -> Program:
        """The forward equations up to the output activations."""
        return Program((self.x, *self.parameters), self._forward, (self.activations(len(self.layers)),))

    @cached_property
    def _forward(self) -> tuple[Equation, ...]:
        return tuple(e for layer in self.layers[1:] for e in self._layer_equations(layer))

    @property
    def assumptions(self) -> tuple[Assumption, ...]:
        """The rows of y add up to 1 where the cost is that of a distribution over classes."""
        return (Assumption("simplex", self.y),) if self.cost_name == "softmax_cross_entropy" else ()

    @cached_property
    def conditions(self) -> tuple[str, ...]:
        """Where the cost is differentiable, in words."""
        found = []
        for layer in self.layers[1:]:
            if layer.function is not None and layer.function.kinks:
                found += [f"{str(k).replace('z', f'z{layer.number}[n,i]')} != 0" for k in layer.function.kinks]
        output = self.layers[-1].function
        if self.cost_name == "cross_entropy" and self.softmax:
            found.append(f"{self.layers[-1].size.name} >= 2")
        elif self.cost_name == "cross_entropy" and output is not FUNCTIONS["sigmoid"]:
            found.append(f"0 < a{len(self.layers)}[n,k] < 1")
        if self.cost_function is not None:
            last = {"z": f"a{len(self.layers)}[n,k]", "y": "y[n,k]"}
            found += [
                f"{k.subs({s: sp.Symbol(last[s.name]) for s in k.free_symbols})} != 0" for k in self.cost_function.kinks
            ]
        if self.l1 is not None:
            found.append("W[i,j] != 0 in every layer")
        return tuple(found)

    def _layer_equations(self, layer: Layer) -> list[Equation]:
        number_, n, i = layer.number, Index("n", M), Index("i" if layer is not self.layers[-1] else "k", layer.size)
        W, b, a, z = (
            self.weight(number_ - 1),
            self.bias(number_ - 1),
            self.activations(number_ - 1),
            self.pre_activation(number_),
        )
        weighted = contraction("j", W.shape[1], lambda j: multiply(Entry(W, (i, j)), Entry(a, (n, j))))
        equations = [Equation(z, (n, i), add(weighted, Entry(b, (i,))), f"pre-activation of layer {number_}")]
        note = f"activation of layer {number_}"
        if layer.function is not None:
            return [
                *equations,
                Equation(self.activations(number_), (n, i), apply(layer.function, Entry(z, (n, i))), note),
            ]
        return equations + self._softmax(z, self.activations(number_), (n, i))

    @cached_property
    def denominator(self) -> Tensor:
        """The denominators of a softmax, one for each example: (m,)."""
        return Tensor("S", (M,))

    def _softmax(self, z: Tensor, a: Tensor, indices: tuple[Index, Index]) -> list[Equation]:
        n, k = indices
        total = contraction("k", k.size, lambda j: apply(EXP, Entry(z, (n, j))))
        quotient = divide(apply(EXP, Entry(z, (n, k))), Entry(self.denominator, (n,)))
        return [
            Equation(self.denominator, (n,), total, "denominator of the softmax"),
            Equation(a, indices, quotient, "softmax"),
        ]

    def _cost(self) -> Expr:
        n = fresh("n", M)
        k = fresh("k", self.layers[-1].size)
        data = close_sum(n, close_sum(k, self.term(n, k)))
        if self.reduction == "mean":
            data = divide(data, M)
        return add(data, *self.penalties())

    def penalties(self) -> list[Expr]:
        """The penalty of each weight matrix."""
        terms = []
        for number_ in range(1, len(self.layers)):
            W = self.weight(number_)
            for coefficient, kind in ((self.l2, "l2"), (self.l1, "l1")):
                if coefficient is not None:
                    i, j = fresh("i", W.shape[0]), fresh("j", W.shape[1])
                    size = _size_of_weight(kind, Entry(W, (i, j)))
                    terms.append(multiply(coefficient, close_sum(i, close_sum(j, size))))
        return terms

    def term(self, n: Index, k: Index) -> Expr:
        """The cost of output unit k in example n."""
        a, y = Entry(self.activations(len(self.layers)), (n, k)), Entry(self.y, (n, k))
        if self.cost_name == "squared_error":
            return multiply(divide(ONE, number(2)), power(subtract(a, y), 2))
        if self.cost_name == "cross_entropy":
            return negate(add(multiply(y, apply(LOG, a)), multiply(subtract(ONE, y), apply(LOG, subtract(ONE, a)))))
        if self.cost_name == "softmax_cross_entropy":
            return negate(multiply(y, apply(LOG, a)))
        meaning = definition(self.cost_function) if self.cost_function is not None else None
        assert meaning is not None, "a cost is a formula"
        return substitute(meaning, {PLACES[0]: a, PLACES[1]: y})

    # For users.

    def cost(self) -> sp.Expr:
        """J(Theta) as a SymPy expression in x, y, W1, b1, ..., with every intermediate written out.

        Sums run from 1; integer widths appear as numbers.
        """
        numbers: dict[Expr, sp.Basic] = {
            layer.size: sp.Integer(layer.width) for layer in self.layers if isinstance(layer.width, int)
        }
        return to_sympy(written_out(self.program, Entry(Tensor("J"))), numbers)

    def init(self, seed: int = 0) -> dict[str, np.ndarray]:
        """Random parameters: weights uniform in +-sqrt(6/(fan_in + fan_out)), biases 0.

        Shapes: W1 (s_2, s_1), b1 (s_2,), ...

        Raises:
            NetworkError: a width is a symbol, or the seed is negative.

        Source: Glorot & Bengio (2010), equation (16).
        """
        widths = self.concrete_widths()
        if seed < 0:
            raise NetworkError(f"the seed must be at least 0, not {seed}")
        rng = np.random.default_rng(seed)
        params: dict[str, np.ndarray] = {}
        for number_, (sends, receives) in enumerate(itertools.pairwise(widths), start=1):
            limit = np.sqrt(6.0 / (sends + receives))
            params[f"W{number_}"] = rng.uniform(-limit, limit, (receives, sends))
            params[f"b{number_}"] = np.zeros(receives)
        return params

    def concrete_widths(self) -> tuple[int, ...]:
        """The widths, all numbers.

        Raises:
            NetworkError: a width is a symbol.
        """
        for layer in self.layers:
            if not isinstance(layer.width, int):
                raise NetworkError(
                    f"the width of layer {layer.number} is the symbol {layer.width}",
                    help="give numbers to compute with",
                )
        return tuple(int(w) for w in self.widths)

    def __repr__(self) -> str:
        names = [f.name if (f := layer.function) else "softmax" for layer in self.layers[1:]]
        shape = f"depth={self.depth}" if self.depth else str(list(self.widths))
        return f"Network({shape}, activation={names if len(set(names)) > 1 else names[0]}, cost={self.cost_name})"

    def __str__(self) -> str:
        return repr(self)


def _spare_name(name: str, given: Sequence[int | str]) -> str:
    """A name for the width of a layer that is a number; none that the user gave to another layer."""
    while name in given:
        name += "_"
    return name


def _size_of_weight(kind: str, weight: Expr) -> Expr:
    return power(weight, 2) if kind == "l2" else apply(FUNCTIONS["abs"], weight)


def written_out(program: Program, expr: Expr) -> Expr:
    """`expr` with every defined tensor replaced by its equation, down to the inputs and the tensors of recurrences."""
    memo: dict[Expr, Expr] = {}
    steps = recurrent(program.equations)

    def equation(node: Expr) -> Expr | None:
        if not isinstance(node, Entry) or node.tensor not in program.by_tensor or node.tensor in steps:
            return None
        if node not in memo:
            defining = program.by_tensor[node.tensor]
            value = defining.at(node.indices)
            memo[node] = rewrite(value, equation)
        return memo[node]

    return rewrite(expr, equation)
