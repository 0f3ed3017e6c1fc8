"""JAX's custom_jvp functions as passes: a rule for tangents, judged by the derivative along a path.

The rule of f gives the tangent of f at x for a tangent t of x. Along the path x + s*t that is the derivative by the
number s, of which a gradient can be asked: the forward pass is f(x + s*t), and the rule, multiplied by dout, is its
claimed gradient for s. Each argument has a path of its own. One that is positive moves as x*exp(s*t), and stays so.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from symbackprop.errors import MalformedError
from symbackprop.frontends.jax.array import bare, dressed, jax
from symbackprop.frontends.jax.subjects import DATA, compiled, listed, shown
from symbackprop.frontends.numpy.differentiation import gradients, of_a_rule
from symbackprop.frontends.numpy.operands import as_array
from symbackprop.frontends.numpy.registry import OPERATIONS as N
from symbackprop.frontends.passes import BACKWARD, Kept, Pass, arguments_in_order, signature_of
from symbackprop.frontends.structures import leaves_of

STEP, TANGENT = "step_", "_dot"  # of an argument x: the number along its path, and its tangent


def is_jvp(value: Any) -> bool:
    """True for a jax.custom_jvp function."""
    base = sys.modules.get("jax")
    return base is not None and hasattr(base, "custom_jvp") and isinstance(value, base.custom_jvp)


def path_shapes(subject: Any, shapes: Mapping[str, Any], assume: Mapping[str, str]) -> dict[str, Any]:
    """The shapes of the inputs, of their tangents and of the numbers along their paths."""
    more: dict[str, Any] = {}
    for name in _moved(subject, shapes, assume):
        more |= {name + TANGENT: shapes[name], STEP + name: ()}
    return {**shapes, **more}


def _moved(subject: Any, shapes: Mapping[str, Any], assume: Mapping[str, str]) -> list[str]:
    """The arguments that have a tangent."""
    names = list(inspect.signature(subject.fun).parameters)
    fixed = {names[k % len(names)] for k in subject.nondiff_argnums}
    return [n for n in shapes if n not in fixed and not str(assume.get(n, "")).startswith(DATA)]


class _OfRule:
    """The two passes of a custom_jvp function.

    Args:
        order: its arguments, by name.
        values: of those that are no inputs.
        moved: the inputs that have a tangent.
        positive: those that are multiplied along their paths.
    """

    def __init__(
        self, subject: Any, order: Sequence[str], values: Mapping[str, Any], moved: Sequence[str], positive: set[str]
    ) -> None:
        self.subject, self.order, self.values, self.moved, self.positive = subject, order, values, moved, positive
        self.aside = [order[k % len(order)] for k in subject.nondiff_argnums]
        self._forward = compiled(lambda inputs: self._at(inputs, self._places(inputs, jax().numpy.exp)))
        self._rule = compiled(self._pulled)

    def _places(self, inputs: Mapping[str, Any], exp: Callable[[Any], Any]) -> dict[str, Any]:
        """Where the inputs are on their paths."""
        found = {n: v for n, v in inputs.items() if n in self.order}
        for n in self.moved:
            way = inputs[STEP + n] * inputs[n + TANGENT]
            found[n] = inputs[n] * exp(way) if n in self.positive else inputs[n] + way
        return found

    def _tangent(self, name: str, inputs: Mapping[str, Any], places: Mapping[str, Any]) -> Any:
        own = inputs[name + TANGENT]
        return places[name] * own if name in self.positive else own

    def _at(self, inputs: Mapping[str, Any], places: Mapping[str, Any]) -> Any:
        return self.subject.fun(*(places[n] if n in places else self.values[n] for n in self.order))

    # by JAX

    def forward(self, **inputs: Any) -> Any:
        return shown(jax().tree.leaves(self._forward(inputs))), inputs

    def backward(self, dout: Any, cache: Any) -> Any:
        return {STEP + n: np.asarray(v) for n, v in self._rule(cache, listed(dout)).items()}

    def _pulled(self, inputs: Any, upstream: Any) -> Any:
        """By the rule, for each argument alone."""
        places = self._places(inputs, jax().numpy.exp)
        found = {}
        for name in self.moved:
            rest = {n: v for n, v in places.items() if n != name}

            def along(own: Any, name: str = name, rest: Any = rest) -> Any:
                at = {**rest, name: own}
                return self.subject(*(at[n] if n in at else self.values[n] for n in self.order))

            tangent = jax().numpy.asarray(self._tangent(name, inputs, places), places[name].dtype)
            outputs = jax().tree.leaves(jax().jvp(along, (places[name],), (tangent,))[1])
            found[name] = sum(
                (jax().numpy.reshape(u, o.shape) * o).sum() for u, o in zip(upstream, outputs, strict=True)
            )
        return found

    # on symbolic arrays

    def traced_forward(self, overlay: Any) -> Callable[..., Any]:
        plain = overlay.patch(self.subject.fun)
        overlay.stands_for(self.subject, plain)
        rule = self._traced_rule(overlay)
        values = {n: overlay.patch(v) for n, v in self.values.items()}

        def run(**inputs: Any) -> Any:
            places = self._places(inputs, N["exp"])

            def primals() -> dict[str, Any]:
                return {n: dressed(places[n]) if n in places else values[n] for n in self.order}

            with of_a_rule():
                outputs = leaves_of(plain(*primals().values()))
                tangents, again = {}, None
                for name in self.moved:
                    zeros = {n: dressed(N["zeros_like"](places[n])) for n in places}
                    own = {**zeros, name: dressed(self._tangent(name, inputs, places))}
                    primal, found = rule(primals(), own, name)
                    again = primal if again is None else again
                    tangents[name] = leaves_of(found)
            repeated = outputs if again is None else leaves_of(again)
            return shown(outputs), Kept(map(bare, repeated), tangents=tangents)

        return run

    def _traced_rule(self, overlay: Any) -> Callable[..., Any]:
        """(what the rule returns for the function, the tangent) from arguments, tangents and the one that is moved."""
        single = _single_rules(self.subject)
        if single is not None:
            rules = [None if r is None else overlay.patch(r) for r in single]
            plain = overlay.patch(self.subject.fun)
            names = [n for n in self.order if n not in self.aside]

            def by_one(primals: dict[str, Any], tangents: dict[str, Any], moved: str) -> Any:
                answer, one = plain(*primals.values()), rules[names.index(moved)]
                if one is None:
                    return answer, [dressed(N["zeros_like"](as_array(bare(v)))) for v in leaves_of(answer)]
                return answer, one(tangents[moved], answer, *primals.values())

            return by_one
        rule = overlay.patch(self.subject.jvp)

        def by_all(primals: dict[str, Any], tangents: dict[str, Any], moved: str) -> Any:
            names = [n for n in self.order if n not in self.aside]
            given = tuple(primals[n] for n in names), tuple(tangents.get(n) for n in names)
            with gradients("ignored"):
                found = rule(*(primals[n] for n in self.aside), *given)
            if not isinstance(found, (tuple, list)) or len(found) != 2:
                raise MalformedError(f"the rule of {self.subject.__name__} does not return (output, tangent)")
            return found

        return by_all

    def traced_backward(self, overlay: Any) -> Callable[..., Any]:
        def run(dout: Any, cache: Any) -> Any:
            found = {}
            for name, tangents in cache.tangents.items():
                total: Any = None
                for up, tangent in zip(listed(dout), tangents, strict=True):
                    part = N["sum"](N["multiply"](up, as_array(bare(tangent))))
                    total = part if total is None else N["add"](total, part)
                found[STEP + name] = as_array(total)
            return found

        return run


def _single_rules(subject: Any) -> list[Any] | None:
    """The rules that were given one for each argument, by defjvps; None where one rule is for all."""
    rule = subject.jvp
    names = getattr(getattr(rule, "__code__", None), "co_freevars", ())
    if "jvps" not in names or (getattr(rule, "__module__", "") or "").partition(".")[0] != "jax":
        return None
    return list(rule.__closure__[names.index("jvps")].cell_contents)


def jvp_passes(
    subject: Any, shapes: Mapping[str, Any], assume: Mapping[str, str], fixed: Mapping[str, Any]
) -> tuple[Pass, Pass]:
    """The function along paths of its arguments, and what its rule gives for the derivatives.

    Raises:
        MalformedError: it has no rule, or the arguments do not fit.
    """
    name = getattr(subject, "__name__", "the function")
    if getattr(subject, "jvp", None) is None:
        raise MalformedError(f"{name} has no rule", help=f"@{name}.defjvp")
    order, values = arguments_in_order(dict(inspect.signature(subject.fun).parameters), shapes, fixed, name)
    moved = _moved(subject, shapes, assume)
    positive = {n for n in moved if str(assume.get(n, "")).startswith("pos")}
    own = _OfRule(subject, order, values, moved, positive)
    whole = path_shapes(subject, shapes, assume)
    known = [*order, *(n for n in whole if n not in order)]
    backward = f"{name}'s rule"
    return (
        Pass(subject.fun, name, signature_of(known, values, whole), own.forward, own.traced_forward, "JAX",
             unrecorded=True),
        Pass(subject.jvp, backward, BACKWARD, own.backward, own.traced_backward, "JAX"),
    )  # fmt: skip


__all__ = ["STEP", "TANGENT", "is_jvp", "jvp_passes", "path_shapes"]
