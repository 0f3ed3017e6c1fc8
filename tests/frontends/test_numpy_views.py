"""Views, strides and types that are easily read wrong: the trace has NumPy's result, or it is refused."""

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.errors import SymbackpropError
from symbackprop.evaluation.exact import evaluate
from symbackprop.rendering.text import to_text

SIZES = {"N": 4, "D": 6}
X = np.random.default_rng(4).normal(size=(4, 6))


def shifted_onto_itself(x):
    row = x * 1.0
    row[:, 1:] = row[:, :-1]
    return row


def shifted_back_onto_itself(x):
    row = x * 1.0
    row[:, :-1] = row[:, 1:]
    return row


def added_in_place(x):
    row = x * 1.0
    row[:, 1:] += row[:, :-1]
    return row


def written_with_a_step(x):
    out = x * 0.5
    out[:, 3::2] = 2.0 * x[:, 3::2]
    return out


def written_with_a_step_from_the_second(x):
    out = x * 0.5
    out[:, 1::2] = 2.0 * x[:, :3]
    return out


def written_backwards(x):
    out = x * 0.5
    out[:, 4::-2] = 2.0 * x[:, :3]
    return out


FORWARDS = {
    "differences": lambda x: np.diff(x),
    "differences of rows": lambda x: np.diff(x, axis=0),
    "differences twice": lambda x: np.diff(x, 2),
    "shifted onto itself": shifted_onto_itself,
    "shifted back onto itself": shifted_back_onto_itself,
    "added in place": added_in_place,
    "written from the fourth": written_with_a_step,
    "written from the second": written_with_a_step_from_the_second,
    "written backwards": written_backwards,
    "read from the fourth": lambda x: x[:, 3::2] ** 2,
    "read backwards": lambda x: x[::-1, 4::-2] ** 2,
    "chosen axes side by side": lambda x: x.reshape(4, 2, 3)[:, np.array([0, 1]), np.array([2, 0])],
    "chosen axes apart": lambda x: x.reshape(4, 2, 3)[np.array([3, 0]), :, np.array([2, 0])],
    "chosen axes apart after a slice": lambda x: x.reshape(2, 2, 2, 3)[:, np.array([0, 1]), :, np.array([2, 0])],
    "chosen axes after a slice": lambda x: x.reshape(4, 2, 3)[1:, np.array([1, 1]), np.array([2, 0])],
    "a number and an array apart": lambda x: x.reshape(4, 2, 3)[1, :, np.array([2, 0])],
}


@pytest.mark.parametrize("name", FORWARDS)
def test_trace_has_the_result_of_numpy(name):
    forward = FORWARDS[name]
    program = sb.trace(forward, {"x": (4, 6)})
    found = evaluate(program, {}, {"x": X})[program.outputs[0].name]
    expected = forward(X.copy())
    assert np.shape(found) == np.shape(expected) and np.allclose(found, expected)


@pytest.mark.parametrize(
    "name", [n for n in FORWARDS if "reshape" not in n and "chosen" not in n and "number" not in n]
)
def test_trace_has_the_result_of_numpy_for_all_sizes(name):
    forward = FORWARDS[name]
    try:
        program = sb.trace(forward, {"x": ("N", "D")}, where="D >= 4")
    except sb.errors.TraceError:
        return  # asks for sizes
    found = evaluate(program, SIZES, {"x": X})[program.outputs[0].name]
    expected = forward(X.copy())
    assert np.shape(found) == np.shape(expected) and np.allclose(found, expected)


def rounded_where_written(x):
    count = np.zeros(x.shape, dtype=int)
    count[:, 0] = x[:, 0]
    return count * x


def rounded_where_scattered(x):
    count = np.zeros(x.shape, dtype=int)
    count[np.arange(x.shape[0]), np.arange(x.shape[0])] = x[:, 0]
    return count * x


def rounded_where_added(x):
    count = np.zeros(x.shape[0], dtype=int)
    np.add.at(count, np.arange(x.shape[0]), x[:, 0])
    return x * count[:, None]


@pytest.mark.parametrize("forward", [rounded_where_written, rounded_where_scattered, rounded_where_added])
def test_numbers_that_integers_would_round_are_refused(forward):
    with pytest.raises(sb.errors.SymbackpropError):
        sb.trace(forward, {"x": (4, 6)})


def test_an_array_of_one_way_of_a_branch_may_share_its_memory_afterwards():
    """On the one way y is what it was, on the other a new array; then its first row is changed through a view."""

    def forward(x):
        y = x * 1.0
        row = y[0]
        if x.sum() > 1000:
            y[:] = y[::-1]
        else:
            y = y * 2
        row += 1
        return y

    with pytest.raises(SymbackpropError, match="may or may not be a view"):
        sb.trace(forward, shapes={"x": ("N", "D")})


def in_one_arm(x, flat):
    if x.sum() > 0:
        flat[0] = 1.0


def in_one_arm_of_another(x, flat):
    if x.sum() > 0:
        if x[0, 0] > 0:
            flat[0] += 1.0
    else:
        flat = flat * 2


def in_a_conditional_expression(x, flat):
    x.sum() > 0 and flat.fill(0.0)


def in_rounds(x, flat):
    for k in range(len(x)):
        flat[k] = x[k, 0]


@pytest.mark.parametrize("change", [in_one_arm, in_one_arm_of_another, in_a_conditional_expression, in_rounds])
@pytest.mark.parametrize("made", [lambda y: y.T.reshape(-1), lambda y: np.ascontiguousarray(y[:, ::-1]).ravel()])
def test_what_is_perhaps_a_copy_is_so_after_branches_and_loops_too(change, made):
    """Of one row or one column NumPy makes a view, of others a copy: what becomes of the array itself is not known."""

    def forward(x):
        y = x * 1.0
        change(x, made(y))
        return y * 1.0

    with pytest.raises(SymbackpropError):
        sb.trace(forward, shapes={"x": ("N", "D")})


def test_what_nan_to_num_leaves_in_place_is_the_array_itself():
    def forward(x):
        y = x * 1.0
        np.nan_to_num(y, copy=False)[0] = 0.0
        np.tanh(y, y)
        return y

    program = sb.trace(forward, shapes={"x": ("N", "D")})
    x = np.arange(6.0).reshape(3, 2)
    found = evaluate(program, {"N": 3, "D": 2}, {"x": x})
    np.testing.assert_allclose(np.asarray(found[program.outputs[0].name], float), forward(x))


@pytest.mark.parametrize(
    "forward",
    [
        lambda x: x[:, 1:] * np.diff(x > 0),
        lambda x: x[:, :1] * np.diff(x[:, :1] + [-1.0, 0.0, 1.0] > 0, n=2),
        lambda x: x[1:] * np.diff(x > 0, axis=0),
        lambda x: x * np.diff(x, n=0),
    ],
)
def test_differences_of_booleans_say_where_they_differ(forward):
    program = sb.trace(forward, shapes={"x": ("N", "D")})
    found = evaluate(program, SIZES, {"x": X})
    np.testing.assert_allclose(np.asarray(found[program.outputs[0].name], float), forward(X))


@pytest.mark.parametrize(
    ("forward", "argument"),
    [
        (lambda x: x.sum() * np.linspace(0, 10, 4, dtype=int), "np.linspace with the argument dtype"),
        (lambda x: np.diff(x, prepend=0.0), "np.diff with the argument prepend"),
        (lambda x: x.sum(0, None, None, None, None, None, None, None), "np.sum with these arguments"),
    ],
)
def test_arguments_that_are_not_followed_are_named(forward, argument):
    def catching(x):
        try:
            return forward(x)
        except TypeError:
            return x

    for function in (forward, catching):
        with pytest.raises(SymbackpropError, match=f"{argument} cannot be traced"):
            sb.trace(function, shapes={"x": ("N", "D")})


def pieces_side_by_side(x, y):
    out = np.zeros(x.size + y.size)
    out[: x.size] = x**2
    out[x.size :] += 3 * y
    return out[: x.size] * x, out[x.size :] + y


def pieces_added_twice(x, y):
    out = np.ones(x.size + y.size)
    out[x.size :] += y
    out[: x.size] -= x
    out[x.size :] += y**2
    return out[: x.size], out[x.size :], out


def a_piece_written_over_in_part(x, y):
    out = np.zeros(x.size + y.size)
    out[: x.size] = x
    out[1 : x.size + 1] = 2 * x
    return out[: x.size], out[x.size :], out


def a_part_of_a_piece(x, y):
    out = np.zeros(x.size + y.size)
    out[x.size :] = y
    out[: x.size] = x
    return out[1 : x.size], out[x.size - 1 : x.size + 1], out[x.size : x.size + 2]


def a_piece_changed_by_a_view(x, y):
    out = np.zeros(x.size + y.size)
    head, tail = out[: x.size], out[x.size :]
    head += x
    tail += y
    before = head * 1.0
    head *= 3
    out[:] = out + 1
    return before, head, tail


def a_piece_of_a_branch(x, y):
    out = np.zeros(x.size + y.size)
    out[: x.size] = x
    if x[0] > 0:
        out[: x.size] = 2 * x
    return out[: x.size], out


PIECES = (pieces_side_by_side, pieces_added_twice, a_piece_written_over_in_part, a_part_of_a_piece,
          a_piece_changed_by_a_view, a_piece_of_a_branch)  # fmt: skip


@pytest.mark.parametrize("forward", PIECES)
def test_what_is_read_of_a_vector_written_in_pieces_is_what_was_written(forward):
    program = sb.trace(forward, {"x": ("N",), "y": ("M",)}, where="N >= 2, M >= 2")
    for sign in (1, -1):
        x, y = sign * X[0, :4], X[1, :3]
        found = evaluate(program, {"N": 4, "M": 3}, {"x": x, "y": y})
        for tensor, expected in zip(program.outputs, forward(x.copy(), y.copy()), strict=True):
            assert np.allclose(found[tensor.name], expected)


def test_a_piece_is_read_without_the_others():
    """Else the reading of each of n pieces would ask about all of them."""

    def forward(x):
        out = np.zeros(9 * x.size)
        for k in range(9):
            out[k * x.size : (k + 1) * x.size] += (k + 1) * x
        return out[4 * x.size : 5 * x.size]

    program = sb.trace(forward, {"x": ("N",)})
    assert to_text(program.by_tensor[program.outputs[0]].value) == "5*x[n]"
