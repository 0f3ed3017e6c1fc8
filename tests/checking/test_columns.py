"""Targets whose entries add up to 1 down the columns: the axis is said by its size."""

import numpy as np
import pytest

import symbackprop as sb


def down(Z, Y):
    P = np.exp(Z) / np.exp(Z).sum(axis=0)
    return -(Y * np.log(P)).sum() / Z.shape[1]


def right(Z, Y):
    return {"Z": (np.exp(Z) / np.exp(Z).sum(axis=0) - Y) / Z.shape[1]}


def along_rows(Z, Y):
    P = np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)
    return -(Y * np.log(P)).sum() / Z.shape[0]


def right_along_rows(Z, Y):
    return {"Z": (np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True) - Y) / Z.shape[0]}


SHAPES = {"Z": ("C", "M"), "Y": ("C", "M")}


@pytest.mark.parametrize("kind", ["onehot:C", "simplex:C"])
def test_check_takes_the_axis_of_the_size_that_is_named(kind):
    verdict = sb.check(down, right, shapes=SHAPES, assume={"Y": kind})
    assert (verdict.status, verdict.scope) == ("PROVED", "all sizes")
    assert "the columns of Y add up to 1" in verdict.conditions


@pytest.mark.parametrize("kind", ["onehot:M", "simplex:M", "onehot", "prob"])
def test_check_refutes_where_the_other_axis_adds_up(kind):
    verdict = sb.check(down, right, shapes=SHAPES, assume={"Y": kind})
    assert verdict.status == "REFUTED"
    Y = verdict.counterexample.inputs["Y"]
    if kind != "prob":
        assert np.allclose(Y.sum(axis=1), 1) and not np.allclose(Y.sum(axis=0), 1)


@pytest.mark.parametrize("kind", ["onehot:M", "onehot"])
def test_check_takes_the_last_axis_where_none_is_named(kind):
    verdict = sb.check(along_rows, right_along_rows, shapes=SHAPES, assume={"Y": kind})
    assert verdict.status == "PROVED" and "the rows of Y add up to 1" in verdict.conditions


@pytest.mark.parametrize(
    ("kind", "shape", "which"), [("onehot:D", ("C", "M"), "no axis"), ("simplex:C", ("C", "C"), "more than one axis")]
)
def test_check_says_which_size_names_no_axis(kind, shape, which):
    verdict = sb.check(down, right, shapes={"Z": shape, "Y": shape}, assume={"Y": kind})
    assert verdict.status == "MALFORMED" and which in verdict.reason
