"""The matrix products of generated C against NumPy: every kind, odd sizes, each width of vectors, nothing overwritten."""

import ctypes
import itertools
import platform

import numpy as np
import pytest

from symbackprop.codegen.c import build as c_build
from symbackprop.codegen.c.network import use_blas
from symbackprop.codegen.c.prelude import head

CALL = """
void multiply(const long *n, const real *A, const real *B, const double *ab, const real *D, real *C) {
    product((int)n[0], (int)n[1], n[2], n[3], n[4], A, n[0] ? n[2] : n[4], B, n[1] ? n[4] : n[3], ab[0], ab[1], D, C);
}
"""
X86 = platform.machine() in ("x86_64", "AMD64")
VECTORS = {"the longest": (), "32 bytes": ("-mno-avx512f",), "16 bytes": ("-mno-avx",)} if X86 else {"the longest": ()}
# Below, at and above: a tile, a panel's depth, a band, a block, the rows for inner products, plain loops and BLAS.
SIZES = [(1, 1, 1), (10, 30, 784), (3, 5, 200), (23, 47, 129), (24, 25, 31), (33, 24, 128), (9, 8, 300), (70, 49, 17)]
LARGE = [(301, 299, 302), (64, 2, 20_000)]
GUARD = 64


@pytest.fixture(scope="module", params=[(v, s) for v in VECTORS for s in (False, True)], ids=str)
def library(request, tmp_path_factory):
    vectors, single = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(c_build, "COMPILE", (*c_build.COMPILE, *VECTORS[vectors]))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        c_build.build.cache_clear()
        try:
            built = c_build.build(head(single, {}) + CALL)
        except c_build.CompilerError as error:
            pytest.skip(str(error))
        finally:
            c_build.build.cache_clear()
    use_blas(built, single)
    return built, np.float32 if single else np.float64


def shifted(array, numbers):
    """A copy that begins so many numbers after a place where vectors begin, or may."""
    room = np.empty(array.size + numbers, array.dtype)
    room[numbers:] = array.ravel()
    return room[numbers:].reshape(array.shape)


def call(built, kind, shape, A, B, alpha, beta, D, C):
    """C = alpha op(A) op(B) + beta D by the library."""
    numbers, weights = (ctypes.c_long * 5)(*kind, *shape), (ctypes.c_double * 2)(alpha, beta)
    a, b, d, c = (ctypes.c_void_p(x.ctypes.data) for x in (A, B, D, C))
    built.multiply(numbers, a, b, weights, d, c)


def multiply(library, kind, shape, alpha, beta, own_start, seed=0):
    """(what the library computes, what NumPy does, the error to expect)."""
    built, dtype = library
    random, (ta, tb), (m, n, k) = np.random.default_rng(seed), kind, shape
    shapes = ((k, m) if ta else (m, k), (n, k) if tb else (k, n))
    A, B = (shifted(random.normal(size=s).astype(dtype), seed + p) for p, s in enumerate(shapes))
    room = np.full(m * n + 2 * GUARD + seed, 7, dtype)
    C = room[GUARD : GUARD + m * n].reshape(m, n)
    C[...] = random.normal(size=(m, n)) if beta else np.nan  # not read where beta is 0
    D = C if own_start else random.normal(size=(m, n)).astype(dtype)
    a, b = (x.astype(np.float64).T if t else x.astype(np.float64) for x, t in ((A, ta), (B, tb)))
    expected = alpha * (a @ b) + (beta * D.astype(np.float64) if beta else 0)
    call(built, kind, shape, A, B, alpha, beta, D, C)
    assert (room[:GUARD] == 7).all() and (room[GUARD + m * n :] == 7).all(), "written outside"
    size = np.abs(a) @ np.abs(b) + np.abs(D if beta else 0)
    return C, expected, 4 * np.finfo(dtype).eps * k**0.5 * size


@pytest.mark.parametrize("shape", SIZES + LARGE, ids=str)
def test_product_is_numpys(library, shape):
    for kind in itertools.product((0, 1), (0, 1)):
        for alpha, beta, own_start in ((1, 0, True), (-0.25, 1, True), (1, 0.5, False), (2, 0, False)):
            found, expected, error = multiply(library, kind, shape, alpha, beta, own_start)
            np.testing.assert_array_less(np.abs(found - expected), error, err_msg=f"{kind} {alpha} {beta} {own_start}")


@pytest.mark.parametrize("start", range(1, 9))
def test_product_wherever_its_arrays_begin(library, start):
    for shape in ((10, 30, 784), (6, 240, 400), (9, 800, 5)):
        for kind in itertools.product((0, 1), (0, 1)):
            found, expected, error = multiply(library, kind, shape, 1, 0.5, False, start)
            np.testing.assert_array_less(np.abs(found - expected), error, err_msg=f"{kind} {shape}")


def test_infinity_beside_the_whole_vectors_stays_infinity(library):
    """What lies before and after the whole vectors is worked on with the other numbers set to 0: 0 * inf is nan."""
    built, dtype = library
    for place in (0, 4, 5, 6, 7, 12, 13, 60, 103, 109, 111):
        A, B, C = (shifted(x, 3) for x in (np.ones((4, 112), dtype), np.ones((6, 112), dtype), np.zeros((4, 6), dtype)))
        A[1, place] = np.inf
        call(built, (0, 1), (4, 6, 112), A, B, 1, 0, C, C)
        assert np.isposinf(C[1]).all() and (np.delete(C, 1, axis=0) == 112).all()


def test_product_of_every_small_size(library):
    for shape in itertools.product((1, 2, 5, 7, 11), (1, 3, 8, 9, 26), (100, 131)):
        for kind in itertools.product((0, 1), (0, 1)):
            found, expected, error = multiply(library, kind, shape, 0.5, 2, False)
            np.testing.assert_array_less(np.abs(found - expected), error, err_msg=f"{kind} {shape}")


def test_nan_reaches_its_own_row_alone(library):
    """Columns are filled up with zeros: 0 * nan must not end up in a result."""
    built, dtype = library
    m, n, k = 30, 13, 40
    A, B, C = np.ones((m, k), dtype), np.ones((k, n), dtype), np.zeros((m, n), dtype)
    A[4, 7] = np.nan
    call(built, (0, 0), (m, n, k), A, B, 1, 0, C, C)
    assert np.isnan(C[4]).all() and (np.delete(C, 4, axis=0) == k).all()
