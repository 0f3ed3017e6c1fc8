"""The plain call in C: what it takes, what it leaves to the careful way, and that nothing is lost or shared."""

import gc
import pickle
import sys
import threading
import tracemalloc

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.codegen import results
from symbackprop.codegen.c import calls
from symbackprop.errors import DataError

RANDOM = np.random.default_rng(0)


def network():
    net = sb.Network([3, 4, 2], cost="squared_error", reduction="sum", l2="lambda/2")
    f = sb.compile(net, "c")
    if f.backend != "c":
        pytest.skip("no C compiler")
    return f, sb.compile(net), (net.init(0), RANDOM.normal(size=(6, 3)), RANDOM.random((6, 2)))


def cross_entropy(z, y):
    shifted = z - z.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -log_p[np.arange(len(y)), y].mean()


def program():
    traced = sb.trace(cross_entropy, shapes={"z": ("N", "C"), "y": ("N",)}, assume={"y": "labels:C"})
    f = sb.compile(traced, "c")
    if f.backend != "c":
        pytest.skip("no C compiler")
    given = {"z": RANDOM.normal(size=(6, 5)), "y": RANDOM.integers(0, 5, 6)}
    return f, sb.compile(traced), given


@pytest.fixture(scope="module")
def compiled():
    return network(), program()


def same(found, expected):
    assert found[0] == expected[0] and [*found[1]] == [*expected[1]]
    for name, array in found[1].items():
        np.testing.assert_array_equal(array, expected[1][name])


@pytest.mark.skipif(calls._addresses() is None, reason="this Python has no plain call in C")
def test_c_takes_what_is_like_a_call_before_and_nothing_else(compiled):
    (f, _, (params, X, Y)), (g, _, given) = compiled
    expected = f(params, X, Y, lam=0.5)
    same(f._quick(params, X, Y, {"lam": 0.5}), expected)
    other = pickle.loads(pickle.dumps((params, X, Y)))  # a pickle has types of its own
    same(f._quick(*other, {"lam": 0.5}), expected)
    same(f._quick(params, X, Y, {"lam": 1}), f(params, X, Y, lam=1.0))
    strided, swapped = np.repeat(X, 2, axis=0)[::2], X.astype(">f8")
    for arguments in (
        ({**params, "extra": X}, X, Y, {"lam": 0.5}), ({"W1": X}, X, Y, {"lam": 0.5}), (params, X, Y, {}),
        (params, X, Y, {"lam": True}), (params, X, Y, {"lam": "a"}), (params, X, Y, {"lam": 10**400}),
        (params, X, Y, {"mu": 0.5}), (params, strided, Y, {"lam": 0.5}), (params, swapped, Y, {"lam": 0.5}),
        (params, X.astype("float32"), Y, {"lam": 0.5}), (params, X[:5], Y[:5], {"lam": 0.5}), (None, X, Y, {"lam": 1.0}),
        (params, X.tolist(), Y, {"lam": 0.5}), (params, X, Y[:, 0], {"lam": 0.5}), (params, X, Y, {"lam": 0.5}, 1),
        (params, np.ma.array(X), Y, {"lam": 0.5}), (dict.fromkeys(params, X), X, Y, {"lam": 0.5}),
    ):  # fmt: skip
        assert f._quick(*arguments) is None
    once = g(**given)
    again = g.quick(given)
    assert [*again] == [*once] and all(np.array_equal(again[n], once[n]) for n in once)
    for bad in ({"y": given["y"] - 9}, {"y": given["y"] + 9}, {"y": given["y"].astype("int32")}, {"out": {}}):
        assert g.quick(given | bad) is None


def test_what_c_leaves_is_converted_or_named(compiled):
    (f, by_numpy, (params, X, Y)), (g, _, given) = compiled
    expected = f(params, X, Y, lam=0.5)

    class Other(dict):
        pass

    read_only = X.copy()
    read_only.flags.writeable = False
    strided = np.repeat(X, 2, axis=0)[::2]
    for arguments in ((Other(params), X, Y), (params, read_only, Y), (params, strided, Y), (params, X.tolist(), Y)):
        same(f(*arguments, lam=0.5), expected)
        same(f(*arguments, lam=np.float64(0.5)), expected)
    for bad, hyper in (
        ((params, X[:, :2], Y), {"lam": 0.5}), ((params, X, Y[:3]), {"lam": 0.5}), ((params, X, Y), {}),
        ((params, X, Y), {"mu": 0.5}), ((params, X, Y), {"lam": 10**400}), (({"W1": X}, X, Y), {"lam": 0.5}),
        (({**params, "b3": X}, X, Y), {"lam": 0.5}), ((params, X[:0], Y[:0]), {"lam": 0.5}),
    ):  # fmt: skip
        with pytest.raises(DataError) as said:
            by_numpy(*bad, **hyper)
        with pytest.raises(DataError) as found:
            f(*bad, **hyper)
        assert str(found.value) == str(said.value)
    for label in (-1, 5):
        with pytest.raises(DataError, match=f"y holds the label {label}, but labels run from 0 to 4"):
            g(**given | {"y": np.full(6, label)})


def test_a_key_that_answers_with_an_error_does_no_harm(compiled):
    (f, _, (params, X, Y)), _ = compiled
    expected = f(params, X, Y, lam=0.5)

    class Key(str):
        def __eq__(self, other):
            raise RuntimeError("no")

        __hash__ = str.__hash__

    odd = {Key(k) if k == "b1" else k: v for k, v in params.items()}
    for _ in range(3):
        with pytest.raises(RuntimeError, match="no"):
            f(odd, X, Y, lam=0.5)
    same(f(params, X, Y, lam=0.5), expected)


def test_no_reference_is_lost_or_kept(compiled):
    (f, _, (params, X, Y)), (g, _, given) = compiled
    wrong = params, X, Y[:5]
    watched = [params, X, Y, *params.values(), *params, given["z"], given["y"], None, np.dtype(float), "J"]

    def work(times):
        for _ in range(times):
            f(params, X, Y, lam=0.5)
            f._quick and f._quick(*wrong, {"lam": 0.5})
            g(**given)
            g.quick and g.quick(given | {"y": given["y"] + 9})

    work(50)
    gc.collect()
    before = [sys.getrefcount(thing) for thing in watched]
    tracemalloc.start()
    try:
        work(200)
        first = tracemalloc.get_traced_memory()[0]
        work(400)
        assert tracemalloc.get_traced_memory()[0] - first < 4000
    finally:
        tracemalloc.stop()
    assert all(abs(sys.getrefcount(t) - n) < 20 for t, n in zip(watched, before, strict=True))


def test_threads_and_batches_of_several_sizes_get_their_own_numbers(compiled):
    (f, _, (params, X, Y)), _ = compiled
    X, Y = np.tile(X, (60, 1)), np.tile(Y, (60, 1))
    rows, wrong = [7 + 40 * k for k in range(9)], []
    expected = [f(params, X[:n], Y[:n], lam=0.5) for n in rows]

    def work(k):
        for turn in range(60):
            case = (k * 5 + turn) % len(rows)
            n = rows[case]
            cost, gradients = f(params, X[:n], Y[:n], lam=0.5)
            if cost != expected[case][0] or any(not np.array_equal(gradients[w], expected[case][1][w]) for w in params):
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_without_a_plain_call_in_c_the_results_are_the_same(compiled, monkeypatch):
    (f, _, arguments), (g, _, given) = compiled
    expected, outputs = f(*arguments, lam=0.5), g(**given)
    monkeypatch.setattr(calls, "_addresses", lambda: None)
    plain, other = (make(*of) for make, of in (f.__reduce__(), g.__reduce__()))
    assert plain._quick is None and other.quick is None
    for _ in range(3):
        same(plain(*arguments, lam=0.5), expected)
        assert all(np.array_equal(array, outputs[name]) for name, array in other(**given).items())


def test_no_targets_are_named_as_what_is_wrong(compiled):
    (f, by_numpy, (params, X, _)), _ = compiled
    for given in (f, by_numpy):
        for call in (given.cost, given.gradient, given):  # C would read memory that is nobody's
            with pytest.raises(DataError, match="Y is NoneType"):
                call(params, X, None, lam=0.5)


@pytest.mark.parametrize("backend", ["numpy", "c"])
@pytest.mark.parametrize(("rows", "labels"), [("V", "U"), ("V", "9"), ("V + U", "V + U"), ("V + U", "V")])
def test_labels_lie_inside_of_what_is_looked_up_wherever_its_size_is_told(rows, labels, backend):
    def rows_of(w, y):
        return (w[y] ** 2).sum()

    traced = sb.trace(rows_of, shapes={"w": (rows, "D"), "y": ("N",)}, assume={"y": f"labels:{labels}"})
    f, sizes = sb.compile(traced, backend), {"V": 3, "U": 4} if rows != "V" else {}
    given = {"w": RANDOM.normal(size=(7, 2)), **sizes}
    last = 2 if (rows, labels) == ("V + U", "V") else 6
    for _ in range(2):  # the second time C looks at the arguments itself
        found = f(**given, y=np.array([0, last, 0]))
        np.testing.assert_allclose(found["out"], (given["w"][[0, last, 0]] ** 2).sum())
        for bad in (last + 1, -1):
            with pytest.raises(DataError, match=f"y holds the label {bad}, but labels run from 0"):
                f(**given, y=np.array([0, bad, 0]))
    for wrong in (3, 5) if sizes else ():
        with pytest.raises(DataError, match=f"w has size 7 along axis 0, which is axis V . U of size {wrong + 3}"):
            f(**given | {"U": wrong}, y=np.zeros(3, int))
    for odd in (0, -1, 2.5, np.nan) if sizes else ():
        with pytest.raises(DataError, match="hyper-parameter V is a size: a whole number of at least 1, not"):
            f(**given | {"V": odd}, y=np.zeros(3, int))


@pytest.mark.parametrize("kind", ["labels", "one label", "two sizes"])
def test_labels_that_change_after_they_were_looked_at_read_nothing_outside(kind):
    """As by another thread: the kernel is asked directly, without a look at its arguments."""
    if kind == "one label":
        traced = sb.trace(lambda w, y: w[y], shapes={"w": ("V", "D"), "y": ()}, assume={"y": "labels:V"})
        labels = np.array(2)
    else:
        size = "V" if kind == "labels" else "U"
        traced = sb.trace(lambda w, y, u: w[y] * u.sum(), shapes={"w": ("V", "D"), "y": ("N",), "u": ("U",)},
                          assume={"y": f"labels:{size}"})  # fmt: skip
        labels = np.array([0, 2, 1])
    f = sb.compile(traced, "c")
    if f.backend != "c":
        pytest.skip("no C compiler")
    given = {t.name: RANDOM.normal(size=[{"V": 4, "U": 3, "D": 2, "N": 3}[str(s.name)] for s in t.shape])
             for t in f.signature.inputs}  # fmt: skip
    given["y"] = labels
    expected = f(**given)
    for bad in (10**12, -1, -(10**12)):
        other = np.where(labels == 2, bad, labels)
        f.function(*[other if t.name == "y" else given[t.name] for t in f.signature.inputs])
        with pytest.raises(DataError, match=f"y holds the label {bad}"):
            f(**given | {"y": other})
    for name, array in f(**given).items():
        np.testing.assert_array_equal(array, expected[name])


@pytest.mark.skipif(calls._addresses() is None, reason="this Python has no plain call in C")
def test_memory_of_large_results_is_given_again_by_c_where_nobody_holds_it(monkeypatch):
    asked, own = [], results._Kept.array
    monkeypatch.setattr(results._Kept, "array", lambda kept: asked.append(kept) or own(kept))
    net = sb.Network([200, 60, 2], cost="squared_error", reduction="sum")
    f = sb.compile(net, "c")
    if f.backend != "c":
        pytest.skip("no C compiler")
    given = net.init(0), RANDOM.normal(size=(4, 200)), RANDOM.random((4, 2))
    expected = f(*given)[1]["W1"].copy()
    f(*given), f(*given)
    asked.clear()
    first = f(*given)[1]["W1"]
    part, place = first[3:5], first.ctypes.data
    del first
    second = f(*given)[1]["W1"]
    assert second.ctypes.data != place and second.flags.carray and place % 64 == second.ctypes.data % 64 == 0
    second[:] = 0
    np.testing.assert_array_equal(part, expected[3:5])
    del second
    made = asked.copy()
    for _ in range(3):
        np.testing.assert_array_equal(f(*given)[1]["W1"], expected)
    assert asked == made and len(made) <= 1, "Python was asked for memory that was there"
