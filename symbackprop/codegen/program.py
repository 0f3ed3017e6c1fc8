"""A Program as a function: lowered, printed, executed, called with keyword arrays.

Main name: `compile_program`. The plain form is right for every Program; where there are no loops, the `out=` form, with
buffers that are kept, runs in its place. C and JAX have plain forms of their own.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from symbackprop.codegen.arguments import Array, Signature
from symbackprop.codegen.lowering.form import Form, Join, OfMatrix, equation_text, soon
from symbackprop.codegen.lowering.lower import lower
from symbackprop.codegen.lowering.marked import marked
from symbackprop.codegen.lowering.tidy import tidied
from symbackprop.codegen.numpy.buffered import print_kept
from symbackprop.codegen.numpy.helpers import header, helper_text
from symbackprop.codegen.numpy.line_breaks import wrapped
from symbackprop.codegen.numpy.plain import print_function
from symbackprop.codegen.runner import Kept, Run
from symbackprop.errors import UnsupportedError, nearest
from symbackprop.expression.program import Program, symbols
from symbackprop.proofs.stable_logs import stabilise
from symbackprop.proofs.stable_masks import masked_slopes

DTYPES = ("float64", "float32")
FUNCTION = "compute"
KEPT = f"{FUNCTION}_for"  # makes a function for inputs of certain shapes


# Where each backend's `program_function` lives; what it needs (SciPy, ctypes, JAX) is imported when it is asked for.
BACKENDS = {"c": "symbackprop.codegen.c.program", "jax": "symbackprop.codegen.jax"}


@dataclass(frozen=True, repr=False)
class CompiledProgram:
    """A Program as code; calling it takes the inputs and the hyper-parameters by name.

    Attributes:
        source: the text of the module (or C file) that runs; a Python module imports numpy alone, or jax alone.
        function: the printed function of inputs and hyper-parameters in order; for JAX it is pure, so that `jax.jit`
            and `jax.vmap` apply to it.
        run: the same as it is called here, if it is another function.
        kept: the form that is made ready once for arrays of certain shapes, if there is one.
        backend: the one that runs: "numpy" where C was asked for and cannot be had.

    Shapes:
        each array as its tensor in the Program says.
    """

    program: Program
    source: str
    signature: Signature
    function: Callable[..., Any]
    backend: str = "numpy"
    run: Callable[..., Any] | None = None
    kept: Run | None = None

    def __repr__(self) -> str:
        names = ", ".join(t.name for t in self.program.inputs), ", ".join(t.name for t in self.program.outputs)
        kind = self.signature.dtype.name
        return f"CompiledProgram({names[0]} -> {names[1]}, backend={self.backend!r}, dtype={kind!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """A pickle holds the equations, without the user's function; the code is printed from them again."""
        equations = replace(self.program, function=None)
        return _compiled_again, (equations, self.backend, self.signature.dtype.name)

    def __copy__(self) -> CompiledProgram:
        """A function, so its copy is itself."""
        return self

    def __deepcopy__(self, memo: object) -> CompiledProgram:
        return self

    def __call__(self, /, **given: Any) -> dict[str, Array]:
        """The outputs by name, arrays of their own; a cost is an array of shape ().

        Raises:
            DataError: an array or hyper-parameter is missing, unknown or does not fit.
        """
        shapes, arrays, numbers = self.signature.bind(given)
        if self.kept is not None:
            return self.kept(shapes, arrays, numbers)
        with np.errstate(all="ignore"):  # the branch of a Where that is not taken may overflow
            results = (self.run or self.function)(*arrays, *numbers)
        outputs = self.program.outputs
        pairs = [(outputs[0], results)] if len(outputs) == 1 else zip(outputs, results, strict=True)
        return {t.name: np.asarray(r, np.int64 if t.kind == "integer" else self.signature.dtype) for t, r in pairs}


def compile_program(program: Program, *, backend: str = "numpy", dtype: str = "float64") -> CompiledProgram:
    """Code for any Program, in the plain form.

    Args:
        backend: "numpy", "c" or "jax".
        dtype: "float64" or "float32".

    Raises:
        UnsupportedError: an arbitrary function, another backend or type, a recurrence whose steps are no fixed number
            apart.
    """
    check_dtype(dtype)
    check_backend(backend)
    program = masked_slopes(stabilise(program))
    form = _lowered(program)
    signature = signature_of(form, program, dtype)
    if backend != "numpy":
        make = importlib.import_module(BACKENDS[backend]).program_function
        try:
            source, function, run = make(FUNCTION, form, signature)
            return CompiledProgram(program, source, signature, function, backend, run, getattr(function, "run", None))
        except UnsupportedError as error:
            warnings.warn(f"NumPy takes over: {error}", RuntimeWarning, stacklevel=5)
    source = _print_numpy(form, program, dtype)
    functions = load_module(source)
    kept = Kept(form.outputs, signature, functions[KEPT]) if KEPT in functions else None
    return CompiledProgram(program, source, signature, functions[FUNCTION], kept=kept)


def plain_source(program: Program) -> str:
    """The plain form as a reader is shown it, each equation in NumPy's own words.

    Raises:
        UnsupportedError: as `compile_program`.
    """
    return print_function(FUNCTION, _lowered(masked_slopes(stabilise(program))), "np", set())


def _lowered(program: Program) -> Form:
    """The imperative form, with the equations as comments."""
    return lower(program, {e.tensor: equation_text(e.left, e.value) for e in program.equations})


def _print_numpy(form: Form, program: Program, dtype: str) -> str:
    """The text of the module: the plain form, and the one with buffers where it can be."""
    helpers: set[str] = set()
    bodies = [print_function(FUNCTION, marked(form, program.assumptions), "np", helpers)]
    if _can_have_buffers(form):
        labels = frozenset(a.tensor for a in program.assumptions if a.kind == "labels" and a.size is not None)
        bodies.append(print_kept(KEPT, soon(tidied(marked(form, program.assumptions))), helpers, labels))
    head = header("Generated by symbackprop.", dtype, "np")
    return wrapped("\n\n".join([head, *(helper_text(h, "np") for h in sorted(helpers)), *bodies]))


def _can_have_buffers(form: Form) -> bool:
    """True without loops, if real numbers are all that is made, of sizes that inputs tell, and every output is made."""
    made = {s.target.tensor for s in form.statements}
    real = all(t.kind == "real" for t in made) and not any(isinstance(s, (Join, OfMatrix)) for s in form.statements)
    told = made.isdisjoint(form.inputs) and not any(
        p in symbols(size) for p in form.parameters for t in made for size in t.shape
    )
    outputs = made.issuperset(form.outputs) and len(set(form.outputs)) == len(form.outputs)
    return real and told and not form.loops and outputs and any(t.shape for t in form.outputs)


def _compiled_again(program: Program, backend: str, dtype: str) -> CompiledProgram:
    """What a pickle says, as code."""
    return compile_program(program, backend=backend, dtype=dtype)


def check_backend(backend: str) -> None:
    """Refuse a backend that there is not."""
    known = ("numpy", *BACKENDS)
    if backend not in known:
        near = nearest(backend, known)
        help = f"did you mean {near!r}?" if near else None
        raise UnsupportedError(f"unknown backend {backend!r}", evidence=[f"known: {', '.join(known)}"], help=help)


def check_dtype(dtype: str) -> None:
    """Refuse a type for which no code is made."""
    if dtype not in DTYPES:
        raise UnsupportedError(f"no code for dtype {dtype!r}", help="use float64 or float32")


def signature_of(form: Form, program: Program, dtype: str) -> Signature:
    """What the code of `form` takes."""
    return Signature(form.inputs, tuple(p.name for p in form.parameters), np.dtype(dtype), program.assumptions)


def load_module(source: str) -> dict[str, Any]:
    """Run the text of a module that our own printer wrote, and give its names."""
    namespace: dict[str, Any] = {"__name__": "symbackprop_generated"}
    exec(compile(source, "<generated by symbackprop>", "exec"), namespace)
    return namespace
