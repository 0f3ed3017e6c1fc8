"""What runs is what was proved: generated code beside the equations that it comes from, before anybody gets it.

Each form of the code (plain, with buffers, in blocks, bound, unrolled, a step, an epoch) runs at small points. Its cost
must be that of the textbook equations, its gradient that of dual numbers through the same equations, which know of no
derived gradient, and the difference quotient of its own cost. A difference is a fault of this package, and an error: no
function is handed out.

Scale: as the network's cost says, mean or sum.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symbackprop.calculus.derivation import Gradient
from symbackprop.checking.question import Examination, Examiner, Question
from symbackprop.checking.sample_points import Sampler
from symbackprop.checking.user_run import arguments, quietly
from symbackprop.codegen.network import CompiledNetwork, compile_network
from symbackprop.codegen.program import CompiledProgram, compile_gradient
from symbackprop.codegen.variants import Outcome, Variant, flattened, numpy_variants, predictions, runner_variants
from symbackprop.errors import GeneratedCodeError, UnsupportedError
from symbackprop.evaluation.arrays import Vectors
from symbackprop.evaluation.compile import OutOfRangeError
from symbackprop.evaluation.exact import Evaluator, array_of
from symbackprop.evaluation.number_types import FLOAT, Dual, TooCloseError, Value, dual
from symbackprop.evaluation.point import Point
from symbackprop.expression.build import Symbol, SymmetricTensor, Tensor
from symbackprop.expression.functions import ACTIVATIONS
from symbackprop.expression.program import Program
from symbackprop.frontends.network import M, Network
from symbackprop.proofs.network import prove_network
from symbackprop.proofs.program import proved_gradient

Array = NDArray[Any]
ROWS = 3
SCALES = (0.6, 1.0, 0.25, 2.0, 0.05, 4.0)
TRIES = 4  # points for each scale
LARGEST = 1e6  # of J and its slopes: beyond, single precision has little to say
TOLERANCE = {"float64": 1e-8, "float32": 5e-3}
STEP = {"float64": 1e-5, "float32": 1e-2}
QUOTIENT = 0.05  # a difference quotient tells a wrong gradient from a right one, not its last digits
MOST_PARAMETERS = 50_000  # of an epoch that is run in NumPy: each step of it is examined by itself
MOST_ENTRIES = 3_000  # of a traced program at a point
LOOSE = 1e-3  # the user's own function may work in single precision


@dataclass(frozen=True)
class Truth:
    """A point, and what the textbook equations give there.

    Args:
        arrays: x, y and the parameters.
        numbers: the hyper-parameters.
        cost: J.
        directions: for each parameter an array with a last axis of length 2: two directions in which all of them move.
        slopes: the derivatives of J along them.
        prediction: the activations of the last layer.
    """

    arrays: list[Array]
    numbers: list[float]
    cost: float
    directions: list[Array]
    slopes: Array
    prediction: Array


@lru_cache(maxsize=64)
def examined_code(subject: Network | Program, backend: str, dtype: str) -> CompiledNetwork | CompiledProgram:
    """The proved equations as code that has been examined; the same question has the same answer.

    Raises:
        UnsupportedError, ProofError, GeneratedCodeError: as `api.compile` says.
    """
    if isinstance(subject, Network):
        if subject.depth is not None:
            raise UnsupportedError(
                "a network of any depth cannot be compiled", help="list its layers: Network([64, 30, 10])"
            )
        _check_outputs(subject)
        proof = prove_network(subject)
        assert proof.gradient is not None, "a network with layers has a gradient"
        adjoint = proof.gradient.adjoint
        network = compile_network(adjoint, subject.prediction, subject.widths, backend=backend, dtype=dtype)
        examine_network(network, subject)
        return network
    proved = proved_gradient(subject).short  # what its document shows: fewer passes over the arrays than reverse mode's
    program = compile_gradient(
        proved.gradient, subject.outputs, proved.upstream, subject.name, backend=backend, dtype=dtype
    )
    examine_program(program, proved.gradient, subject, proved.upstream)
    return program


def _check_outputs(network: Network) -> None:
    """Cross-entropy takes logarithms: an output of 0, or below, would make every cost infinite or no number."""
    function = network.layers[-1].function
    if network.cost_name != "cross_entropy" or function is None:
        return
    if function.name in ACTIVATIONS and function.name != "sigmoid":
        name = function.name
        raise UnsupportedError(
            f"cross-entropy needs outputs between 0 and 1, but those of {name} are not",
            help=f'let the last layer be sigmoid: --activation {name},sigmoid, or activation=["{name}", "sigmoid"]; '
            "or take the squared error",
        )


def examine_network(code: CompiledNetwork, network: Network) -> None:
    """Run every form of a network's code.

    Raises:
        GeneratedCodeError: a form does not compute the cost or its gradient.
        UnsupportedError: no point was found at which the cost is finite.
    """
    dtype = code.layout.dtype
    own = "cost_and_gradient_unrolled" in code.numpy  # written for the network's widths; the other forms take any
    truth = truth_of(network, own)
    arrays = [a.astype(dtype) for a in truth.arrays]
    case = _Case(repr(network), dtype.name, code.layout.names)
    with np.errstate(all="ignore"):
        first, *others = numpy_variants(code.numpy, dtype)
        outcome = first.run(arrays, truth.numbers)
        case.against_truth(first.name, outcome, truth)
        case.against_quotient(first, outcome, arrays, truth)
        for variant in others:
            rounding = _of_a_step(arrays[2:]) if variant.name == "cost_and_step" else 0.0
            case.alike(variant.name, variant.run(arrays, truth.numbers), outcome, rounding)
        for form, predicted in predictions(code.numpy, arrays, truth.prediction.shape):
            case.close(form, "the prediction", predicted, truth.prediction, 1.0)
        _examine_backend(code, case, first, network)


def _of_a_step(parameters: Sequence[Array]) -> float:
    """How far a gradient may be off that is seen as the difference of parameters before and after a step."""
    return max(8 * float(np.finfo(p.dtype).eps * np.max(np.abs(p), initial=0.0)) for p in parameters)


def _examine_backend(code: CompiledNetwork, case: _Case, plain: Variant, network: Network) -> None:
    """What is made for the network's own widths: kernels of another backend, and an epoch."""
    sizes = _sizes(network, own=True)
    length = sum(math.prod(_shape(t, sizes)) for t in network.parameters)
    runs_epoch = None not in code.layout.shapes and (code.backend == "c" or length <= MOST_PARAMETERS)
    if code.backend == "numpy" and not runs_epoch:
        return
    arrays, numbers = _moderate(network, sizes, code.layout.dtype)
    outcome = plain.run(arrays, numbers)
    if code.backend != "numpy":
        for variant in runner_variants(code.runners):
            case.alike(f"{variant.name} ({code.backend})", variant.run(arrays, numbers), outcome)
    if runs_epoch:
        _examine_epoch(code, case, plain, arrays, numbers)


def _examine_epoch(
    code: CompiledNetwork, case: _Case, plain: Variant, arrays: Sequence[Array], numbers: Sequence[float]
) -> None:
    """An epoch of two batches is two steps down the gradient."""
    x, y, *parameters = arrays
    order, batch, rate = np.array([2, 0, 1]), 2, 0.125
    theta, _ = flattened(parameters, code.layout.dtype)
    hyper = dict(zip(code.layout.hyper, numbers, strict=True))
    mean = code.epoch(theta, x, y, order=order, batch=batch, rate=rate, **hyper)
    total, inside = 0.0, [p.copy() for p in parameters]
    for rows in (order[:2], order[2:]):
        cost, gradient = plain.run([x[rows], y[rows], *inside], numbers)
        assert cost is not None and gradient is not None, "the plain form computes both"
        total += cost * len(rows)
        inside = [p - np.asarray(rate, p.dtype) * g for p, g in zip(inside, gradient, strict=True)]
    expected, _ = flattened(inside, code.layout.dtype)
    case.close("epoch", "the mean cost", mean, total / len(x), abs(total / len(x)))
    case.close("epoch", "the parameters", theta, expected, float(np.max(np.abs(expected))))


@dataclass(frozen=True)
class _Case:
    """What is compared with what is expected, and said where they differ."""

    subject: str
    kind: str
    names: Sequence[str]

    def close(self, form: str, what: str, found: Any, expected: Any, scale: float) -> None:
        """Raise unless the two are equal up to rounding, relative to `scale`."""
        one, other = np.asarray(found, float), np.asarray(expected, float)
        gap = np.max(np.abs(one - other), initial=0.0, where=~(np.isnan(one) & np.isnan(other)))
        if gap <= TOLERANCE[self.kind] * max(scale, 1e-30):
            return
        raise GeneratedCodeError(
            f"internal error: the generated code is not what was proved: {what}",
            evidence=[
                f"of:        {self.subject}",
                f"form:      {form}, {self.kind}",
                f"computed:  {np.array2string(np.asarray(found), threshold=8)}",
                f"expected:  {np.array2string(np.asarray(expected), threshold=8)}",
            ],
            help="no function is handed out; please report this case",
        )

    def against_truth(self, form: str, outcome: Outcome, truth: Truth) -> None:
        """The cost, and the gradient along two directions."""
        cost, gradients = outcome
        assert cost is not None and gradients is not None, "the plain form computes both"
        self.close(form, "the cost", cost, truth.cost, abs(truth.cost))
        parts = [np.tensordot(g, d, g.ndim) for g, d in zip(gradients, truth.directions, strict=True)]
        scale = sum(float(np.sum(np.abs(g[..., None] * d))) for g, d in zip(gradients, truth.directions, strict=True))
        self.close(form, "the gradient along two directions", np.sum(parts, axis=0), truth.slopes, scale)

    def against_quotient(self, plain: Variant, outcome: Outcome, arrays: Sequence[Array], truth: Truth) -> None:
        """The gradient along a direction is the difference quotient of the code's own cost."""
        _, gradients = outcome
        assert gradients is not None, "the plain form computes both"
        step = STEP[self.kind]
        quotients, slopes = [], []
        for k in range(2):
            way = [d[..., k].astype(a.dtype) for d, a in zip(truth.directions, arrays[2:], strict=True)]
            length = np.sqrt(sum(float(np.sum(w * w)) for w in way))
            costs = []
            for sign in (1, -1):
                moved = [
                    a + w * np.asarray(sign * step / length, a.dtype) for a, w in zip(arrays[2:], way, strict=True)
                ]
                cost, _ = plain.run([*arrays[:2], *moved], truth.numbers)
                assert cost is not None, "the plain form computes both"
                costs.append(cost)
            quotients.append((costs[0] - costs[1]) / (2 * step))
            slopes.append(sum(float(np.sum(g * w)) for g, w in zip(gradients, way, strict=True)) / length)
        norm = np.sqrt(sum(float(np.sum(np.square(g, dtype=float))) for g in gradients))
        rounding = abs(truth.cost) * np.finfo(self.kind).eps / step
        # near a kink one quotient may mix two slopes: two directions that both differ are no accident
        if all(abs(q - s) > QUOTIENT * norm + 10 * rounding for q, s in zip(quotients, slopes, strict=True)):
            self.close(plain.name, "the gradient beside the difference quotient of the cost", slopes, quotients, 0.0)

    def alike(self, form: str, outcome: Outcome, expected: Outcome, rounding: float = 0.0) -> None:
        """Another form computes the same; `rounding` is what its gradients may be off whatever their size."""
        cost, gradients = outcome
        whole, parts = expected
        assert whole is not None and parts is not None, "the plain form computes both"
        if cost is not None:
            self.close(form, "the cost", cost, whole, abs(whole))
        largest = max(float(np.max(np.abs(p), initial=0.0)) for p in parts)
        allowed = rounding / TOLERANCE[self.kind]
        for name, found, part in zip(self.names, gradients or (), parts, strict=False):
            self.close(
                form, f"the gradient of {name}", found, part, max(largest * 1e-3, float(np.max(np.abs(part)))) + allowed
            )


# Traced programs.


def examine_program(code: CompiledProgram, gradient: Gradient, subject: Program, upstream: tuple[Tensor, ...]) -> None:
    """Run a traced program's code at a few small sizes, beside its equations and the user's own function.

    Args:
        gradient: from the equations with a cost to the adjoint that became code.
        subject: the program as it was traced.
        upstream: the upstream gradients that the cost is made with.

    Raises:
        GeneratedCodeError: the code computes something else.
        UnsupportedError: no point was found at which everything is finite.
    """
    pairs = {t.name: (t, bar) for t, bar in gradient.cotangents.items() if bar in gradient.adjoint.outputs}
    question = Question(gradient.program, gradient.adjoint, pairs)
    sampler = Sampler(question, random.Random(11))
    examiner = Examiner(question, FLOAT)
    case = _Case(subject.name or "a program", code.signature.dtype.name, ())
    choices = sampler.size_choices()
    small = [s for s in choices if sampler.entries(s) <= MOST_ENTRIES] or choices[:1]
    examined = 0
    for sizes in small[:3]:
        found = _finite(sampler, examiner, sizes, subject)
        if found is not None:
            examined += 1
            with np.errstate(all="ignore"):
                _examine_at(code, case, found, pairs, subject, upstream)
    if not examined:
        raise UnsupportedError(
            "the generated code could not be examined: no point was found at which everything is finite",
            help="say what is known of the inputs: assume={...}, where=...",
        )


def _finite(sampler: Sampler, examiner: Examiner, sizes: dict[Symbol, int], subject: Program) -> Examination | None:
    """The equations and their true slopes at the first point at which all of them are moderate numbers, and the
    program has a value: the slopes of log(0) are nothing to compare with."""
    for scale in SCALES:
        for _ in range(TRIES):
            try:
                found = examiner.examine(sampler.point(sizes, scale=scale))
            except (TooCloseError, OutOfRangeError, ZeroDivisionError, OverflowError):
                continue
            values = [float(v) for a in found.correct.values() for v in a.values()]
            if np.all(np.abs(values) < LARGEST) and _has_values(subject, found.point):
                return found
    return None


def _has_values(subject: Program, point: Point) -> bool:
    """Whether all outputs of the program are finite."""
    vectors = Vectors(point, beyond=0.0)
    with np.errstate(all="ignore"):
        vectors.run(subject.equations)
    return all(np.isfinite(vectors.arrays[t]).all() for t in subject.outputs if t in vectors.arrays)


def _examine_at(
    code: CompiledProgram,
    case: _Case,
    found: Examination,
    pairs: Mapping[str, tuple[Tensor, Tensor]],
    subject: Program,
    upstream: tuple[Tensor, ...],
) -> None:
    point = found.point
    known = {s.name: v for s, v in {**point.sizes, **point.parameters}.items()}
    hyper = {name: known[name] for name in code.signature.parameters}
    given = {t.name: point.inputs[t] for t in code.signature.inputs} | hyper
    results = code.outcome(given)
    if code.backend == "numpy" and code.kept is not None:  # both forms are handed out
        for name, plain in replace(code, kept=None).outcome(given).items():
            case.close("plain", f"the output {name}", plain, results[name], 1.0 + float(np.max(np.abs(plain))))
    for name, (tensor, bar) in pairs.items():
        places = list(found.correct[name])  # of a large tensor an even selection
        expected = np.array([float(found.correct[name][p]) for p in places])
        gradient = results[bar.name]
        if isinstance(tensor, SymmetricTensor):  # its symmetric part alone says how the cost moves
            gradient = (gradient + gradient.swapaxes(-1, -2)) / 2
        own = np.array([gradient[p] for p in places])
        case.close(code.backend, f"the gradient of {name}", own, expected, 1.0 + float(np.max(np.abs(expected))))
    cost = _cost_by_function(subject, point, upstream)
    if cost is not None:
        value, scale = cost
        own = results[code.program.outputs[0].name]
        if abs(float(own) - value) > LOOSE * scale:
            case.close(code.backend, "the cost, beside the function itself", own, value, 0.0)


def _cost_by_function(subject: Program, point: Point, upstream: tuple[Tensor, ...]) -> tuple[float, float] | None:
    """The cost that the user's own function gives, and the size of its terms; None where it gives no number."""
    if subject.function is None:
        return None
    with quietly():
        try:
            result = subject.function(**arguments(subject.function, subject.inputs, point))
        except Exception:  # what the user's code does where it fails is not what is examined here
            return None
    listed = list(result.values()) if isinstance(result, dict) else result if isinstance(result, tuple) else [result]
    weights = [point.inputs[t] for t in upstream] or [np.asarray(1.0)]
    terms = [np.asarray(r, float) * w for r, w in zip(listed, weights, strict=False)]
    total, scale = sum(float(t.sum()) for t in terms), 1.0 + sum(float(np.abs(t).sum()) for t in terms)
    return (total, scale) if np.isfinite(scale) else None


# Points, and the truth there.


def _sizes(network: Network, own: bool) -> dict[Symbol, int]:
    """The network's own widths, or small ones of which no two neighbours are equal."""
    sizes = {layer.size: 2 + k % 3 for k, layer in enumerate(network.layers)}
    if own:
        sizes |= {layer.size: layer.width for layer in network.layers if isinstance(layer.width, int)}
    return {M: ROWS, **sizes}


def _shape(tensor: Tensor, sizes: Mapping[Symbol, int]) -> tuple[int, ...]:
    return tuple(sizes[s] for s in tensor.shape if isinstance(s, Symbol))


@lru_cache(maxsize=64)
def truth_of(network: Network, own: bool) -> Truth:
    """A point at which everything is finite, and the cost, two slopes and the prediction there.

    Raises:
        UnsupportedError: none was found.
    """
    program, sizes = network.program, _sizes(network, own)
    sampler = Sampler(Question(program, program, {}), random.Random(5))
    evaluator = Evaluator(program, dual(FLOAT))
    for scale in SCALES:
        for _ in range(TRIES):
            point = sampler.point(sizes, scale=scale)
            try:
                truth = _at(network, evaluator, point)
            except TooCloseError:
                continue
            if np.all(np.abs([truth.cost, *truth.slopes]) < LARGEST) and np.all(np.isfinite(truth.prediction)):
                return truth
    raise UnsupportedError(
        "the generated code could not be examined: no point was found at which the cost is finite",
        help="is the cost defined for the outputs of the last layer?",
    )


def _at(network: Network, evaluator: Evaluator, point: Point) -> Truth:
    program = network.program
    random_ = np.random.default_rng(1)
    directions = {t: random_.uniform(0.5, 1.0, (*point.inputs[t].shape, 2)) for t in network.parameters}
    for direction in directions.values():
        direction *= random_.choice((-1.0, 1.0), direction.shape)

    def moved(tensor: Tensor, entries: Mapping[tuple[int, ...], Value]) -> dict[tuple[int, ...], Value]:
        if tensor not in directions:
            return dict(entries)
        return {p: Dual(v, directions[tensor][p][None, :]) for p, v in entries.items()}

    inputs = {t: array_of(t, point.inputs[t], point.inputs[t].shape, FLOAT) for t in program.inputs}
    found = evaluator.run(point.values(FLOAT), inputs, moved)
    J = found[program.outputs[0]][()]
    last = network.activations(len(network.layers))
    outputs = np.zeros((point.sizes[M], point.sizes[network.layers[-1].size]))
    for position, value in found[last].items():
        outputs[position] = value.value if isinstance(value, Dual) else value
    arrays = [np.asarray(point.inputs[t]) for t in program.inputs]
    numbers = [float(point.parameters[s]) for s in program.parameters]
    slopes = J.slope[0] if isinstance(J, Dual) else np.zeros(2)
    cost = J.value if isinstance(J, Dual) else J
    return Truth(arrays, numbers, float(cost), [directions[t] for t in network.parameters], slopes, outputs)


def _moderate(network: Network, sizes: Mapping[Symbol, int], dtype: Any) -> tuple[list[Array], list[float]]:
    """Arrays of the network's own widths whose pre-activations are neither tiny nor large, and the hyper-parameters."""
    random_ = np.random.default_rng(3)
    arrays = []
    for tensor in network.program.inputs:
        shape = _shape(tensor, sizes)
        fan_in = shape[-1] if len(shape) == 2 and tensor is not network.x else 1
        arrays.append(random_.uniform(-1.0, 1.0, shape) / np.sqrt(fan_in))
    arrays[1] = random_.uniform(0.1, 0.9, arrays[1].shape)
    arrays[1] /= arrays[1].sum(axis=1, keepdims=True) if network.softmax else 1.0
    numbers = [0.75 + 0.125 * k for k in range(len(network.program.parameters))]
    return [np.ascontiguousarray(a, dtype) for a in arrays], numbers
