"""The functions that a user calls, each the list of its stages: the place to start reading.

prove            derive the gradients, have the kernel replay each step, make them short
verify           read the formula, derive the truth, prove the two equal or find numbers at which they differ
check            trace forward and backward, compare with NumPy, refute or prove, say what is wrong
compile          prove, print, examine what was printed
trace            run the function on symbolic arrays, and by NumPy beside its equations
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import sympy as sp

from symbackprop.certificate.check_proof import Refused
from symbackprop.certificate.check_proof import check as check_certificate
from symbackprop.certificate.emit import ENDING, deep
from symbackprop.checking.budget import CHECK, VERIFY
from symbackprop.checking.check import Case, answer, as_intended, intention
from symbackprop.checking.check import complete as complete_verdict
from symbackprop.checking.generated_code import examined_code
from symbackprop.checking.jacobians import pulled_back
from symbackprop.checking.layers import FurtherPlace, layer_passes, malformed_layer, with_further_place
from symbackprop.checking.progress import Observer
from symbackprop.checking.trace_agreement import compared_with_numpy
from symbackprop.checking.user_run import run_again
from symbackprop.checking.verdict import Verdict
from symbackprop.checking.verify import judged_formula
from symbackprop.codegen.network import CompiledNetwork
from symbackprop.codegen.program import CompiledProgram
from symbackprop.errors import BudgetError, MalformedError, SymbackpropError, UnsupportedError, reports_all
from symbackprop.expression.nodes import collector_paused
from symbackprop.expression.program import Program
from symbackprop.frontends.nested import Shapes, flattened
from symbackprop.frontends.network import Network
from symbackprop.frontends.numpy import traced
from symbackprop.frontends.numpy.time_limit import OutOfTime, as_seconds, within
from symbackprop.frontends.numpy.tracer import name_of
from symbackprop.frontends.subject import (
    all_shapes,
    brings_its_backward,
    inputs_of,
    of_arguments,
    passes_of,
    traceable,
)
from symbackprop.precision.ranges import checked, dtype_of
from symbackprop.precision.safety import SEARCH, precision_of, precision_of_forward
from symbackprop.proofs.network import prove_network
from symbackprop.proofs.program import prove_program
from symbackprop.proofs.theorem import Proof

if TYPE_CHECKING:  # who does not print for torch does not wait for its printer
    from symbackprop.codegen.torch.function import TorchProgram


@reports_all
def prove(subject: Network | Program) -> Proof:
    """Derive the gradients and have the kernel replay every step.

    Args:
        subject: a network (all widths and batch sizes; all depths if its depth is a symbol) or a Program.

    Raises:
        UnsupportedError: a Program holds something without a derivative rule.
        ProofError: the kernel refused a step: a fault of this package.

    Example:
        >>> proof = prove(Network([3, 5, 4], activation="sigmoid", cost="cross_entropy"))
        >>> proof.status, "delta3[n,k] = (a3[n,k] - y[n,k])/m" in [t.text for t in proof.theorems]
        ('PROVED', True)
    """
    if not isinstance(subject, (Network, Program)):
        raise MalformedError(
            f"prove takes a Network or a traced Program, not {type(subject).__name__}",
            help="sb.prove(sb.Network([3, 5, 2])), or sb.prove(sb.trace(forward, shapes))",
        )
    return prove_network(subject) if isinstance(subject, Network) else prove_program(subject)


def verify(network: Network, left: str, right: str | sp.Expr | None = None, *, seconds: float = VERIFY) -> Verdict:
    """Is this formula the gradient?

    Args:
        left: "delta2[n,i]", "dJ/dW1[i,j]", "dJ/db1[i]", "dJ/da2[n,i]", "J"; or the whole equation, then without
            `right`.
        right: text in Python's expression syntax (parsed, never evaluated) or SymPy.
        seconds: time for a proof, and as much for a counterexample.

    Scale:
        delta is per batch: J holds the 1/m, so delta3[n,k] = (a3[n,k] - y[n,k])/m for a mean cost.

    Example:
        >>> net = Network([3, 5, 4], activation="sigmoid", cost="cross_entropy")
        >>> print(verify(net, "delta3[n,k]", "(a3[n,k] - y[n,k])/m"))
        PROVED  delta3[n,k]   (all sizes)
          claimed    (a3[n,k] - y[n,k])/m
    """
    start = time.perf_counter()
    verdict = judged_formula(network, left, right, seconds)
    return replace(verdict, seconds=time.perf_counter() - start)


def check(
    forward: Callable[..., Any],
    backward: Callable[..., Any] | None = None,
    *,
    shapes: Mapping[str, Shapes],
    assume: Mapping[str, str] | None = None,
    where: str | None = None,
    fixed: Mapping[str, Any] | None = None,
    intended: str | None = None,
    seconds: float = CHECK,
    complete: bool = False,
    methods: tuple[str, str] | None = None,
    jacobian: bool = False,
    observer: Observer | None = None,
    precision: bool = False,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    dtype: str = "float64",
) -> Verdict:
    """Is this backward pass the gradient of this forward pass?

    Args:
        forward: takes the inputs by name, returns an array, a tuple of arrays, a scalar, or (out, cache). Or what
            brings its backward along: a torch.autograd.Function class, a jax.custom_vjp function, or a layer, a class
            with a forward and a backward method, or an instance; its parameters are inputs by name, and the verdict
            says what was taken for what.
        backward: backward(dout, **inputs), backward(**inputs) for a scalar, or backward(dout, cache); returns {name:
            gradient}.
        shapes: input -> shape: {"x": ("N", "D"), "b": ("4*H",), "s": ()}.
        assume: input -> "labels:C", "label:C", "onehot:C", "simplex:C" (C: the axis along which entries
            add up to 1), "prob", "pos", "bern", "pm1", "symmetric" or "spd" (symmetric and positive definite).
        where: comparisons of sizes and keyword defaults; a comma means and: "H + 2*pad >= KH, C % G == 0".
        fixed: values of further arguments, by name: {"eps": 1e-6, "reduction": "mean"}; of a layer, those of its
            constructor and its methods: {"units": 3, "training": True}.
        intended: "surrogate" for a backward pass that is another one on purpose, as a straight-through estimator or a
            gradient reversal is: the verdict says so, and what it is instead.
        seconds: time budget; when it is spent the answer is UNDECIDED.
        complete: refuse a backward pass that returns no gradient of some input that `assume` does not call data.
        methods: of a layer, the names of its two methods, where they are not the usual ones.
        jacobian: `backward(**inputs)` takes no upstream gradient and returns derivatives, {input: Jacobian} or a list
            for the last arguments, as models for curve fitting do.
        observer: observer(stage, done, total) is called as the work goes on, from another thread: for a progress bar.
        precision: whether what is proved is searched for inputs at which floating point gives no number or loses its
            digits: `verdict.precision`. It takes a second, and a third of what the proof took.
        ranges: for that, between which numbers the entries of an input lie: {"x": (-100, 100)}; by default -1e4 to 1e4.
        dtype: for that, "float64" or "float32".

    Returns:
        a Verdict; no exception for anything that the two functions do.

    Example:
        >>> import numpy as np
        >>> def forward(x, w):
        ...     return x @ w
        >>> def backward(dout, x, w):
        ...     return {"x": dout @ w.T, "w": x.T @ dout}
        >>> print(check(forward, backward, shapes={"x": ("N", "D"), "w": ("D", "M")}))
        PROVED  gradients of forward: x, w   (all sizes)
    """
    start = time.perf_counter()
    told: tuple[str, ...] = ()
    others: tuple[FurtherPlace, ...] = ()
    try:
        given = all_shapes(forward, shapes)
        shapes, kinds = flattened(given), flattened(assume or {})
        wanted = intention(intended)
        number_type = dtype_of(dtype)
        stated = checked(ranges, list(shapes or ()), kinds, number_type)
        if backward is None and not jacobian and not brings_its_backward(forward):
            layer = layer_passes(forward, shapes, kinds, where, fixed or {}, methods)
            passes, told, others = (layer.forward, layer.backward), layer.told, layer.others
            given, shapes, kinds, where = layer.shapes, layer.shapes, layer.assume, layer.where
        else:
            pull = backward
            if jacobian:
                pull, note = pulled_back(forward, backward, shapes)
                told = (note,)
            passes = passes_of(forward, pull, given, kinds, fixed)
    except SymbackpropError as error:
        return malformed_layer(forward, error)
    inputs = inputs_of(forward, shapes, kinds)
    case = Case(*passes, inputs, kinds, where)
    verdict = answer(case, seconds, observer)
    for further in others:
        left = max(1.0, seconds - (time.perf_counter() - start))
        before, here = verdict, replace(case, backward=further.backward)
        verdict = with_further_place(before, further, answer(here, left, observer))
        if verdict.status == "REFUTED" != before.status:
            passes, case = (passes[0], further.backward), here
    if inputs is not shapes:
        verdict = replace(verdict, wrong=of_arguments(forward, verdict.wrong), unjudged=())
        told = ("the rule for tangents was asked along x + step_x*x_dot, of an x > 0 along x*exp(step_x*x_dot)",)
    verdict = complete_verdict(verdict) if complete else verdict
    verdict = as_intended(verdict) if wanted else verdict
    if precision:
        limit = SEARCH + (time.perf_counter() - start) / 3
        verdict = replace(verdict, precision=precision_of(verdict, case, stated, number_type, limit))
    written = backward if backward is not None or brings_its_backward(forward) else passes[1]
    notes = (*told, *verdict.notes)
    found = verdict.counterexample
    if found is not None:
        own = (forward, backward or passes[1]) if shapes == given else passes
        found = replace(found, passes=run_again(*own, fixed or {}))
    seconds_taken = time.perf_counter() - start
    return replace(verdict, seconds=seconds_taken, written=written, notes=notes, counterexample=found)


def assert_proved(
    forward: Callable[..., Any],
    backward: Callable[..., Any] | None = None,
    *,
    stated_sizes: bool = False,
    complete: bool = True,
    certificate: str | Path | None = None,
    **options: Any,
) -> None:
    """For test suites: pass if the backward is proved, else fail with the whole story.

    Args:
        stated_sizes: accept a proof for some stated sizes alone.
        complete: whether every gradient must be returned, as `check` says.
        certificate: a .sbp file to write the proof to, which `check_proof` must accept as it stands there.
        options: as `check` takes them.

    Raises:
        UnsupportedError: there is no certificate of this proof, or its file has another ending.
        AssertionError: the verdict is not PROVED, or for stated sizes alone; the message is the verdict.
    """
    if certificate is not None and Path(certificate).suffix != ENDING:
        raise UnsupportedError(f"certificate={str(certificate)!r} does not end in {ENDING}, which check_proof reads",
                               help='a file for Coq is written by check(...).save("proof.v")')  # fmt: skip
    verdict = check(forward, backward, complete=complete, **options)
    if not verdict:
        help = "\nhelp: if they are not wanted: assert_proved(..., complete=False)" if verdict.unjudged else ""
        raise AssertionError(f"\n{verdict}{help}")
    if not (stated_sizes or verdict.for_all_sizes):
        help = "a proof for stated sizes alone; to accept it: assert_proved(..., stated_sizes=True)"
        raise AssertionError(f"\n{verdict}\n{help}")
    if certificate is not None:
        text = verdict.save(certificate).read_text(encoding="ascii")
        try:
            with collector_paused():
                deep(lambda: check_certificate(text))
        except Refused as refusal:
            raise AssertionError(f"\n{verdict}\ncheck_proof refuses the certificate: {refusal}") from None


@overload
def compile(subject: Network, backend: str = "numpy", dtype: str = "float64") -> CompiledNetwork: ...


@overload
def compile(subject: Program, backend: Literal["torch"], dtype: str = "float64") -> TorchProgram: ...


@overload
def compile(subject: Program, backend: str = "numpy", dtype: str = "float64") -> CompiledProgram: ...


@reports_all
def compile(
    subject: Network | Program, backend: str = "numpy", dtype: str = "float64"
) -> CompiledNetwork | CompiledProgram:
    """Code for the cost and the gradients: proved, printed, and examined before it is handed out.

    Args:
        subject: a network; or a Program, whose function returns its cost (or takes `dout`) and x_bar for each real
            input x.
        backend: "numpy", "c", "jax" or "torch". A program for torch is a function of tensors with the derived
            backward pass (`TorchProgram`), for JAX its `function` is a `jax.custom_vjp`; a network's `functions` take
            the framework's arrays.
        dtype: "float64" or "float32"; code for torch takes tensors of any floating type, and is examined in this one.

    Scale:
        the cost is the mean or the sum over the examples, as the network says.

    Raises:
        UnsupportedError: an arbitrary activation, outputs that the cost cannot take, a network of symbolic depth,
            another backend or type, a framework that is not installed.
        MalformedError: not a network or program.
        ProofError: the kernel refused a step: a fault of this package.
        GeneratedCodeError: the code does not compute what was proved: a fault of this package.
    """
    if not isinstance(subject, (Network, Program)):
        raise MalformedError(
            f"compile takes a Network or a traced Program, not {type(subject).__name__}",
            help="sb.compile(sb.Network([3, 5, 2])), or sb.compile(sb.trace(forward, shapes))",
        )
    if not isinstance(backend, str) or not isinstance(dtype, str):
        raise MalformedError("backend and dtype are words", help='sb.compile(net, "c", "float32")')
    return examined_code(subject, backend, dtype)


@reports_all
def trace(
    function: Callable[..., Any],
    shapes: Mapping[str, Shapes],
    assume: Mapping[str, str] | None = None,
    where: str | None = None,
    sizes: Mapping[str, int] | None = None,
    *,
    seconds: float = 20.0,
    precision: bool = False,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    dtype: str = "float64",
) -> Program:
    """The program of a NumPy function, for all sizes; NumPy has run the function beside its equations.

    Args:
        function: takes the arrays of `shapes` by name; further arguments have defaults. A function for torch or JAX, or
        a torch.nn.Module, whose parameters are inputs by their dotted names.
        shapes: input -> shape, e.g. {"x": ("N", "D"), "b": ("4*H",), "s": ()}.
        assume: what is known about inputs: labels:C, onehot:C, simplex:C, prob, pos, bern, pm1,
            symmetric, spd.
        where: comparisons of sizes that hold.
        sizes: sizes to fix to numbers, e.g. {"T": 3}.
        seconds: for how long the function may be followed, and run by NumPy.
        precision: whether the function is searched for inputs at which floating point gives no number or loses its
            digits: `program.precision`, as `check` has it for backward passes. It takes a second or two.
        ranges: for that, between which numbers the entries of an input lie: {"x": (-100, 100)}; by default -1e4 to 1e4.
        dtype: for that, "float64" or "float32".

    Returns:
        Program whose outputs are what the function returns, an array or a tuple or dictionary of arrays.

    Raises:
        NeedsConcreteSizes: `.symbols` are the sizes that must be fixed.
        TraceError: the function does something that cannot be traced.
        TraceDiffersError: NumPy computes something else than the equations say.

    Example:
        >>> import numpy as np
        >>> program = trace(lambda x, w: np.tanh(x @ w), {"x": ("N", "D"), "w": ("D", "M")})
        >>> [e.tensor.name for e in program.equations]
        ['t', 'out']
    """
    start = time.perf_counter()
    given = all_shapes(function, shapes)
    subject = traceable(function, given)
    limit = as_seconds(seconds)
    plain, kinds, number_type = flattened(given), flattened(assume or {}), dtype_of(dtype)
    stated = checked(ranges, list(plain or ()), kinds, number_type)
    try:
        arguments = subject, plain, kinds, where, sizes
        read = within(1.1 * limit + 0.3, lambda: traced.trace(*arguments, seconds=limit))
        program = within(1.1 * limit + 0.3, lambda: compared_with_numpy(read, sizes or {}))
    except OutOfTime:
        raise BudgetError(f"{name_of(function)} ran for more than {limit:g} s") from None
    if not precision:
        return program
    case, searching = Case(subject, subject, plain, kinds, where), SEARCH + (time.perf_counter() - start) / 3
    found = precision_of_forward(program, case, sizes or {}, stated, number_type, searching)
    return replace(program, precision=found)


__all__ = ["assert_proved", "check", "compile", "prove", "trace", "verify"]
