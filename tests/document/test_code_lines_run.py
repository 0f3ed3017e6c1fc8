"""Every line of code that a document shows beside an equation is executed, and gives what the equation gives."""

import importlib.util
import itertools
import random
from pathlib import Path

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.checking.question import Question
from symbackprop.checking.sample_points import Sampler
from symbackprop.codegen.names import Names
from symbackprop.codegen.numpy.helpers import header, helper_text
from symbackprop.codegen.program import load_module
from symbackprop.document.proof_document import numpy_lines
from symbackprop.evaluation.exact import evaluate
from symbackprop.expression.nodes import Tensor
from symbackprop.proofs.stable_logs import stabilise

GALLERY = Path(__file__).parents[2] / "derivations"
NETWORKS = [
    dict(activation=["tanh", output], cost=cost, reduction=reduction, l2=l2)
    for output, cost, reduction, l2 in itertools.product(
        ["softmax", "sigmoid", "identity"],
        ["squared_error", "cross_entropy", "softmax_cross_entropy", "log(1 + (h - y)**2)"],
        ["mean", "sum"],
        [None, "lambda/(2*m)"],
    )
    if (cost != "softmax_cross_entropy" or output == "softmax") and (cost != "cross_entropy" or output != "identity")
]
LAYERS = sorted(p for p in GALLERY.glob("*/*.py") if p.name != "claim.py" and "build" not in p.parts)


def space_of(arrays, sizes, hyper):
    """What a line may speak of: tensors by their names in code, sizes, hyper-parameters, what a module defines."""
    space = load_module(
        header("Test.", "float64", "np") + "\n\n" + "\n\n".join(helper_text(h, "np") for h in ("sigmoid", "tail"))
    )
    space |= {"np": np, **sizes, **hyper}
    return space | {Names([Tensor(n)])[Tensor(n)]: np.asarray(value) for n, value in arrays.items()}


def check_lines(proof):
    adjoint = proof.gradient.adjoint
    lines = numpy_lines(proof)
    assert lines
    whole = stabilise(adjoint)
    sampler = Sampler(Question(adjoint, adjoint, {}), random.Random(3))
    sizes = sampler.size_choices()[0]
    point = sampler.point(sizes, scale=0.5)
    numbers = {s.name: n for s, n in sizes.items()}
    hyper = {s.name: float(v) for s, v in point.parameters.items()}
    inputs = {t.name: a for t, a in point.inputs.items() if t in adjoint.inputs}
    expected = evaluate(adjoint, numbers, inputs, hyper)
    arrays = evaluate(whole, numbers, inputs, hyper) | expected
    for tensor, line in lines.items():
        space = space_of(arrays, numbers, hyper)
        name = Names([tensor])[tensor]
        del space[name]
        exec(line, space)
        np.testing.assert_allclose(space[name], expected[tensor.name], rtol=1e-9, atol=1e-12, err_msg=line)
    return lines


@pytest.mark.parametrize("options", NETWORKS, ids=lambda o: "-".join(map(str, o.values())))
def test_lines_of_a_network_compute_its_equations(options):
    proof = sb.prove(sb.Network([2, 3, 4], **options))
    lines = check_lines(proof)
    assert {t.name for t in lines} >= {"J", "delta3", "delta2", "dJ_dW1", "dJ_db2"}


@pytest.mark.parametrize("path", LAYERS, ids=lambda p: p.stem)
def test_lines_of_a_layer_compute_its_equations(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    proof = sb.prove(sb.trace(module.forward, module.SHAPES, getattr(module, "ASSUME", None)))
    check_lines(proof)
