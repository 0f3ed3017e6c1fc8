"""Strided slices: even and odd places, windows that step, entries laid side by side and taken apart again."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.expression.build import (
    ZERO,
    Entry,
    Index,
    Quotient,
    Symbol,
    Tensor,
    add,
    contraction,
    kronecker,
    multiply,
    number,
    where,
)
from symbackprop.frontends.numpy.round_values import gathered
from symbackprop.normal_form.normal_form import Canonical

N, E = Symbol("N", "size"), Symbol("E", "size")
LONG = multiply(number(2), E)
j = Index("j", LONG)


def at(tensor, place):
    return Entry(tensor, (place,))


def multiples(by, shift, tensor, size):
    """Sum of tensor[i] over the i with by*i + shift = j."""
    return contraction(
        "i", size, lambda i: multiply(kronecker(add(multiply(number(by), i), number(shift)), j), at(tensor, i))
    )


def test_sum_at_even_and_odd_places_is_an_entry():
    half = Tensor("x", (E,))
    for shift in (0, 1):
        one = multiply(kronecker(add(j, multiply(number(-2), Quotient(j, number(2)))), number(shift)),
                       at(half, Quotient(j, number(2))))  # fmt: skip
        assert Canonical().equal(multiples(2, shift, half, E), one)
        assert not Canonical().equal(multiples(2, 1 - shift, half, E), one)


@pytest.mark.parametrize(("by", "shift"), list(itertools.product((2, 3), (-4, -1, 0, 2, 3, 5))))
def test_value_of_a_multiple_is_the_sum_of_its_definition(by, shift):
    """The normal form knows the quotient; the definition is a sum over every i."""
    size, longer = 4, 13
    tensor, place = Tensor("x", (number(size),)), Index("p", number(longer))
    term = contraction(
        "i", number(size),
        lambda i: multiply(kronecker(add(multiply(number(by), i), number(shift)), place), at(tensor, i)),
    )  # fmt: skip
    values = {i: at(tensor, number(i)) for i in range(size)}
    written = add(*(multiply(kronecker(place, number(by * i + shift)), v) for i, v in values.items()
                    if 0 <= by * i + shift < longer))  # fmt: skip
    assert Canonical(expanded=20).equal(term, written)


def test_even_is_never_odd():
    product = multiply(kronecker(add(j, multiply(number(-2), Quotient(j, number(2)))), number(0)),
                       kronecker(add(j, multiply(number(-2), Quotient(j, number(2)))), number(1)))  # fmt: skip
    assert Canonical().is_zero(product)
    other = Index("k", E)
    assert Canonical().is_zero(
        kronecker(multiply(number(2), other), add(multiply(number(2), Index("l", E)), number(1)))
    )


def rotary(x, theta):
    even, odd, c, s = x[..., ::2], x[..., 1::2], np.cos(theta), np.sin(theta)
    out = np.empty_like(x)
    out[..., 0::2] = even * c - odd * s
    out[..., 1::2] = even * s + odd * c
    return out


def rotary_backward(dout, x, theta, sign=1):
    even, odd, c, s = x[..., ::2], x[..., 1::2], np.cos(theta), np.sin(theta)
    deven, dodd = dout[..., ::2], dout[..., 1::2]
    dx = np.empty_like(x)
    dx[..., 0::2] = deven * c + sign * dodd * s
    dx[..., 1::2] = dodd * c - sign * deven * s
    return {"x": dx, "theta": dodd * (even * c - odd * s) - deven * (even * s + odd * c)}


def rotary_turned_the_wrong_way(dout, x, theta):
    return rotary_backward(dout, x, theta, -1)


def rotary_stacked(x, theta):
    even, odd, c, s = x[..., ::2], x[..., 1::2], np.cos(theta), np.sin(theta)
    return np.stack([even * c - odd * s, even * s + odd * c], axis=-1).reshape(x.shape)


def pooled(x):
    return (x[:, ::2] + x[:, 1::2]) / 2


def pooled_backward(dout, x):
    dx = np.zeros_like(x)
    dx[:, ::2] = dout / 2
    dx[:, 1::2] = dout / 2
    return {"x": dx}


def pooled_one_place_off(dout, x):
    dx = np.zeros_like(x)
    dx[:, ::2] = dout / 2
    dx[:, 1:-1:2] = dout[:, 1:] / 2
    return {"x": dx}


def repeated(dout, x):
    return {"x": np.repeat(dout, 2, axis=1) / 2}


def tiled(dout, x):
    return {"x": np.tile(dout, (1, 2)) / 2}


ROTARY = {"x": ("T", "D"), "theta": ("T", "E")}
CASES = {
    "rotary": (rotary, rotary_backward, ROTARY, "D == 2*E", "PROVED"),
    "rotary, halves named by D": (rotary, rotary_backward, ROTARY, "D % 2 == 0, E == D // 2", "PROVED"),
    "rotary by a stack": (rotary_stacked, rotary_backward, ROTARY, "D == 2*E", "PROVED"),
    "rotary the wrong way": (rotary, rotary_turned_the_wrong_way, ROTARY, "D == 2*E", "REFUTED"),
    "pooling": (pooled, pooled_backward, {"x": ("N", "D")}, "D % 2 == 0", "PROVED"),
    "pooling, one place off": (pooled, pooled_one_place_off, {"x": ("N", "D")}, "D % 2 == 0, D >= 4", "REFUTED"),
    "pooling undone by repeat": (pooled, repeated, {"x": ("N", "D")}, "D % 2 == 0", "PROVED"),
    "pooling undone by tile": (pooled, tiled, {"x": ("N", "D")}, "D % 2 == 0", "REFUTED"),
}


@pytest.mark.parametrize("name", CASES)
def test_strided_layer(name):
    forward, backward, shapes, where, expected = CASES[name]
    verdict = sb.check(forward, backward, shapes=shapes, where=where)
    assert verdict.status == expected, str(verdict)
    assert expected == "REFUTED" or verdict.scope == "all sizes"


def test_gradient_whose_shape_is_the_same_only_by_the_domain():
    """(T, 2*E) is (T, D) where D == 2*E, and is not where D == 3*E."""

    def forward(x, y):
        return (x**2).sum() + y.sum()

    def backward(x, y):
        return {"x": np.concatenate([2 * x[:, : y.shape[1]], 2 * x[:, y.shape[1] :]], axis=1), "y": np.ones_like(y)}

    def short(x, y):
        return {"x": np.concatenate([2 * y, 2 * y], axis=1), "y": np.ones_like(y)}

    shapes = {"x": ("T", "D"), "y": ("T", "E")}
    assert sb.check(forward, backward, shapes=shapes, where="D == 2*E").status == "PROVED"
    assert sb.check(forward, short, shapes=shapes, where="D == 2*E").status == "REFUTED"
    assert sb.check(forward, short, shapes=shapes, where="D == 3*E").status == "MALFORMED"


def test_what_a_round_adds_in_both_of_two_cases_is_taken_as_often_as_both_have_it():
    size = Symbol("N", "size")
    place = Index("i", size)
    old, more = Entry(Tensor("u", (size,)), (place,)), Entry(Tensor("x", (size,)), (place,))
    first = kronecker(place, ZERO)
    rounds = where(first, add(old, more, more), add(old, more))
    assert gathered(rounds, old) is add(more, where(first, more, ZERO))
