"""What a class is given: an example whose every number is recomputed, exercises whose answers are tried, papers, fragments."""

import re
import shutil
import subprocess

import numpy as np
import pytest

from symbackprop import Network, prove, trace
from symbackprop.checking.verify import slips_of
from symbackprop.document.exercises import changed_proofs, choices, exercise_sections
from symbackprop.document.flow_figure import FLOW, flow_figure
from symbackprop.document.function_figure import HIGHEST, LOWEST, REACH, function_figure, segments
from symbackprop.document.html import to_html
from symbackprop.document.markdown import to_markdown
from symbackprop.document.matrix_form import Entrywise, Hadamard, Leaf, Ones, Product, SumOfAll, matrix_form
from symbackprop.document.model import Document, Figure, Statement, Table, blocks
from symbackprop.document.proof_document import proof_document, unbacked
from symbackprop.document.tex import to_latex_fragment
from symbackprop.document.worked_example import DIGITS, work, worked_example
from symbackprop.errors import UnsupportedError
from symbackprop.evaluation.exact import evaluate, evaluate_expression
from symbackprop.expression.build import Entry, tensors_in
from symbackprop.expression.functions import ACTIVATIONS, FUNCTIONS, derivative
from symbackprop.normal_form import work_time
from symbackprop.rendering.notation import NIELSEN, THETA, WEIGHTS
from symbackprop.rendering.text import to_text

NETWORKS = {
    "sigmoid": Network([3, 5, 4], l2="lambda/(2*m)"),
    "softmax": Network([3, 4, 3], activation=["relu", "softmax"], cost="softmax_cross_entropy", l1="mu"),
    "any depth": Network(depth="L", activation="f", cost="squared_error", l2="lambda/2"),
    "own": Network([3, 5, 5, 4], activation="z/(1+exp(-z))", cost="log(1+(h-y)**2)", reduction="sum"),
    "two layers": Network([2, 3], activation="sigmoid"),
}


# The worked example.


def _softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


PLAIN = {
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), "sigmoid"),
    "relu": (lambda z: np.maximum(z, 0), "relu"),
    "silu": (lambda z: z / (1 + np.exp(-z)), "silu"),
}


def plain_run(found):
    """Forward pass and cost of the example in NumPy alone."""
    net, given = found.network, found.given

    def cost(parameters):
        a, kept = given["x"], {}
        for k, layer in enumerate(net.layers[1:], start=1):
            z = a @ parameters[f"W{k}"].T + parameters[f"b{k}"]
            a = _softmax(z) if layer.function is None else PLAIN[layer.function.name][0](z)
            kept |= {f"z{k + 1}": z, f"a{k + 1}": a}
        y = given["y"]
        data = {
            "cross_entropy": lambda: -(y * np.log(a) + (1 - y) * np.log(1 - a)),
            "softmax_cross_entropy": lambda: -y * np.log(a),
            "squared_error": lambda: (a - y) ** 2 / 2,
            "cost": lambda: np.log(1 + (a - y) ** 2),
        }[net.cost_name]().sum()
        data = data / len(y) if net.reduction == "mean" else data
        weights = [parameters[f"W{k}"] for k in range(1, len(net.layers))]
        squares, sizes = sum((w**2).sum() for w in weights), sum(np.abs(w).sum() for w in weights)
        factor = {None: 0.0, "lam/(2*m)": 0.1 / (2 * len(y)), "lam/2": 0.05}
        data += factor[to_text(net.l2) if net.l2 is not None else None] * squares
        return data + (0.1 * sizes if net.l1 is not None else 0.0), kept

    return cost


@pytest.mark.parametrize("name", NETWORKS)
def test_worked_example_is_what_numpy_computes_forward_backward_and_after_the_step(name):
    found = work(NETWORKS[name])
    cost = plain_run(found)
    parameters = {t.name: found.given[t.name] for t in found.network.parameters}
    value, kept = cost(parameters)
    np.testing.assert_allclose(found.values["J"], value, rtol=1e-12)
    for tensor, array in kept.items():
        np.testing.assert_allclose(found.values[tensor], array, rtol=1e-12)
    for tensor, array in parameters.items():
        for place in np.ndindex(array.shape):
            ends = []
            for step in (1e-6, -1e-6):
                moved = array.copy()
                moved[place] += step
                ends.append(cost(parameters | {tensor: moved})[0])
            slope = (ends[0] - ends[1]) / 2e-6
            np.testing.assert_allclose(found.values[f"dJ_d{tensor}"][place], slope, rtol=1e-5, atol=1e-8)
        np.testing.assert_allclose(found.after[tensor], array - found.rate * found.values[f"dJ_d{tensor}"], rtol=1e-12)
    after, _ = cost({t: found.after[t] for t in parameters})
    np.testing.assert_allclose(found.after["J"], after, rtol=1e-12)
    assert after < value  # "the step has lowered it"


def test_worked_example_prints_its_numbers_rounded_to_the_digits_that_it_says():
    found = work(NETWORKS["sigmoid"])
    text = to_markdown(Document("", (), (worked_example(NETWORKS["sigmoid"], WEIGHTS),)))
    assert f"shown to {DIGITS} digits after the point" in text
    for tensor, value in {"A^{(3)}": found.values["a3"], "W^{(1)}": found.after["W1"]}.items():
        cells = r" \\ ".join(" & ".join(f"{v:.4f}".rstrip("0").rstrip(".") for v in line) for line in value)
        assert rf"{tensor} \approx \left[\begin{{matrix}} {cells} \end{{matrix}}\right]" in text
    assert rf"With these the cost is ${found.after['J']:.4f}$, where it was ${found.values['J']:.4f}$" in text
    assert r"$\Delta^{(2)} = (\Delta^{(3)}\,W^{(2)}) \odot \sigma'(Z^{(2)})$" in text


def test_worked_example_says_where_there_is_none():
    with pytest.raises(UnsupportedError, match="no worked example"):
        work(Network([2, 2], activation="identity", cost="log(h - 50)"))
    with pytest.raises(UnsupportedError, match="for networks"):
        proof_document(prove(trace(lambda x: np.tanh(x), {"x": ("N",)})), example=True)


# Exercises.


@pytest.mark.parametrize("name", ["sigmoid", "softmax", "any depth"])
def test_exercises_have_one_right_answer_and_wrong_ones_that_differ_in_numbers(name):
    """The oracle: the network in exact arithmetic at a point of its own, not the judge that refuted the answers."""
    asked = choices(changed_proofs(NETWORKS[name])[0].network)
    assert len(asked) >= 2
    for choice in asked:
        right = choice.theorem.derivation
        assert [a for a, verdict in choice.answers if verdict is None] == [right.right]
        assert len(choice.answers) == 4
        for _, verdict in choice.answers:
            if verdict is not None:
                assert verdict.status == "REFUTED" and verdict.diagnosis
                entry = verdict.counterexample.entry
                assert abs(entry.claimed - entry.correct) > 1e-9
        texts = {verdict.diagnosis for _, verdict in choice.answers if verdict is not None}
        assert len(texts) == 3


def test_wrong_answers_come_from_the_library_of_slips_and_disagree_with_central_differences():
    net = NETWORKS["two layers"].like([2, 3, 2])
    adjoint = prove(net).gradient.adjoint
    rng = np.random.default_rng(4)
    sizes = {"m": 3, "s_1": 2, "s_2": 3, "s_3": 2}
    shapes = {"x": (3, 2), "y": (3, 2), "W1": (3, 2), "b1": (3,), "W2": (2, 3), "b2": (2,)}
    given = {n: rng.uniform(0.1, 0.9, s) for n, s in shapes.items()}
    values = evaluate(adjoint, sizes, given)
    for choice in choices(net):
        left = choice.theorem.derivation.left
        slips = [value for _, value in slips_of(net, left, choice.theorem.derivation.right)]
        for answer, verdict in choice.answers:
            assert verdict is None or answer in slips
            known = {t: values[t.name] for t in tensors_in(answer)}
            here = evaluate_expression(answer, left.indices, sizes, known)
            same = np.allclose(here, values[left.tensor.name], rtol=1e-9, atol=1e-12)
            assert same == (verdict is None)


@pytest.mark.parametrize("name", ["sigmoid", "any depth"])
def test_exercises_show_only_what_is_proved(name):
    proof = prove(NETWORKS[name])
    document = proof_document(proof, exercises=True)
    assert unbacked(document, proof, *changed_proofs(NETWORKS[name])) == ()
    titles = [b.title for b in document.body]
    assert titles[-2:] == ["Exercises", "Solutions"]
    asked = [b for b in blocks(document.body) if isinstance(b, Statement) and b.kind == "Exercise"]
    solved = re.findall(r"\*\*Exercise (\d+)\.\*\*", to_markdown(document))
    assert solved == [str(k + 1) for k in range(len(asked))]


@pytest.mark.parametrize("name", ["sigmoid", "softmax"])
def test_exercises_are_the_same_on_every_machine(name, monkeypatch):
    """Nothing looks at a clock that the load of the machine could move."""
    net = changed_proofs(NETWORKS[name])[0].network
    before = choices(net)
    choices.cache_clear()

    def looked():
        raise AssertionError("the time of this machine")

    monkeypatch.setattr(work_time.time, "thread_time", looked)
    again = choices(net)
    assert [[(to_text(a), str(v)) for a, v in c.answers] for c in again] == [
        [(to_text(a), str(v)) for a, v in c.answers] for c in before
    ]


def test_exercise_does_not_tell_its_answer():
    exercises, _ = exercise_sections(NETWORKS["sigmoid"], WEIGHTS)
    names = [to_markdown(Document("", (), (b,))) for b in exercises.body if isinstance(b, Statement)]
    assert not any("minus target" in n for n in names)


# Pictures.


@pytest.mark.parametrize("name", sorted({*ACTIVATIONS} - {"softmax"}))
def test_graph_of_a_function_passes_through_its_values_and_its_slopes(name):
    plain = {
        "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
        "tanh": np.tanh,
        "relu": lambda z: np.maximum(z, 0),
        "softplus": lambda z: np.log1p(np.exp(z)),
        "silu": lambda z: z / (1 + np.exp(-z)),
        "identity": lambda z: z,
        "leaky_relu": lambda z: np.where(z > 0, z, z / 100),
        "elu": lambda z: np.where(z > 0, z, np.expm1(z)),
    }
    function = FUNCTIONS[name]
    curve = [p for piece in segments(function, function.kinks) for p in piece]
    slopes = [p for piece in segments(derivative(function), function.kinks) for p in piece]
    assert len(curve) > 20 and all(abs(x) <= REACH and LOWEST <= v <= HIGHEST for x, v in (*curve, *slopes))
    if name in plain:
        x, v = np.array(curve).T
        np.testing.assert_allclose(v, plain[name](x), atol=1e-8)
        x, v = np.array([p for p in slopes if min((abs(p[0] - k) for k in (0.0,)), default=1) > 1e-3]).T
        np.testing.assert_allclose(v, (plain[name](x + 1e-6) - plain[name](x - 1e-6)) / 2e-6, atol=1e-7)


def test_graph_is_broken_where_a_slope_jumps():
    pieces = segments(derivative(FUNCTIONS["relu"]), FUNCTIONS["relu"].kinks)
    assert len(pieces) == 2 and {v for _, v in pieces[0]} == {0.0} and {v for _, v in pieces[1]} == {1.0}


def test_document_draws_each_function_that_it_defines_once():
    document = proof_document(prove(NETWORKS["sigmoid"]))
    graphs = [b for b in blocks(document.body) if isinstance(b, Figure) and "Graphs of" in b.description]
    assert [g.description for g in graphs] == ["Graphs of sigmoid, softplus and the derivatives, from −4 to 4."]
    assert to_html(document).count("<polyline") >= 4
    assert function_figure([FUNCTIONS["identity"]], WEIGHTS) is None


@pytest.mark.parametrize("name", NETWORKS)
def test_what_the_picture_of_the_flow_says_is_what_the_theorems_read(name):
    """FLOW: which layers' arrays each gradient is computed from."""
    assert "The gradient of weights needs" in FLOW
    proof = prove(NETWORKS[name])
    for theorem in proof.theorems:
        left = theorem.derivation.left
        if not isinstance(left, Entry) or theorem.derivation.right is None:
            continue
        used = {t.name for t in tensors_in(theorem.derivation.right)}
        layer = re.fullmatch(r"(delta|dJ_dW|dJ_db)_?(\d+|l)", left.tensor.name)
        if layer is None or any(t.startswith("d_") for t in used):
            continue
        following = f"{int(layer[2]) + 1}" if layer[2].isdigit() else "l+1"
        last = str(len(NETWORKS[name].layers))
        here = layer[2] if layer[2].isdigit() else "_l"
        there = following if following.isdigit() else "_l+1"
        if layer[1] == "delta" and layer[2] != last:
            assert used <= {f"delta{there}", f"W{here}", f"z{here}", f"a{here}"} and f"delta{there}" in used
        if layer[1] == "dJ_dW":
            assert used <= {f"delta{there}", f"a{here}", "x", f"W{here}"}
        if layer[1] == "dJ_db":
            assert used == {f"delta{there}"}


def test_flow_names_weights_as_the_notation_does():
    plain, nielsen, theta = (
        to_html(Document("", (), (flow_figure(["1", "2", "3"], n),))) for n in (WEIGHTS, NIELSEN, THETA)
    )
    assert "W" in plain and "w" in nielsen and "Θ" in theta
    assert plain.count('class="arrow"') == nielsen.count('class="arrow"') == 9


# Shapes.


def shape_of(form):
    """The shape of a form, by the rules that the document states; an error where they are broken."""
    match form:
        case Leaf(tensor, transposed):
            sizes = tuple(tensor.shape) if len(tensor.shape) == 2 else (*tensor.shape, 1)
            return sizes[::-1] if transposed else sizes
        case Ones(length, transposed):
            return (1, length) if transposed else (length, 1)
        case Product(left, right, _):
            (a, b), (c, d) = shape_of(left), shape_of(right)
            assert b == c, "the sizes that meet agree"
            return (a, d)
        case Entrywise(_, arguments, _):
            (shape,) = {shape_of(a) for a in arguments}
            return shape
        case SumOfAll(terms):
            (shape,) = {shape_of(t) for t in terms}
            return shape
        case Hadamard(factors, _):
            (shape,) = {shape_of(f) for f in factors}
            return shape


@pytest.mark.parametrize("name", NETWORKS)
def test_table_of_shapes_follows_from_the_rules_that_it_states(name):
    proof = prove(NETWORKS[name])
    seen = 0
    for derivation in (t.derivation for t in proof.theorems):
        if isinstance(derivation.left, Entry) and (form := matrix_form(derivation.right, derivation.left.indices)):
            wanted = tuple(derivation.left.tensor.shape)
            assert shape_of(form) == (wanted if len(wanted) == 2 else (*wanted, 1))
            seen += 1
    tables = [b for b in blocks(proof_document(proof).body) if isinstance(b, Table) and b.head[0] == "Array"]
    assert len(tables) == 1 and len(tables[0].rows) >= seen - 2 > 0


# Paper and fragments.


def test_paper_is_that_of_the_options_and_another_is_refused(tmp_path):
    proof = prove(NETWORKS["two layers"])
    assert "letterpaper" in proof.save(tmp_path / "a.tex", paper="letter").read_text()
    assert "a4paper" in proof.save(tmp_path / "b.tex").read_text()
    assert "size: letter" in proof.save(tmp_path / "c.html", paper="letter").read_text()
    with pytest.raises(UnsupportedError, match="unknown paper 'a5'"):
        proof.save(tmp_path / "d.tex", paper="a5")


def test_fragment_is_latex_only(tmp_path):
    with pytest.raises(UnsupportedError, match="only LaTeX is written as a fragment"):
        prove(NETWORKS["two layers"]).save(tmp_path / "a.html", fragment=True)


HOST = r"""\documentclass{report}
\usepackage{amsmath,amssymb,amsthm,array,booktabs,longtable,graphicx,tikz,listings}
\newtheorem{theorem}{Satz}[chapter]
\newcommand{\code}[1]{\textsf{#1}}
\begin{document}
\chapter{One}
\input{first}
\input{second}
\the\parindent
\end{document}
"""


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_fragments_are_put_into_a_document_with_theorems_and_macros_of_its_own(tmp_path):
    for name, net in (("first", NETWORKS["two layers"]), ("second", NETWORKS["any depth"])):
        document = proof_document(prove(net), example=True)
        fragment = to_latex_fragment(document)
        assert r"\documentclass" not in fragment and r"\usepackage" not in re.sub("%.*", "", fragment)
        (tmp_path / f"{name}.tex").write_text(fragment, encoding="utf-8")
    (tmp_path / "host.tex").write_text(HOST)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "host.tex"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert run.returncode == 0, run.stdout[-1500:]
    assert b"already defined" not in run.stdout
