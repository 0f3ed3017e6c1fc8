"""Proofs for some stated sizes: said in the first line, with what was left out, and never from empty loops alone."""

import numpy as np
import pytest

import symbackprop as sb

ROWS = {"x": ("T", "D")}


def late_squares(x):
    total = 0.0 * x[0]
    for t in range(3, x.shape[0]):
        total = total + x[t] ** 2
    return total


def late_slopes(factor):
    def backward(dout, x):
        dx = np.zeros_like(x)
        for t in range(3, x.shape[0]):
            dx[t] = factor * x[t] * dout
        return {"x": dx}

    return backward


def test_check_says_in_the_first_line_that_sizes_are_stated():
    verdict = sb.check(late_squares, late_slopes(2), shapes=ROWS)
    assert verdict.status == "PROVED"
    assert not verdict.for_all_sizes
    first = str(verdict).splitlines()[0]
    assert "the stated sizes T = 2 and T = 3 and T = 4 alone; every size of the other axes" in first


def test_check_looks_where_a_loop_is_not_empty():
    assert sb.check(late_squares, late_slopes(3), shapes=ROWS).status == "REFUTED"


def test_assert_proved_asks_whether_stated_sizes_do():
    with pytest.raises(AssertionError) as caught:
        sb.assert_proved(late_squares, late_slopes(2), shapes=ROWS)
    assert "stated_sizes=True" in str(caught.value)
    sb.assert_proved(late_squares, late_slopes(2), shapes=ROWS, stated_sizes=True)


def test_assert_proved_asks_nothing_about_a_proof_for_all_sizes():
    sb.assert_proved(lambda x: x**2, lambda dout, x: {"x": 2 * x * dout}, shapes=ROWS)


def hinge(W, X, y):
    loss = 0.0
    for i in range(X.shape[0]):
        scores = X[i] @ W
        for j in range(W.shape[1]):
            if j != y[i]:
                margin = scores[j] - scores[y[i]] + 1
                if margin < 0:
                    break
                loss += margin
    return loss / X.shape[0]


def hinge_without_the_label(W, X, y):
    dW = np.zeros_like(W)
    for i in range(X.shape[0]):
        scores = X[i] @ W
        for j in range(W.shape[1]):
            if j != y[i]:
                if scores[j] - scores[y[i]] + 1 < 0:
                    break
                dW[:, j] += X[i]
    return {"W": dW / X.shape[0]}


def test_an_axis_of_length_one_proves_nothing_alone():
    shapes = {"W": ("D", "C"), "X": ("N", "D"), "y": ("N",)}
    verdict = sb.check(hinge, hinge_without_the_label, shapes=shapes, assume={"y": "labels:C"})
    assert verdict.status == "UNDECIDED"
    assert "proves nothing alone" in verdict.reason and "left out" in verdict.reason


def untraced_later(x):
    total = 0.0 * x[0]
    for t in range(x.shape[0]):
        total = total + (np.linalg.svd(x)[1].sum() if t >= 2 else x[t])
    return total


def test_sizes_at_which_nothing_could_be_followed_are_told_and_count():
    def backward(dout, x):
        dx = np.zeros_like(x)
        for t in range(min(2, x.shape[0])):
            dx[t] = dout
        return {"x": dx}

    verdict = sb.check(untraced_later, backward, shapes=ROWS)
    assert verdict.status == "UNDECIDED"
    assert any("left out: T = 3" in note and "np.linalg.svd" in note for note in verdict.notes)


def even(x):
    assert x.shape[0] % 2 == 0, "an even number of rows is needed"
    total = 0.0 * x[0]
    for t in range(x.shape[0]):
        total = total + x[t] ** 2
    return total


def test_sizes_that_the_functions_refuse_are_left_out_with_the_reason():
    def backward(dout, x):
        dx = np.zeros_like(x)
        for t in range(x.shape[0]):
            dx[t] = 2 * x[t] * dout
        return {"x": dx}

    verdict = sb.check(even, backward, shapes=ROWS)
    assert verdict.status == "PROVED"
    assert any("an even number of rows is needed" in note and "T = 3" in note for note in verdict.notes)


def test_a_cure_found_at_stated_sizes_says_at_which():
    verdict = sb.check(late_squares, late_slopes(3), shapes=ROWS)
    if verdict.cure:
        assert "(proved, T = " in str(verdict)
    assert not any(line.code for line in verdict.cured)
