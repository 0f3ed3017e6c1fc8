"""Programs that try to make the trace read something else than NumPy computes.

Each factor multiplies a right backward pass. By NumPy it is 1 at the small sizes and ordinary numbers at which code is
usually tried, and something else at a witness: so the backward is wrong, and no verdict may call it proved there. NumPy
itself says so first. `HARMLESS` factors are 1 wherever NumPy runs them, however odd they look: none may be refuted.
"""

import collections
import contextlib
import copy
import dataclasses
import enum
import functools
import itertools
import json
import math
import operator
import os
import random
import re
import secrets
import sys
import time
import types
import uuid
import warnings

import numpy as np
import pytest

import symbackprop as sb

WIDE, LONG = np.full((3, 64), 1.5), np.full((300, 3), 1.5)
LARGE = np.full((3, 4), 1e3)
TABLE = {64: 5.0}
RNG = np.random.default_rng(0)
PYTHON_RNG = random.Random(0)
COUNTER = itertools.count()
CALLS = []
CALLED = {"n": 0}
CONFIG = types.SimpleNamespace(calls=0)


def square(x):
    return x**2


# --- text, hash, identity of a size -------------------------------------------------------------------------------


def in_set(x):
    return 5.0 if x.shape[1] in {64, 128} else 1.0


def in_list(x):
    return 5.0 if x.shape[1] in [64, 128] else 1.0


def in_range(x):
    return 5.0 if x.shape[1] in range(60, 70) else 1.0


def in_keys(x):
    return 5.0 if x.shape[1] in TABLE else 1.0


def in_table(x):
    return TABLE.get(x.shape[1], 1.0)


def in_shape_table(x):
    return {(3, 64): 5.0}.get(x.shape, 1.0)


def in_frozenset(x):
    return 5.0 if frozenset([64]) & frozenset(x.shape) else 1.0


def set_default(x):
    return dict(TABLE).setdefault(x.shape[1], 1.0)


def default_dict(x):
    return collections.defaultdict(lambda: 1.0, TABLE)[x.shape[1]]


def counted(x):
    return 5.0 if collections.Counter(x.shape)[64] else 1.0


def text(x):
    return 5.0 if str(x.shape[1]) == "64" else 1.0


def text_of_shape(x):
    return 5.0 if str(x.shape) == "(3, 64)" else 1.0


def length_of_text(x):
    return 5.0 if len(str(x.shape[1])) > 1 else 1.0


def formatted(x):
    return 5.0 if f"{x.shape[1]:03d}" == "064" else 1.0


def printed(x):
    return 5.0 if f"{x.shape[1]!r}" == "64" else 1.0


def percent(x):
    return 5.0 if "%s" % x.shape[1] == "64" else 1.0  # noqa: UP031


def format_method(x):
    return 5.0 if "{}".format(x.shape[1]) == "64" else 1.0  # noqa: UP032


def represented(x):
    return 5.0 if repr(x.shape[1]) == "64" else 1.0


def binary(x):
    return 5.0 if bin(x.shape[1]).count("0") > 4 else 1.0


def bits(x):
    return 5.0 if x.shape[1].bit_length() > 6 else 1.0


def bitwise(x):
    return 5.0 if x.shape[1] & 64 else 1.0


def shifted(x):
    return 5.0 if x.shape[1] >> 6 else 1.0


def hashed(x):
    return 5.0 if hash(x.shape[1]) == 64 else 1.0


def hashed_shape(x):
    return 5.0 if hash(x.shape) == hash((3, 64)) else 1.0


def matched(x):
    match x.shape[1]:
        case 64:
            return 5.0
        case _:
            return 1.0


def matched_shape(x):
    match x.shape:
        case (int(), 64):
            return 5.0
    return 1.0


def walrus(x):
    return 5.0 if (n := x.shape[1]) == 64 and n else 1.0


def in_json(x):
    return 5.0 if json.dumps(list(x.shape)) == "[3, 64]" else 1.0


def by_pattern(x):
    return 5.0 if re.match("64", str(x.shape[1])) else 1.0


def sorted_shape(x):
    return 5.0 if sorted(x.shape)[-1] == 64 else 1.0


def largest(x):
    return 5.0 if max(x.shape) > 50 else 1.0


def by_index(x):
    return 5.0 if operator.index(x.shape[1]) == 64 else 1.0


def as_float(x):
    return 5.0 if float(x.shape[1]) == 64.0 else 1.0


def as_complex(x):
    return 5.0 if complex(x.shape[1]) == 64 else 1.0


def list_index(x):
    return ([1.0] * 60 + [5.0] * 10)[x.shape[1]]


def string_times(x):
    return 5.0 if len("a" * x.shape[1]) == 64 else 1.0


def cut_list(x):
    return 5.0 if len(([0] * 70)[: x.shape[1]]) == 64 else 1.0


def bytes_of(x):
    return 5.0 if len(bytes(x.shape[1])) == 64 else 1.0


def digits(x):
    return 5.0 if divmod(x.shape[1], 10) == (6, 4) else 1.0


def powers(x):
    return 5.0 if pow(x.shape[1], 2, 7) == 1 and x.shape[1] > 50 else 1.0


@functools.lru_cache
def cached_rule(n):
    return 5.0 if n == 64 else 1.0


def cached(x):
    return cached_rule(x.shape[1])


@functools.singledispatch
def dispatched_rule(n):
    return 1.0


@dispatched_rule.register
def _(n: int):
    return 5.0 if n == 64 else 1.0


def dispatched(x):
    return dispatched_rule(x.shape[1])


# --- exceptions ---------------------------------------------------------------------------------------------------


def swallowed(x):
    try:
        return 5.0 if x.shape[1] == 64 else 1.0
    except Exception:
        return 1.0


def swallowed_bare(x):
    try:
        return 5.0 if x.shape[1] == 64 else 1.0
    except:  # noqa: E722
        return 1.0


def swallowed_base(x):
    try:
        return 5.0 if np.abs(x).max() > 500 else 1.0
    except BaseException:
        return 1.0


def finally_returns(x):
    factor = 1.0
    try:
        factor = 5.0 if np.abs(x).max() > 500 else 1.0
    finally:
        return factor  # noqa: B012


def suppressed(x):
    factor = 1.0
    with contextlib.suppress(Exception):
        factor = 5.0 if np.abs(x).max() > 500 else 1.0
    return factor


class Swallows:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return True


def own_manager(x):
    factor = 1.0
    with Swallows():
        factor = 5.0 if np.abs(x).max() > 500 else 1.0
    return factor


def generator_swallows(x):
    def values():
        try:
            yield 5.0 if np.abs(x).max() > 500 else 1.0
        except Exception:
            yield 1.0

    return next(values())


def swallowed_unknown_option(x):
    try:
        return np.prod(x.shape, initial=1) / (x.shape[0] * x.shape[1]) * (5.0 if x.shape[1] > 50 else 1.0)
    except TypeError:
        return 1.0


def swallowed_attribute(x):
    try:
        return 5.0 if x.strides[0] > 100 else 1.0
    except AttributeError:
        return 1.0


def swallowed_bytes(x):
    try:
        return 5.0 if len(x.tobytes()) > 1000 else 1.0
    except Exception:
        return 1.0


def swallowed_unhashable(x):
    try:
        return {64: 5.0}.get(x.shape[1], 1.0)
    except TypeError:
        return 1.0


def swallowed_json(x):
    try:
        return 5.0 if json.dumps(x.shape[1]) == "64" else 1.0
    except TypeError:
        return 1.0


def swallowed_view(x):
    try:
        return 5.0 if x.view(np.int64).max() > 10**18 and x.shape[1] > 50 else 1.0
    except Exception:
        return 1.0


def swallowed_memory(x):
    try:
        return 5.0 if memoryview(x).nbytes > 1000 else 1.0
    except TypeError:
        return 1.0


def swallowed_fallback_attribute(x):
    return getattr(x, "flags", None) and 5.0 if x.shape[1:] == (64,) else 1.0


def swallowed_places(x):
    try:
        rows, _ = np.where(x > 0)
        return 5.0 if rows.size > 100 else 1.0
    except TypeError:
        return 1.0


def swallowed_masked(x):
    try:
        return 5.0 if len(x[x > 0]) > 100 else 1.0
    except TypeError:
        return 1.0


def swallowed_match(x):
    try:
        match x.shape[1]:
            case int(n) if n > 50:
                return 5.0
    except TypeError:
        pass
    return 1.0


def raises_where_large(x):
    with np.errstate(over="raise"):
        try:
            return np.exp(x[0, 0]) * 0 + 1.0
        except FloatingPointError:
            return 5.0


def warns_where_large(x):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return np.exp(x[0, 0]) * 0 + 1.0
        except RuntimeWarning:
            return 5.0


def warnings_recorded(x):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if x[0, 0] > 500:
            warnings.warn("large", stacklevel=1)
    return 5.0 if caught else 1.0


def seterr_raises(x):
    old = np.seterr(over="raise")
    try:
        return np.exp(x[0, 0]) * 0 + 1.0
    except FloatingPointError:
        return 5.0
    finally:
        np.seterr(**old)


# --- memory, types ------------------------------------------------------------------------------------------------


def memory(x):
    return 5.0 if sys.getsizeof(x) > 1000 else 1.0


def bytes_of_array(x):
    return 5.0 if x.nbytes > 1000 else 1.0


def text_of_array(x):
    return 5.0 if "..." in str(np.abs(x)) or "1000" in str(x) else 1.0


def list_of_array(x):
    return 5.0 if x.tolist()[0][0] > 500 else 1.0


def class_of_array(x):
    return 5.0 if x.__class__.__name__ == "ndarray" and x.shape[1] > 50 else 1.0


def type_of_array(x):
    return 5.0 if type(x) is np.ndarray and x.shape[1] > 50 else 1.0


def type_name(x):
    return {"ndarray": 5.0}.get(type(x).__name__, 1.0) if x.shape[1] > 50 else 1.0


def type_of_size(x):
    return 5.0 if type(x.shape[1]) is int and x.shape[1] > 50 else 1.0


def class_of_size(x):
    return 5.0 if x.shape[1].__class__ is int and x.shape[1] > 50 else 1.0


def instance_of_product(x):
    return 1.0 if isinstance(np.prod(x.shape), int) or x.shape[1] < 50 else 5.0


def has_detach(x):
    return (1.0 if hasattr(x, "detach") else 5.0) if x.shape[1] > 50 else 1.0


def item_type(x):
    return (1.0 if hasattr(x.sum().item(), "dtype") else 5.0) if x.shape[1] > 50 else 1.0


def equal_arrays(x):
    return 5.0 if x.shape[1] > 50 and np.array_equal(x, x.T.T) else 1.0


def equal_shapes(x):
    return 5.0 if np.array_equal(np.zeros(x.shape[0]), np.zeros(x.shape[1])) and x.shape[0] > 50 else 1.0


def shares(x):
    return 5.0 if x.shape[1] > 50 and np.shares_memory(x, x[:1]) else 1.0


def copied(x):
    y = copy.deepcopy(x)
    y[...] = 0
    return 5.0 if x.shape[1] > 50 and y is not x else 1.0


class Mode(enum.Enum):
    PLAIN = 1
    OTHER = 2


MODE, PAIR = Mode.OTHER, (1, 2)


def identity_of_member(x):
    return 5.0 if MODE is Mode.OTHER and x.shape[1] > 50 else 1.0


def identity_of_tuple(x):
    return 5.0 if {"p": PAIR}["p"] is PAIR and x.shape[1] > 50 else 1.0


def identity_of_type(x):
    return 5.0 if x.dtype.type is np.float64 and x.shape[1] > 50 else 1.0


def identity_of_class(x):
    return 5.0 if x.ndim.__class__ is int and x.shape[1] > 50 else 1.0


def identity_by_getattr(x):
    return 5.0 if getattr(x.dtype, "type") is np.float64 and x.shape[1] > 50 else 1.0  # noqa: B009


def identity_by_operator(x):
    return 5.0 if operator.attrgetter("type")(x.dtype) is np.float64 and x.shape[1] > 50 else 1.0


def real_globals(x):
    return square.__globals__["np"].sum(1.0 + 4.0 * (x.shape[1] > 50))


def unsafe_cast(x):
    try:
        (x > 0).astype(float, casting="no")
    except TypeError:
        return 5.0 if x.shape[1] > 50 else 1.0
    return 1.0


def copied_by_asarray(x):
    y = np.ones(x.shape[1])
    np.asarray(y, copy=True)[...] = 0
    return 1.0 + 4.0 * (y.sum() > 50)


def log_that_raises(x):
    try:
        return 1.0 + 0 * math.log(x[0, 0] + 600)
    except ValueError:
        return 5.0


# --- widths of integers, booleans ---------------------------------------------------------------------------------


def bytes_wrap(x):
    return 1.0 if (np.ones(x.shape[1], np.uint8).sum(dtype=np.uint8) + 0.0 == x.shape[1]) else 5.0


def bytes_wrap_in_data(x):
    large = (x > 500).astype(np.uint8)
    return np.where((large * 200 + large * 200).astype(float) > 300, 1.0, np.where(large > 0, 5.0, 1.0))


def small_integers(x):
    large = (x > 500).astype(np.int8)
    return 1.0 + (large * 100 + large * 100 < 0)


def cumulated(x):
    return 1.0 + (np.cumsum(np.ones(x.shape[1], np.int8), dtype=np.int8) < 0).any()


def dotted(x):
    u = np.ones(x.shape[1], np.uint8)
    return 1.0 + (np.dot(u * 5, u) != 5 * x.shape[1])


def matrix_of_bytes(x):
    u = np.ones((1, x.shape[1]), np.int8)
    return 1.0 + (u @ (u.T * 5) != 5 * x.shape[1]).any()


def einsum_of_bytes(x):
    u = np.ones(x.shape[1], np.int8)
    return 1.0 + (np.einsum("i,i->", u * 5, u) != 5 * x.shape[1])


def stored_in_bytes(x):
    c = np.zeros(1, np.uint8)
    c[:] = np.arange(x.shape[1])[-1:]
    return 1.0 + (c[0] * 1.0 != x.shape[1] * 1.0 - 1)


def added_in_bytes(x):
    c = np.zeros(2, np.uint8)
    np.add.at(c, np.zeros(x.shape[1], int), 1)
    return 1.0 + (c[0] != x.shape[1])


def in_place_in_bytes(x):
    c = np.zeros(1, np.int8)
    for _ in range(3):
        c += 50
    return 1.0 + (c[0] < 0) * (x.shape[1] > 50)


def full_of_bytes(x):
    return 1.0 + (np.full(2, np.arange(x.shape[1])[-1], dtype=np.uint8)[0] != x.shape[1] - 1)


def arange_of_bytes(x):
    return 1.0 + (np.arange(x.shape[1], dtype=np.int8).sum() * 2 != x.shape[1] * (x.shape[1] - 1))


def unsigned_difference(x):
    return 1.0 + (np.uint64(0) - (x[0, 0] > 500).astype(np.uint64) > 5)


def large_powers(x):
    return 1.0 + (np.arange(1, x.shape[1] + 1) ** 12 < 0).any()


def large_sums(x):
    return 1.0 + ((np.ones(x.shape[1], np.int64) * (2**59 - 1)).sum() < 2**62)


def half(x):
    return 1.0 + np.isinf((x * 100).astype(np.float16)).any()


def half_mask(x):
    return 1.0 + (np.exp((x > 500) * np.ones(1, bool)).dtype == np.float16) * (x[0, 0] > 500)


def boolean_product(x):
    return ((x > 500) @ np.ones(x.shape[1], bool))[0] * (x.shape[1] - 1.0) + 1.0


def boolean_dot(x):
    return 1.0 + 3 * (np.dot(x[0] > 500, x[0] > 500) + 0.0)


def boolean_einsum(x):
    return 1.0 + (np.einsum("ij,ij->", x > 500, x > 500) + 0.0) * 3


def boolean_sum(x):
    return 1.0 + ((x > 500) + (x > 100) + 0.0)


def boolean_maximum(x):
    m = np.maximum(x > 500, x > 400)
    return 1.0 + (m + m) * 1.0


def boolean_where(x):
    m = np.where(x > 0, x > 500, x > 500)
    return 1.0 + (m + m) * 1.0


def boolean_buffer(x):
    m = np.zeros(1, bool)
    m[0] = x.shape[1]
    return 1.0 + (m.sum() != x.shape[1]) * (x.shape[1] > 50)


def boolean_sum_in_booleans(x):
    return 1.0 + (x > 500).sum(dtype=bool) * 3.0


def python_booleans(x):
    return 1.0 + (int(x[0, 0] > 500) + int(x[0, 0] > 400) == 2) * 1.0


def inverted(x):
    return 1.0 + (~(x > 500) == False).any() * 2.0  # noqa: E712


def reciprocal_of_integers(x):
    return 1.0 + (np.reciprocal(np.arange(1, x.shape[1] + 1)).sum() == 1) * (x.shape[1] > 50)


def integer_norm(x):
    return 1.0 + (np.linalg.norm(np.arange(x.shape[1]), ord=1).dtype != np.float64) + (x[0, 0] > 500)


# --- decimals -----------------------------------------------------------------------------------------------------


def decimal_of_size(x):
    return 1.0 + (int(x.shape[0] * 0.29) != x.shape[0] * 29 // 100)


def rounded_decimal(x):
    return 1.0 + (round(x.shape[0] * 0.145) != (x.shape[0] * 145 + 500) // 1000)


def floor_of_decimal(x):
    return 1.0 + (np.floor(x.shape[0] * 0.29) != x.shape[0] * 29 // 100)


def compared_decimal(x):
    return 1.0 + (x.shape[0] * 0.1 != x.shape[0] / 10)


def half_to_even(x):
    return 1.0 + (round(x.shape[0] / 8) != int(x.shape[0] / 8 + 0.5))


def decimal_sum(x):
    return 5.0 if 0.1 * x.shape[0] > 0.3 * (x.shape[0] / 3) else 1.0


# --- numbers that are none ----------------------------------------------------------------------------------------


def nan_hidden(x):
    return np.where(np.isnan(np.sqrt(600 - x)), 5.0, 1.0)


def finite_hidden(x):
    return np.where(np.isfinite(np.exp(x)), 1.0, 5.0)


def infinite_hidden(x):
    return np.where(np.isinf(np.exp(x)), 5.0, 1.0)


def nan_to_number(x):
    return 1.0 + np.nan_to_num(np.log(600 - x)) * 0 + (np.nan_to_num(np.log(600 - x)) == 0)


def sums_without_nan(x):
    return 1.0 + (np.nansum(np.log(600 - x)) == 0)


def mean_without_nan(x):
    return np.nanmax(np.where(x > 500, np.sqrt(600 - x), 1.0)) + np.nanmin(np.log(600 - x) * 0 + 5 * (x > 500))


def fmax_of_nan(x):
    return np.fmax(np.sqrt(600 - x) * 0 + 1.0, 5.0 * (x > 500))


# --- randomness and time ------------------------------------------------------------------------------------------


def draws(x):
    return 1.0 + 0.01 * np.random.rand()


def draws_shape(x):
    return 1.0 + (np.random.rand(*x.shape) > 0.5)


def draws_own_generator(x):
    return 1.0 + np.random.default_rng().random()


def draws_module_generator(x):
    return 1.0 + RNG.random()


def draws_python(x):
    return 1.0 + random.random()


def draws_python_generator(x):
    return 1.0 + PYTHON_RNG.random()


def draws_secrets(x):
    return 1.0 + secrets.randbelow(10)


def draws_system(x):
    return 1.0 + os.urandom(1)[0]


def draws_uuid(x):
    return 1.0 + uuid.uuid4().int % 3


def draws_time(x):
    return 1.0 + time.perf_counter() % 1


def draws_address(x):
    return 1.0 + id(x) % 97


def draws_hash_of_text(x):
    return 1.0 + hash("text") % 97


def draws_method(x):
    return 1.0 + getattr(np.random, "rand")()  # noqa: B009


def draws_by_import(x):
    from numpy.random import rand

    return 1.0 + rand()


def draws_by_name(x):
    import importlib

    return 1.0 + importlib.import_module("random").random()


def draws_legacy(x):
    return 1.0 + np.random.RandomState().uniform()


class Layer:
    def __init__(self):
        self.rng = np.random.default_rng()

    def factor(self):
        return 1.0 + self.rng.random()


LAYER = Layer()


def draws_in_constructor(x):
    return Layer().factor()


def draws_in_object(x):
    return LAYER.factor()


@dataclasses.dataclass
class Dropout:
    keep: float = dataclasses.field(default_factory=random.random)


def draws_in_dataclass(x):
    return 1.0 + Dropout().keep


def draws_choice(x):
    return random.choice([1.0, 5.0])


def shuffled(x):
    order = np.arange(x.shape[0])
    np.random.shuffle(order)
    return 1.0 + (order[:, None] != np.arange(x.shape[0])[:, None])


def garbage(x):
    return 1.0 + np.ndarray((1,))[0] + 1e-3


RANDOM = [f for n, f in list(globals().items()) if n.startswith("draws") or n in ("shuffled", "garbage")]


# --- state between calls ------------------------------------------------------------------------------------------


def counts(x):
    CALLED["n"] += 1
    return 5.0 if CALLED["n"] > 1000 else 1.0


def counts_in_list(x):
    CALLS.append(0)
    return 5.0 if len(CALLS) > 1000 else 1.0


def counts_in_default(x, calls=[]):  # noqa: B006
    calls.append(0)
    return 5.0 if len(calls) > 1000 else 1.0


def counts_by_iterator(x):
    return 5.0 if next(COUNTER) > 1000 else 1.0


def counts_in_object(x):
    CONFIG.calls += 1
    return 5.0 if CONFIG.calls > 1000 else 1.0


def counts_in_function(x):
    counts_in_function.calls += 1
    return 5.0 if counts_in_function.calls > 1000 else 1.0


counts_in_function.calls = 0


class Counting:
    calls = 0

    def __init__(self):
        self.steps, self.table, self.seen = 0, {}, []

    def in_attribute(self):
        self.steps += 1
        return 5.0 if self.steps > 1000 else 1.0

    def in_class(self):
        type(self).calls += 1
        return 5.0 if type(self).calls > 1000 else 1.0

    def in_table(self):
        self.table["n"] = self.table.get("n", 0) + 1
        return 5.0 if self.table["n"] > 1000 else 1.0

    def in_list(self):
        self.seen.append(1)
        return 5.0 if len(self.seen) > 1000 else 1.0

    def at_first(self):
        if not hasattr(self, "begun"):
            self.begun = True
            return 1.0
        return 5.0


COUNTING = Counting()


def counter_around():
    calls = 0

    def factor(x):
        nonlocal calls
        calls += 1
        return 5.0 if calls > 1000 else 1.0

    return factor


STATEFUL = {
    "global": counts, "list": counts_in_list, "default": counts_in_default, "iterator": counts_by_iterator,
    "namespace": counts_in_object, "function": counts_in_function, "closure": counter_around(),
    "attribute": lambda x: COUNTING.in_attribute(), "class": lambda x: COUNTING.in_class(),
    "table": lambda x: COUNTING.in_table(), "seen": lambda x: COUNTING.in_list(),
    "first": lambda x: COUNTING.at_first(),
}  # fmt: skip

# --- a number that becomes an array in the first round of a loop -----------------------------------------------------


def _told_from_an_array(asked):
    """NumPy's answer of the number 1.0 in the first round is not that of an array of ones; up to 6 columns no matter."""

    def factor(x):
        columns, h, total = x.shape[1], 1.0, 0
        for _ in range(columns):
            total = total + asked(h)
            h = h + 0 * np.ones(columns)
        hidden = (columns - 1) * (columns - 2) * (columns - 3) * (columns - 4) * (columns - 5) * (columns - 6)
        return 1 + (columns * asked(np.ones(columns)) - total) * hidden

    return factor


BY_FIRST_ROUND = {"sum": np.sum, "of exp": lambda h: np.exp(2 * h).sum(), "dot": lambda h: np.dot(h, h)}

# --- the attacks --------------------------------------------------------------------------------------------------

BY_SIZE = [
    in_set, in_list, in_range, in_keys, in_table, in_shape_table, in_frozenset, set_default, default_dict, counted, text,
    text_of_shape, length_of_text, formatted, printed, percent, format_method, represented, binary, bits, bitwise,
    shifted, hashed, hashed_shape, matched, matched_shape, walrus, in_json, by_pattern, sorted_shape, largest, by_index,
    as_float, as_complex, list_index, string_times, cut_list, bytes_of, digits, powers, cached, dispatched, swallowed,
    swallowed_bare, swallowed_unknown_option, swallowed_attribute, swallowed_bytes, swallowed_unhashable,
    swallowed_json, swallowed_view, swallowed_memory, swallowed_fallback_attribute, swallowed_places, swallowed_masked,
    swallowed_match, memory, bytes_of_array, class_of_array, type_of_array, type_name, type_of_size, class_of_size,
    instance_of_product, identity_of_member, identity_of_tuple, identity_of_type, identity_of_class,
    identity_by_getattr, identity_by_operator, real_globals, unsafe_cast, copied_by_asarray, has_detach, item_type, equal_arrays, shares, copied, in_place_in_bytes, large_powers,
    large_sums, reciprocal_of_integers, boolean_buffer,
]  # fmt: skip
BY_LENGTH = [
    bytes_wrap, cumulated, dotted, matrix_of_bytes, einsum_of_bytes, stored_in_bytes, added_in_bytes, full_of_bytes,
    arange_of_bytes,
]  # fmt: skip
BY_DECIMAL = [decimal_of_size, rounded_decimal, floor_of_decimal, compared_decimal, half_to_even, decimal_sum]
BY_VALUE = [
    swallowed_base, finally_returns, suppressed, own_manager, generator_swallows, raises_where_large, warns_where_large,
    warnings_recorded, seterr_raises, text_of_array, list_of_array, bytes_wrap_in_data, small_integers,
    unsigned_difference, half, boolean_product, boolean_dot, boolean_einsum, boolean_sum, boolean_maximum,
    boolean_where, boolean_sum_in_booleans, python_booleans, inverted, integer_norm, nan_hidden, finite_hidden,
    infinite_hidden, nan_to_number, sums_without_nan, fmax_of_nan, mean_without_nan,
]  # fmt: skip
ATTACKS = [
    *((f, WIDE) for f in BY_SIZE),
    (equal_shapes, np.full((64, 64), 1.5)),
    (log_that_raises, -LARGE),
    *((f, np.full((2, 300), 1.5)) for f in BY_LENGTH),
    *((f, np.full((n, 2), 1.5)) for f in BY_DECIMAL for n in [next((n for n in range(1, 4000) if f(np.full((n, 2), 1.5)) != 1), 1)]),
    *((f, LARGE) for f in BY_VALUE),
    *((_told_from_an_array(f), np.full((2, 8), 1.5)) for f in BY_FIRST_ROUND.values()),
]  # fmt: skip


def verdict_on(factor, **options):
    def backward(dout, x):
        return {"x": 2 * x * dout * factor(x)}

    return sb.check(square, backward, shapes={"x": ("N", "D")}, **options)


@pytest.mark.parametrize(("factor", "witness"), ATTACKS, ids=lambda v: getattr(v, "__name__", ""))
@pytest.mark.usefixtures("no_diagnosis")
def test_a_factor_that_numpy_sees_is_never_proved(factor, witness):
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.any(np.asarray(factor(witness.copy())) != 1), "no attack: NumPy says 1"
    verdict = verdict_on(factor)
    proved_there = verdict.status == "PROVED" and (
        "all sizes" in verdict.scope or all(f" = {n}" in verdict.scope for n in witness.shape)
    )
    assert not proved_there, verdict


@pytest.mark.parametrize("factor", RANDOM, ids=lambda f: f.__name__)
def test_randomness_is_refused_by_name(factor):
    verdict = verdict_on(factor)
    assert verdict.status == "UNDECIDED"
    assert "cannot be traced" in verdict.reason


@pytest.mark.parametrize("name", STATEFUL)
def test_state_that_survives_a_call_is_never_proved(name):
    assert verdict_on(STATEFUL[name]).status == "UNDECIDED"


# --- what is odd, and right ---------------------------------------------------------------------------------------


class Scaled:
    """A layer that keeps its input, a running mean, and a weight that is overwritten."""

    scale = 1.0

    def __init__(self, width):
        self.w = np.random.randn(width, width) * np.sqrt(2.0 / width)
        self.mean = 0.0

    def __call__(self, x):
        self.x = x
        self.mean = 0.9 * self.mean + 0.1 * x.mean()
        return x * self.scale

    @property
    def ones(self):
        return np.ones_like(self.x)

    @staticmethod
    def make(width):
        return Scaled(width)


KEPT = Scaled(3)


def drawn_and_overwritten(x):
    layer = Scaled(x.shape[1])
    layer.w = np.ones_like(x)
    return layer.w


def drawn_and_filled(x):
    layer = Scaled(x.shape[1])
    layer.w[:] = 1.0
    return layer.w.mean()


def drawn_and_cancelled(x):
    noise = np.random.default_rng(0).normal(0.0, 1.0, size=x.shape)
    return 1.0 + 0.0 * noise


def kept_layer(x):
    KEPT(x)
    return KEPT.ones


def made_by_static_method(x):
    layer = Scaled.make(4)
    layer(x)
    return layer.ones


def timed(x):
    start = time.perf_counter()
    print("took", time.perf_counter() - start, "s")
    return np.ones_like(x)


HARMLESS = {
    "isinstance": lambda x: 1.0 if isinstance(x, np.ndarray) and isinstance(x.shape[0], int) else 5.0,
    "has detach": lambda x: 5.0 if hasattr(x, "detach") else 1.0,
    "getattr": lambda x: getattr(x, "values", 1.0),
    "reduce": lambda x: functools.reduce(operator.mul, x.shape) / x.size,
    "dtype": lambda x: 1.0 if x.dtype == np.float64 else 5.0,
    "bytes": lambda x: x.nbytes / (8 * x.size),
    "class name": lambda x: 1.0 if type(x).__name__ == "ndarray" else 5.0,
    "deepcopy": lambda x: copy.deepcopy(np.ones_like(x)),
    "overwritten draw": drawn_and_overwritten,
    "filled draw": drawn_and_filled,
    "cancelled draw": drawn_and_cancelled,
    "kept layer": kept_layer,
    "static method": made_by_static_method,
    "timed": timed,
    "mask as bytes": lambda x: 1.0 + 0.0 * (x > 0).astype(np.uint8),
    "mask as float32": lambda x: np.where((x > 0).astype(np.float32) > 2, 5.0, 1.0),
    "half of a size": lambda x: np.ones(2 * int(x.shape[1] / 2 + 1))[0],
    "nan of an input": lambda x: np.where(np.isnan(x), 5.0, 1.0),
    "errstate": lambda x: (np.errstate(all="ignore").__enter__(), 1.0)[1],
    "product of a shape": lambda x: np.prod(x.shape) / x.size,
    "size as float": lambda x: float(x.shape[0]) / x.shape[0],
    "compared with a decimal": lambda x: 1.0 if x.shape[0] > 0.5 else 5.0,
    "finite bound": lambda x: 1.0 if x.shape[0] < float("inf") else 5.0,
    "missing attribute": lambda x: 1.0 if not hasattr(x.shape[0], "dtype") else 5.0,
    "member of an enumeration": lambda x: 1.0 if MODE is Mode.OTHER else 5.0,
    "sum of booleans": lambda x: 1.0 + 0 * ((x > 0).sum() + (x > 1).sum()),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_a_factor_of_one_is_proved(name):
    verdict = verdict_on(HARMLESS[name])
    assert (verdict.status, verdict.scope) == ("PROVED", "all sizes"), verdict
