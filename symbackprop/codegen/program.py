"""A Program as a function: lowered, printed, executed, called with keyword arrays.

Main name: `compile_program`. The plain form is right for every Program; where there are no loops, the `out=` form, with
buffers that are kept, runs in its place. C and JAX have plain forms of their own.
"""

from __future__ import annotations

import importlib
import linecache
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import numpy as np

from symbackprop.calculus.derivation import Gradient
from symbackprop.codegen.arguments import Array, Shapes, Signature
from symbackprop.codegen.lowering.extremum_bodies import with_named_bodies
from symbackprop.codegen.lowering.form import Form, Gather, OfMatrix, equation_text, soon
from symbackprop.codegen.lowering.logistic import with_one_exponential
from symbackprop.codegen.lowering.lower import lower
from symbackprop.codegen.lowering.marked import marked
from symbackprop.codegen.lowering.passes import Passes, passes
from symbackprop.codegen.lowering.rolled import rolled
from symbackprop.codegen.lowering.share import is_sum, share
from symbackprop.codegen.lowering.tidy import tidied
from symbackprop.codegen.lowering.windows import rows_last, windowed
from symbackprop.codegen.names import RESERVED
from symbackprop.codegen.numpy.buffered import print_kept
from symbackprop.codegen.numpy.helpers import header, helper_text
from symbackprop.codegen.numpy.line_breaks import wrapped
from symbackprop.codegen.numpy.plain import print_function
from symbackprop.codegen.runner import Kept, Run
from symbackprop.errors import UnsupportedError, nearest
from symbackprop.expression.build import ONE, Entry, Expr, Tensor, rewrite
from symbackprop.expression.program import Assumption, Equation, Program, symbols, unused
from symbackprop.frontends.numpy.session import axis_indices
from symbackprop.proofs.stable_logs import accurate, stabilise
from symbackprop.proofs.stable_masks import masked_slopes

DTYPES = ("float64", "float32")
FUNCTION = "compute"
KEPT = f"{FUNCTION}_for"  # makes a function for inputs of certain shapes
MODULE = "symbackprop_generated"  # what a printed module is called
_MODULES = count(1)


# Where each backend's `program_function` lives; what it needs (SciPy, ctypes, JAX) is imported when it is asked for.
BACKENDS = {
    "c": "symbackprop.codegen.c.program",
    "jax": "symbackprop.codegen.jax",
    "torch": "symbackprop.codegen.torch.plain",
}
COST_SCALE = 2.0  # the upstream gradient of a cost where code is run to be examined: it must come through, and is exact
# Those that differentiate by themselves take a function with its gradients as one of their own kind.
FRAMEWORKS = {"jax": "symbackprop.codegen.jax", "torch": "symbackprop.codegen.torch.function"}


@dataclass(frozen=True, repr=False)
class CompiledProgram:
    """A Program as code; calling it takes the inputs and the hyper-parameters by name.

    Attributes:
        source: the text of the module (or C file) that runs; a Python module imports numpy alone, or jax alone.
        function: the printed function of inputs and hyper-parameters in order; for JAX it is pure, so that `jax.jit`
            and `jax.vmap` apply to it.
        run: the same as it is called here, if it is another function.
        kept: the form that is made ready once for arrays of certain shapes, if there is one.
        quick: what takes arguments by name, and gives None where they are not like those of a call before.
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
    quick: Callable[[Mapping[str, Any]], dict[str, Array] | None] | None = None

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

    def outcome(self, given: Mapping[str, Any]) -> dict[str, Array]:
        """The outputs by name, whatever a call gives: what examines the code asks for these."""
        return CompiledProgram.__call__(self, **given)

    def __call__(self, /, **given: Any) -> dict[str, Array]:
        """The outputs by name, arrays of their own; a cost is an array of shape ().

        `out={"x_bar": array, ...}` names arrays into which outputs are written, where no input is called out.

        Raises:
            DataError: an array or hyper-parameter is missing, unknown or does not fit.
        """
        quick = self.quick
        if quick is not None:
            found = quick(given)
            if found is not None:
                return found
        if "out" in given and all(t.name != "out" for t in self.program.inputs):
            return self._into(given.pop("out"), given)
        shapes, arrays, numbers = self.signature.bind(given)
        kept = self.kept
        return self._computed(shapes, arrays, numbers, {}) if kept is None else kept(shapes, arrays, numbers, {})

    def _into(self, out: Any, given: Mapping[str, Any]) -> dict[str, Array]:
        """The same, with arrays for some outputs."""
        shapes, arrays, numbers = self.signature.bind(given)
        places = self.signature.places(out, self.program.outputs, arrays)
        found = self._computed(shapes, arrays, numbers, places)
        for name, place in places.items():
            if found[name] is not place:
                place[...] = found[name]
                found[name] = place
        return found

    def _computed(
        self, shapes: Shapes, arrays: list[Array], numbers: list[float], places: Mapping[str, Array]
    ) -> dict[str, Array]:
        if self.kept is not None:
            return self.kept(shapes, arrays, numbers, places)
        with np.errstate(all="ignore"):  # the branch of a Where that is not taken may overflow
            results = (self.run or self.function)(*arrays, *numbers)
        outputs = self.program.outputs
        pairs = [(outputs[0], results)] if len(outputs) == 1 else zip(outputs, results, strict=True)
        return {t.name: np.asarray(r, np.int64 if t.kind == "integer" else self.signature.dtype) for t, r in pairs}


@dataclass(frozen=True, repr=False)
class FrameworkProgram(CompiledProgram):
    """A Program with its gradients as a function that a framework differentiates by the derived backward pass.

    Attributes:
        passes: what became code.
        name: of the function.
    """

    passes: Passes = field(kw_only=True)
    name: str = field(kw_only=True)

    def __reduce__(self) -> tuple[Any, ...]:
        """A pickle holds the equations, without the user's function; the code is printed from them again."""
        equations = replace(self.program, function=None)
        return compile_passes, (self.name, self.passes, equations, self.backend, self.signature.dtype.name)

    def by_name(self, cost: Array, bars: Sequence[Array]) -> dict[str, Array]:
        """The cost, and the gradients of `passes.gradients` in order, under the names of the program's outputs."""
        first, *rest = self.program.outputs
        return {first.name: cost, **{t.name: bar for t, bar in zip(rest, bars, strict=True)}}


def compile_program(program: Program, *, backend: str = "numpy", dtype: str = "float64") -> CompiledProgram:
    """Code for any Program, in the plain form.

    Args:
        backend: "numpy", "c", "jax" or "torch".
        dtype: "float64" or "float32".

    Raises:
        UnsupportedError: an arbitrary function, another backend or type, a recurrence whose steps are no fixed number
            apart.
    """
    check_dtype(dtype)
    check_backend(backend)
    program = masked_slopes(accurate(with_named_bodies(program)))
    whole = rolled(program) if backend in ("numpy", "c") else program
    form = _lowered(whole)
    signature = signature_of(form, program, dtype)
    if backend != "numpy":
        make = printer(BACKENDS[backend]).program_function
        try:
            source, function, run = make(FUNCTION, form, signature)
            kept, quick = getattr(function, "run", None), getattr(function, "quick", None)
            return CompiledProgram(program, source, signature, function, backend, run, kept, quick)
        except UnsupportedError as error:
            warnings.warn(f"NumPy takes over: {error}", RuntimeWarning, stacklevel=5)
    source = _print_numpy(form, program, dtype)
    functions = load_module(source)
    kept = Kept(form.outputs, signature, functions[KEPT]) if KEPT in functions else None
    return CompiledProgram(program, source, signature, functions[FUNCTION], kept=kept)


def compile_gradient(gradient: Gradient, outputs: tuple[Tensor, ...], upstream: tuple[Tensor, ...], name: str, *,
                     backend: str = "numpy", dtype: str = "float64") -> CompiledProgram:  # fmt: skip
    """Code for a program's outputs and its gradients: for a framework that differentiates, a function of its own kind.

    Args:
        gradient: derived and replayed.
        outputs: what the traced function returns.
        upstream: the inputs that are upstream gradients.
        name: of the traced function.

    Raises:
        UnsupportedError: as `compile_program`; a framework that is not installed.
    """
    if backend not in FRAMEWORKS:
        return compile_program(gradient.adjoint, backend=backend, dtype=dtype)
    check_dtype(dtype)
    made = passes_of(gradient, outputs, upstream)
    name = name if name.isidentifier() and name not in RESERVED else FUNCTION
    return compile_passes(name, made, gradient.adjoint, backend, dtype)


def passes_of(gradient: Gradient, outputs: tuple[Tensor, ...], upstream: tuple[Tensor, ...]) -> Passes:
    """The two passes of a gradient, in the form that stays finite; arguments as of `compile_gradient`."""
    of = {bar: t for t, bar in gradient.cotangents.items()}
    wanted = {of[bar]: bar for bar in gradient.adjoint.outputs if bar in of}
    adjoint = _with_outputs(gradient.adjoint, outputs)
    named = with_named_bodies(replace(adjoint, outputs=(*outputs, *adjoint.outputs)))
    whole = masked_slopes(stabilise(named))
    return passes(whole, outputs, upstream, wanted)


def _with_outputs(adjoint: Program, outputs: tuple[Tensor, ...]) -> Program:
    """The equations with all outputs as the function returns them, which a proof shows without axes of length 1."""
    shown, taken = {t.name: t for t in adjoint.tensors}, {t.name for t in adjoint.tensors}
    equations = list(adjoint.equations)
    for output in outputs:
        thin = shown[output.name]
        if thin is output:
            continue
        other = Tensor(unused(f"{output.name}_thin", taken), thin.shape, thin.kind)
        taken.add(other.name)
        equations = [_renamed(e, thin, other) for e in equations]
        indices = axis_indices(output.shape)
        value = Entry(other, tuple(i for i in indices if i.size is not ONE))
        place = next(k for k, e in enumerate(equations) if e.tensor is other)
        equations.insert(place + 1, Equation(output, indices, value))
    return replace(adjoint, equations=tuple(equations))


def _renamed(equation: Equation, before: Tensor, after: Tensor) -> Equation:
    def meaning(node: Expr) -> Expr | None:
        return Entry(after, node.indices) if isinstance(node, Entry) and node.tensor is before else None

    tensor = after if equation.tensor is before else equation.tensor
    return replace(equation, tensor=tensor, value=rewrite(equation.value, meaning))


def compile_passes(name: str, made: Passes, program: Program, backend: str, dtype: str) -> CompiledProgram:
    """The two passes as a function of a framework's own kind.

    Args:
        program: the equations, with the cost and the gradients as outputs.
    """
    names = tuple(p.name for p in made.parameters)
    signature = Signature(program.inputs, names, np.dtype(dtype), program.assumptions)
    make = printer(FRAMEWORKS[backend]).passes_program
    found: CompiledProgram = make(name, made, program, signature)
    return found


def plain_source(program: Program) -> str:
    """The plain form as a reader is shown it, each equation in NumPy's own words.

    Raises:
        UnsupportedError: as `compile_program`.
    """
    return print_function(FUNCTION, _lowered(masked_slopes(stabilise(with_named_bodies(program)))), "np", set())


def _lowered(program: Program) -> Form:
    """The imperative form, with the equations as comments."""
    return lower(program, {e.tensor: equation_text(e.left, e.value) for e in program.equations})


def _print_numpy(form: Form, program: Program, dtype: str) -> str:
    """The text of the module: the plain form, and the one with buffers where it can be."""
    helpers: set[str] = set()
    bodies = [print_function(FUNCTION, marked(form, program.assumptions), "np", helpers)]
    if _can_have_buffers(form):
        labels = frozenset(a.tensor for a in program.assumptions if a.kind == "labels" and a.size is not None)
        whole = windowed(with_one_exponential(marked(form, program.assumptions)), rows_last)
        bodies.append(print_kept(KEPT, soon(tidied(share(whole, is_sum))), helpers, labels))
    head = header("Generated by symbackprop.", dtype, "np")
    return wrapped("\n\n".join([head, *(helper_text(h, "np") for h in sorted(helpers)), *bodies]))


def _can_have_buffers(form: Form) -> bool:
    """True without loops, if real numbers are all that is made, of sizes that inputs tell, and every output is made."""
    made = {s.target.tensor for s in form.statements}
    real = all(t.kind == "real" for t in made) and not any(isinstance(s, OfMatrix) for s in form.statements)
    told = made.isdisjoint(form.inputs) and not any(
        p in symbols(size) for p in form.parameters for t in made for size in t.shape
    )
    outputs = made.issuperset(form.outputs) and len(set(form.outputs)) == len(form.outputs)
    return real and told and not form.loops and outputs and any(t.shape for t in form.outputs)


def _compiled_again(program: Program, backend: str, dtype: str) -> CompiledProgram:
    """What a pickle says, as code."""
    return compile_program(program, backend=backend, dtype=dtype)


def printer(module: str) -> Any:
    """The module of a backend.

    Raises:
        UnsupportedError: the library that it imports is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        name = error.name or module
        help = f"pip install 'symbackprop[{name}]', or take the code for NumPy"
        raise UnsupportedError(f"this backend needs {name}, which is not installed", help=help) from error


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
    known = (*program.assumptions, *_looked_up(form, program.assumptions))
    return Signature(form.inputs, tuple(p.name for p in form.parameters), np.dtype(dtype), known)


def _looked_up(form: Form, assumptions: Sequence[Assumption]) -> list[Assumption]:
    """Where labels must lie since the code looks up what stands there, where something else is said of them."""
    said = {(a.tensor, a.size) for a in assumptions if a.kind == "labels"}
    labels, found = {tensor for tensor, _ in said}, dict[Assumption, None]()
    for statement in form.statements:
        if isinstance(statement, Gather) and not statement.guarded:
            for position, size in zip(statement.positions, statement.source.shape, strict=True):
                if isinstance(position, Entry) and position.tensor in labels and (position.tensor, size) not in said:
                    found[Assumption("labels", position.tensor, size)] = None
    return [*found]


def load_module(source: str, name: str = MODULE) -> dict[str, Any]:
    """Run the text of a module that our own printer wrote, and give its names; its lines can be read as a file's."""
    file = f"<generated by symbackprop {next(_MODULES)}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    namespace: dict[str, Any] = {"__name__": name}
    exec(compile(source, file, "exec"), namespace)
    return namespace
