"""The C backend when things go wrong: Ctrl-C in an epoch, a full disk, a compiler that is missing or slow."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.codegen.c import build as c_build


def network(width):
    return sb.Network([3, width, 2], cost="cross_entropy", l2="lambda/(2*m)")


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals as on Unix")
def test_ctrl_c_stops_an_epoch_after_the_batch_at_hand():
    net = network(5)
    f = sb.compile(net, "c")
    rows = 20_000
    random = np.random.default_rng(0)
    X, Y = random.normal(size=(rows, 3)), random.integers(0, 2, (rows, 2)).astype(float)
    theta = np.concatenate([p.ravel() for p in net.init(0).values()])
    order = np.tile(np.arange(rows), 2000)  # minutes of work
    main = threading.main_thread().ident
    threading.Timer(0.3, signal.pthread_kill, (main, signal.SIGINT)).start()
    before, start = theta.copy(), time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        f.epoch(theta, X, Y, order=order, batch=10, rate=1e-3, lam=1.0)
    assert np.isfinite(theta).all() and (theta != before).any()
    assert time.monotonic() - start < 20  # far from the end
    f.epoch(theta, X, Y, order=order[:100], batch=10, rate=1e-3, lam=1.0)  # and nothing is broken


def test_full_disk_leaves_the_work_to_numpy(monkeypatch, tmp_path):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(c_build, "_compile", full)
    c_build.build.cache_clear()
    with pytest.warns(RuntimeWarning, match="could not be stored(.|\n)*No space left on device"):
        f = sb.compile(network(6), "c")
    assert f.backend == "numpy"


def test_failing_compiler_leaves_the_work_to_numpy_and_its_message_is_kept(monkeypatch, tmp_path):
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\necho 'internal compiler error: Segmentation fault' >&2\nexit 4\n")
    compiler.chmod(0o755)
    monkeypatch.setattr(c_build, "compiler", lambda: str(compiler))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    c_build.build.cache_clear()
    net = network(7)
    with pytest.warns(RuntimeWarning, match="NumPy takes over: the C compiler failed(.|\n)*Segmentation fault"):
        f = sb.compile(net, "c")
    assert f.backend == "numpy"
    X, Y = np.ones((4, 3)), np.eye(2)[[0, 1, 0, 1]]
    assert np.isfinite(f(net.init(0), X, Y, lam=1.0)[0])
    assert not list((tmp_path / "symbackprop").iterdir())  # nothing half-built stays


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_library_cut_off_half_way_is_built_again(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    code = "from symbackprop.codegen.c.build import build; print(build('int seven(void) { return 7; }').seven())"

    def run():
        command = [sys.executable, "-W", "error", "-c", code]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()

    assert run() == "7"
    (library,) = (tmp_path / "symbackprop").glob("*.so")
    library.write_bytes(library.read_bytes()[:1000])
    assert run() == "7" and library.stat().st_size > 1000  # mended, not passed over


@pytest.mark.parametrize("penalty", [None, "lambda/2", "lambda/(2*m)"])
def test_cost_that_is_a_sum_over_the_rows(penalty):
    """The penalty is what the cost starts from, before the rows add to it."""
    net = sb.Network([3, 4, 2], cost="squared_error", reduction="sum", l2=penalty)
    params, random = net.init(0), np.random.default_rng(0)
    X, Y, hyper = random.normal(size=(9, 3)), random.normal(size=(9, 2)), {"lam": 0.3} if penalty else {}
    in_c, in_numpy = sb.compile(net, "c"), sb.compile(net)
    if in_c.backend != "c":
        pytest.skip("no C compiler")
    assert in_c.cost(params, X, Y, **hyper) == pytest.approx(in_numpy.cost(params, X, Y, **hyper), rel=1e-14)
    assert in_c(params, X, Y, **hyper)[0] == pytest.approx(in_numpy(params, X, Y, **hyper)[0], rel=1e-14)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals as on Unix")
@pytest.mark.parametrize("batch", [50_000, 5_000])
def test_ctrl_c_again_and_again_leaves_theta_as_after_a_whole_batch(batch):
    """While the C code works on one long batch, nothing that it uses may be freed or read."""
    rows = 50_000
    net = sb.Network([40, 60, 3], cost="cross_entropy")
    f, random = sb.compile(net, "c"), np.random.default_rng(0)
    if f.backend != "c":
        pytest.skip("no C compiler")
    X, Y = random.normal(size=(rows, 40)), random.integers(0, 2, (rows, 3)).astype(float)
    start = np.concatenate([p.ravel() for p in net.init(0).values()])
    order, options = np.tile(np.arange(rows), 10), {"batch": batch, "rate": 0.1}
    after, whole = [start], start.copy()
    for first in range(0, len(order), batch):
        f.epoch(whole, X, Y, order=order[first : first + batch], **options)
        after.append(whole.copy())
    main, theta = threading.main_thread().ident, start.copy()
    again = [threading.Timer(0.004 * k, signal.pthread_kill, (main, signal.SIGINT)) for k in (1, 2)]
    try:
        for timer in again:
            timer.start()
        f.epoch(theta, X, Y, order=order, **options)
    except KeyboardInterrupt:
        pass
    finally:
        for timer in again:
            try:
                timer.join()
            except KeyboardInterrupt:  # the second came after the epoch's end
                timer.join()
    assert any((theta == state).all() for state in after)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_nan_in_a_row_reaches_every_unit_whatever_its_slope():
    """A unit at z = NaN has slope 0 by [0 < z], and NaN * 0 is NaN."""
    net = sb.Network([3, 40, 2], activation="relu", cost="squared_error")
    random, params = np.random.default_rng(0), net.init(0)
    X, Y = random.normal(size=(5, 3)), random.normal(size=(5, 2))
    X[2, 1] = np.nan
    for dtype in ("float64", "float32"):
        f = sb.compile(net, "c", dtype)
        _, grads = f({k: v.astype(dtype) for k, v in params.items()}, X.astype(dtype), Y.astype(dtype))
        assert all(np.isnan(g).all() for g in grads.values())


def test_infinite_weight_without_penalty_gives_what_numpy_gives():
    net = sb.Network([30, 40, 5], activation="tanh", cost="squared_error", l2="lambda/2")
    params, X, Y = net.init(0), np.ones((5, 30)), np.zeros((5, 5))
    params["W1"][1, 1] = np.inf
    with np.errstate(invalid="ignore"):  # 0 * inf
        found, expected = (sb.compile(net, b)(params, X, Y, lam=0.0)[1] for b in ("c", "numpy"))
    for name in expected:
        np.testing.assert_array_equal(np.isnan(found[name]), np.isnan(expected[name]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"\x7fELFgarbage", "cannot be started(.|\n)*Exec format error"),
        (b"#!/no/such/interpreter\n", "cannot be started"),
        (b"#!/bin/sh\nprintf '\\377\\376 bad' >&2; exit 1\n", "the C compiler failed(.|\n)*bad"),
        (b"#!/bin/sh\nkill -9 $$\n", "the C compiler failed(.|\n)*status -9"),
    ],
)
def test_compiler_that_is_no_program_or_speaks_no_utf8_leaves_the_work_to_numpy(monkeypatch, tmp_path, text, message):
    compiler = tmp_path / "cc"
    compiler.write_bytes(text)
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for function in (c_build.build, c_build.compiler, c_build._identity):
        function.cache_clear()
    with pytest.warns(RuntimeWarning, match=message):
        assert sb.compile(network(9 + len(text)), "c").backend == "numpy"
    for function in (c_build.build, c_build.compiler):
        function.cache_clear()


def test_compiler_that_is_not_there_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("CC", "gcc -m64")
    c_build.compiler.cache_clear()
    with pytest.raises(c_build.CompilerError, match=r"the compiler that CC names is not there(.|\n)*gcc -m64"):
        c_build.compiler()
    c_build.compiler.cache_clear()
