"""Calls of compiled kernels: what is ready for arrays of certain shapes, and the plain call as a function in C.

A plain call of few numbers takes less time than a few lines of Python, so all of it is C: a builtin function that looks
at its arguments, makes the arrays of the results, runs the kernel and names what it made. It is made of a few functions
of Python's stable binary interface and one of NumPy's, which the running process has; their addresses are handed over,
so no header is needed and nothing is linked. Where one of them is missing, or is not what it should be, there is no
such function, and arguments are looked at in Python alone. Main names: `plain_call`, `Ready`, `ready_for`, `Idle`.
"""

from __future__ import annotations

import ctypes
import struct
import sys
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from symbackprop.codegen.arguments import Array
from symbackprop.codegen.c.arrays import FIELDS, LINE, has_fields
from symbackprop.codegen.c.build import build
from symbackprop.codegen.results import Results, is_kept
from symbackprop.evaluation.numpy_table import NEW_ARRAY, SAME_KIND, SET_BASE, numpy_table

TEXT = """// Plain calls of compiled functions, by symbackprop.
#include <string.h>

typedef void object;
typedef union { void *p; long n; double v; } slot;

// What the running process has of Python and NumPy: some objects, then functions.
static struct {
    object *none, *dictionary, *number, *integer, *array;
    long (*size)(object *);
    object *(*item)(object *, object *), *(*copy)(object *);
    int (*set_item)(object *, object *, object *);
    double (*double_of_number)(object *), (*double_of_integer)(object *);
    object *(*number_new)(double), *(*tuple_item)(object *, long), *(*tuple_of)(long, ...);
    void *(*pointer)(object *);
    long (*list_size)(object *);
    object *(*list_item)(object *, long);
    int (*list_set)(object *, long, long, object *), (*list_append)(object *, object *);
    object *(*call)(object *);
    void (*hold)(object *), (*drop)(object *), (*forget_error)(void);
    object *(*error)(void);
    void *(*leave)(void), (*enter)(void *);
    unsigned char (*same_kind)(object *, object *);
    int (*set_base)(object *, object *);
    object *(*array_new)(object *, object *, int, const long *, const long *, void *, int, object *);
    object *(*function_new)(void *, object *, object *);
} python;

void use_python(void *const *addresses) { memcpy(&python, addresses, sizeof python); }

// A function: the first arrays come by themselves, the others and the numbers in dictionaries by names.
typedef struct {
    long first, inputs, numbers, outputs, cost;
    object *const *names, *const *kinds;  // names of the others, of numbers, of outputs; kinds of inputs and outputs
    object *form;  // a dictionary with the names of outputs: to copy it costs less than to let one grow
} function;

// A call for arrays of certain shapes. The first slots are those of inputs and outputs; `place` is that of the numbers.
typedef struct {
    double (*kernel)(const slot *);
    slot *slots;
    long place;
    const long *shapes;  // of inputs and outputs: how many axes, then their sizes
    const double *fixed;  // numbers that the call is for; NaN: any
    const unsigned long *bounds;  // below which all numbers of an input lie; 0: any
    object *const *makers, *const *rooms;  // of outputs: who keeps memory, and the list of it; NULL: new memory
} ready;

#define FIELD(type, o, place) (*(type *)((char *)(o) + place))

static int is_array(object *o, object *kind) {
    if (FIELD(object *, o, TYPE) != python.array) return 0;
    object *const own = FIELD(object *, o, KIND);
    return own == kind || python.same_kind(own, kind);  // what comes from a pickle has kinds of its own
}

static int fits(const function *f, const ready *r, object *const *given, const double *numbers) {
    const long *wanted = r->shapes;
    for (long k = 0; k < f->inputs; k++) {
        const long axes = FIELD(int, given[k], AXES), *sizes = FIELD(const long *, given[k], SIZES);
        if (axes != *wanted++ || (~FIELD(int, given[k], FLAGS) & WHOLE)) return 0;
        for (long d = 0; d < axes; d++) if (sizes[d] != *wanted++) return 0;
    }
    for (long k = 0; k < f->numbers; k++)
        if (r->fixed[k] == r->fixed[k] && r->fixed[k] != numbers[k]) return 0;
    return 1;
}

static int lies_inside(const function *f, const ready *r, object *const *given) {
    for (long k = 0; k < f->inputs; k++) {
        if (!r->bounds[k]) continue;
        const unsigned long *labels = FIELD(const unsigned long *, given[k], DATA);  // what is below 0 is very large
        unsigned long outside = 0;
        long count = 1;
        for (int d = 0; d < FIELD(int, given[k], AXES); d++) count *= FIELD(const long *, given[k], SIZES)[d];
        for (long i = 0; i < count; i++) outside |= labels[i] >= r->bounds[k];
        if (outside) return 0;
    }
    return 1;
}

// An array in a room of the list to which nothing else refers; NULL, maybe with an error, if there is none.
static object *again(object *rooms, object *kind, int axes, const long *sizes) {
    for (long k = 0; k < python.list_size(rooms); k++) {
        object *room = python.list_item(rooms, k);
        if (FIELD(int, room, COUNT) != 1) continue;
        char *start = FIELD(char *, room, DATA);
        start += -(unsigned long)start % LINE;
        python.hold(room);
        python.hold(kind);
        object *made = python.array_new(python.array, kind, axes, sizes, 0, start, WRITABLE, 0);
        if (!made) python.drop(room);
        else if (python.set_base(made, room)) {  // which takes over the room, whatever it says
            python.drop(made);
            made = 0;
        }
        return made;
    }
    return 0;
}

// New arrays; NULL with an error of Python's where there is no memory.
static int make(const function *f, const ready *r, object **made) {
    const long *shape = r->shapes;
    for (long k = 0; k < f->inputs; k++) shape += 1 + *shape;
    for (long k = 0; k < f->outputs; k++) {
        object *kind = f->kinds[f->inputs + k];
        if (r->makers[k]) {
            made[k] = again(r->rooms[k], kind, (int)*shape, shape + 1);
            if (!made[k] && !python.error()) made[k] = python.call(r->makers[k]);
        } else {
            python.hold(kind);  // which an array takes over
            made[k] = python.array_new(python.array, kind, (int)*shape, shape + 1, 0, 0, 0, 0);
        }
        if (!made[k]) {
            while (k--) python.drop(made[k]);
            return 0;
        }
        shape += 1 + *shape;
    }
    return 1;
}

// The kernel's cost; others may run meanwhile.
static double run(const function *f, const ready *r, object *const *given, object *const *made, const double *numbers) {
    for (long k = 0; k < f->inputs; k++) r->slots[k].p = FIELD(void *, given[k], DATA);
    for (long k = 0; k < f->outputs; k++) r->slots[f->inputs + k].p = FIELD(void *, made[k], DATA);
    for (long k = 0; k < f->numbers; k++) r->slots[r->place + k].v = numbers[k];
    void *const thread = python.leave();
    const double cost = r->kernel(r->slots);
    python.enter(thread);
    return cost;
}

// The outputs by name, behind the cost if there is one; the arrays belong to the dictionary afterwards.
static object *named(const function *f, object *const *made, double cost) {
    object *const *names = f->names + f->inputs - f->first + f->numbers;
    object *found = python.copy(f->form);
    for (long k = 0; k < f->outputs; k++) {
        if (found && python.set_item(found, names[k], made[k])) {
            python.drop(found);
            found = 0;
        }
        python.drop(made[k]);
    }
    if (!found || !f->cost) return found;
    object *number = python.number_new(cost), *both = number ? python.tuple_of(2, number, found) : 0;
    if (number) python.drop(number);
    python.drop(found);
    return both;
}

static object *nothing(void) {
    python.hold(python.none);
    return python.none;
}

// What is ready is taken out of the list while it is in use, so threads never share one.
static object *computed(const function *f, object *list, object *const *given, const double *numbers) {
    for (long k = python.list_size(list) - 1; k >= 0; k--) {
        object *item = python.list_item(list, k);
        const ready *r = python.pointer(python.tuple_item(item, 0));
        if (!fits(f, r, given, numbers)) continue;
        if (!lies_inside(f, r, given)) break;
        python.hold(item);
        object *made[f->outputs + 1], *found = 0;
        if (!python.list_set(list, k, k + 1, 0)) {
            if (make(f, r, made)) found = named(f, made, run(f, r, given, made, numbers));
            if (python.list_append(list, item) && found) python.forget_error();
        }
        python.drop(item);
        return found;
    }
    return nothing();
}

// A number that is a float or an int, and nothing like one.
static int read(object *o, double *number) {
    if (FIELD(object *, o, TYPE) == python.number) *number = python.double_of_number(o);
    else if (FIELD(object *, o, TYPE) == python.integer) {
        *number = python.double_of_integer(o);
        return *number != -1 || !python.error();
    } else return 0;
    return 1;
}

// Arguments: the dictionary of arrays, the first arrays, the dictionary of numbers; or one for all. None if anything is
// not as it was at a call before: nothing is done then.
static object *plain_call(object *self, object *const *arguments, long count) {
    const function *f = python.pointer(python.tuple_item(self, 0));
    const long named = f->inputs - f->first;
    if (count != 1 && count != f->first + 2) return nothing();
    object *arrays = arguments[0], *others = arguments[count - 1], *given[f->inputs + 1], *found = 0;
    double numbers[f->numbers + 1];
    if (FIELD(object *, arrays, TYPE) != python.dictionary) return nothing();
    if (python.size(arrays) != named + (arrays == others ? f->numbers : 0)) return nothing();
    if (arrays != others && python.size(others) != f->numbers) return nothing();
    long held = 0, suit = 1;
    for (; suit && held < f->inputs; held++) {
        object *o = held < f->first ? arguments[1 + held] : python.item(arrays, f->names[held - f->first]);
        if (!o) break;
        python.hold(given[held] = o);
        suit = is_array(o, f->kinds[held]);
    }
    suit = suit && held == f->inputs;
    for (long k = 0; suit && k < f->numbers; k++) {
        object *o = python.item(others, f->names[named + k]);
        suit = o && read(o, numbers + k);
    }
    if (suit) found = computed(f, python.tuple_item(self, 1), given, numbers);
    else {
        python.forget_error();
        found = nothing();
    }
    while (held--) python.drop(given[held]);
    return found;
}

object *plain_call_of(object *self) {
    typedef object *with_arguments(object *, object *const *, long);
    static struct { const char *name; with_arguments *function; int flags; const char *doc; } method = {
        "plain_call", plain_call, FASTCALL, "The results, or None where the arguments are not like those before."};
    return python.function_new(&method, self, 0);
}
"""

# What C takes of the process, in its order; before the last, which makes functions, come three of NumPy's.
OBJECTS = (None, dict, float, int, np.ndarray)
FUNCTIONS = (
    "PyDict_Size",
    "PyDict_GetItemWithError",
    "PyDict_Copy",
    "PyDict_SetItem",
    "PyFloat_AsDouble",
    "PyLong_AsDouble",
    "PyFloat_FromDouble",
    "PyTuple_GetItem",
    "PyTuple_Pack",
    "PyLong_AsVoidPtr",
    "PyList_Size",
    "PyList_GetItem",
    "PyList_SetSlice",
    "PyList_Append",
    "PyObject_CallNoArgs",
    "Py_IncRef",
    "Py_DecRef",
    "PyErr_Clear",
    "PyErr_Occurred",
    "PyEval_SaveThread",
    "PyEval_RestoreThread",
    "PyCFunction_NewEx",
)
FASTCALL = 0x80  # a function that takes its arguments one after the other in memory


class _Held(ctypes.Structure):
    """What `on_held` is told: a kernel, its slots, and where it is said what goes into them."""

    _fields_ = (
        ("kernel", ctypes.c_void_p), ("slots", ctypes.c_void_p), ("held", ctypes.c_void_p),
        ("arrays", ctypes.c_long), ("place", ctypes.c_long), ("numbers", ctypes.c_long),
    )  # fmt: skip


class _Function(ctypes.Structure):
    """What a plain call is told once."""

    _fields_ = (
        ("first", ctypes.c_long), ("inputs", ctypes.c_long), ("numbers", ctypes.c_long), ("outputs", ctypes.c_long),
        ("cost", ctypes.c_long), ("names", ctypes.c_void_p), ("kinds", ctypes.c_void_p),
        ("form", ctypes.c_void_p),
    )  # fmt: skip


class _Ready(ctypes.Structure):
    """What it is told of arrays of certain shapes."""

    _fields_ = (
        ("kernel", ctypes.c_void_p), ("slots", ctypes.c_void_p), ("place", ctypes.c_long), ("shapes", ctypes.c_void_p),
        ("fixed", ctypes.c_void_p), ("bounds", ctypes.c_void_p), ("makers", ctypes.c_void_p),
        ("rooms", ctypes.c_void_p),
    )  # fmt: skip


class Ready(NamedTuple):
    """A call for arrays of certain shapes, but for where they are and for its numbers.

    Args:
        address: where C reads of it.
        key: what it is for.
        pack: takes `held`, 0, `WHERE` of the arrays, and the numbers; then `call` runs the kernel.
        results: new arrays for what it makes.
        kept: what must live as long.
    """

    address: int
    key: Any
    held: bytearray
    pack: Callable[..., None]
    call: Callable[[], float]
    results: Results
    kept: Any


class Idle(list[Ready]):
    """What is ready and not in use, the last used at the end.

    It is taken out while it is in use, so threads never share one.
    """

    def __init__(self, most: int) -> None:
        self.most = most

    def taken(self, key: Any) -> Ready | None:
        """What is ready for this, and in no other call's hands."""
        for ready in self[::-1]:
            if ready.key == key:
                try:
                    self.remove(ready)
                except ValueError:  # another thread has it
                    continue
                return ready
        return None

    def keep(self, ready: Ready) -> None:
        """Let others have it."""
        self.append(ready)
        del self[: -self.most]


def kernel_of(library: ctypes.CDLL, name: str) -> tuple[int, Any]:
    """What `ready_for` is told of a kernel: its address, and what calls it."""
    library.on_held.restype, library.on_held.argtypes = ctypes.c_double, [ctypes.c_void_p]
    address = ctypes.cast(getattr(library, name), ctypes.c_void_p).value
    assert address is not None, "a kernel has an address"
    return address, library.on_held


def ready_for(
    key: Any, kernel: tuple[int, Any], where: tuple[int, int], inputs: Sequence[Array],
    outputs: Sequence[tuple[str, tuple[int, ...], np.dtype[Any]]], fixed: Sequence[float], bounds: Sequence[int],
    kept: Any,
) -> Ready:  # fmt: skip
    """A call for arrays like these.

    Args:
        kernel: as of `kernel_of`.
        where: the address of the slots, which begin with those of inputs and outputs, and which is that of the first
            number.
        outputs: name, shape and type of each.
        fixed: of each number what it must be, NaN if anything.
        bounds: of each input below what its entries lie, 0 if anywhere.
        kept: what must live as long as the slots are used.
    """
    (address, on_held), (slots, place) = kernel, where
    arrays = len(inputs) + len(outputs)
    held = bytearray(8 * (arrays + len(fixed)))
    view = (ctypes.c_char * len(held)).from_buffer(held)
    told = _Held(address, slots, ctypes.addressof(view), arrays, place, len(fixed))
    results = Results(outputs)
    shapes = [a.shape for a in inputs] + [shape for _, shape, _ in outputs]
    makers = [
        id(new) if is_kept(shape, dtype) else None
        for (_, shape, dtype), (_, new) in zip(outputs, results.places, strict=True)
    ]
    parts = (
        (ctypes.c_long * sum(1 + len(s) for s in shapes))(*[n for s in shapes for n in (len(s), *s)]),
        (ctypes.c_double * len(fixed))(*fixed),
        (ctypes.c_ulong * len(inputs))(*bounds),
        (ctypes.c_void_p * len(outputs))(*makers),
        (ctypes.c_void_p * len(outputs))(*[None if rooms is None else id(rooms) for rooms in results.rooms]),
    )
    asked = _Ready(address, slots, place, *(ctypes.addressof(part) for part in parts))
    pack = struct.Struct(f"={arrays}q{len(fixed)}d").pack_into
    call = partial(on_held, ctypes.addressof(told))
    return Ready(ctypes.addressof(asked), key, held, pack, call, results, (view, told, parts, asked, kept))


def plain_call(
    idle: Idle, first: Sequence[np.dtype[Any]], inputs: Sequence[tuple[str, np.dtype[Any]]], numbers: Sequence[str],
    outputs: Sequence[tuple[str, np.dtype[Any]]], *, cost: bool,
) -> Callable[..., Any] | None:  # fmt: skip
    """A function of arguments at which nobody has looked: of the dictionary of arrays, the first arrays, which have no
    names, and the dictionary of numbers; or of one dictionary for all.

    It returns the outputs by name, behind the cost if it has one. It returns None, and has done nothing, if the
    arguments are not like those for which something is idle. The function itself is None where there is no such thing.
    """
    found = _addresses()
    if found is None:
        return None
    places = FIELDS | {"FASTCALL": FASTCALL, "LINE": LINE}
    library = build("".join(f"#define {name} {place}\n" for name, place in places.items()) + TEXT)
    library.use_python.restype, library.use_python.argtypes = None, [ctypes.c_void_p]
    library.use_python((ctypes.c_void_p * len(found))(*found))
    names = [sys.intern(n) for n in (*(n for n, _ in inputs), *numbers, *(n for n, _ in outputs))]
    kinds = [*first, *(kind for _, kind in (*inputs, *outputs))]
    listed = [(ctypes.c_void_p * len(of))(*[id(o) for o in of]) for of in (names, kinds)]
    counts = len(first), len(first) + len(inputs), len(numbers), len(outputs), cost
    form = dict.fromkeys(names[len(inputs) + len(numbers) :])
    told = _Function(*counts, *(ctypes.addressof(part) for part in listed), id(form))
    make = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(("plain_call_of", library))
    made: Callable[..., Any] = make((ctypes.addressof(told), idle, told, listed, names, kinds, form))
    return made


@cache
def _addresses() -> list[int | None] | None:
    """The addresses of what C takes of the process; None if something is not there, or threads need no lock."""
    locked = getattr(sys, "_is_gil_enabled", lambda: True)()
    if sys.implementation.name != "cpython" or not locked or not has_fields():
        return None
    try:
        *functions, last = (ctypes.cast(getattr(ctypes.pythonapi, n), ctypes.c_void_p).value for n in FUNCTIONS)
        table = numpy_table()
    except (AttributeError, ImportError):
        return None
    return (
        None
        if table is None
        else [*map(id, OBJECTS), *functions, table[SAME_KIND], table[SET_BASE], table[NEW_ARRAY], last]
    )
