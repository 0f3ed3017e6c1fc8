"""What documents say beside their formulas, each sentence with its check; a walk finds every sentence that has none."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
import scipy.special
import sympy as sp
from remark_checks import check_of

from symbackprop import Network, prove, trace
from symbackprop.calculus.rules import RULES
from symbackprop.codegen.program import compile_program
from symbackprop.document.closing_sections import NAMES_IN_CODE, RESERVED
from symbackprop.document.context import Context
from symbackprop.document.flow_figure import FLOW
from symbackprop.document.markdown import to_markdown
from symbackprop.document.model import Chain, Document, Figure, Items, Paragraph, Symbolic, blocks, texts
from symbackprop.document.opening_sections import IN_WORDS
from symbackprop.document.proof_document import numpy_lines, proof_document
from symbackprop.document.questions import QUESTIONS
from symbackprop.expression.build import Tensor
from symbackprop.expression.functions import FUNCTIONS, derivative
from symbackprop.rendering.notation import NAMES, NOTATIONS
from symbackprop.rendering.text import to_text

Z = np.linspace(-30, 30, 601)


def sigmoid_is_between_0_and_1():
    z = sp.Symbol("z", real=True)
    value = FUNCTIONS["sigmoid"].definition
    slope = sp.simplify(sp.diff(value.subs(sp.Symbol("z", real=True), z), z))
    rising = all(float(slope.subs(z, v)) > 0 for v in range(-9, 10))  # from its limit 0 to its limit 1
    return rising and (sp.limit(value, z, -sp.oo), sp.limit(value, z, sp.oo)) == (0, 1)


def step_is_1_above_0():
    slope = sp.lambdify(
        sp.Symbol("z", real=True), derivative(FUNCTIONS["relu"]).definition, [{"step": lambda v: v > 0}]
    )
    return [float(slope(v)) for v in (-2.0, 0.0, 2.0)] == [0.0, 0.0, 1.0]


def erf_is_the_integral():
    t = sp.Symbol("t")
    return all(
        abs(float(sp.Integral(sp.exp(-(t**2)), (t, 0, v)).evalf()) * 2 / math.sqrt(math.pi) - math.erf(v)) < 1e-12
        for v in (-1, 0.5, 2)
    )


WORD_CHECKS = {
    "step": step_is_1_above_0,
    "sigmoid": sigmoid_is_between_0_and_1,
    "abs": lambda: sp.diff(sp.Abs(sp.Symbol("z", real=True))).equals(sp.sign(sp.Symbol("z", real=True))),
    "exp": lambda: bool((np.exp(Z) > 0).all()),
    "log": lambda: abs(np.log(math.e) - 1) < 1e-15,
    "erf": erf_is_the_integral,
    "atan": lambda: bool((np.abs(np.arctan(1e3 * Z)) < math.pi / 2).all()),
    "lgamma": lambda: abs(sp.loggamma(sp.Rational(7, 2)) - sp.log(sp.gamma(sp.Rational(7, 2)))).evalf() < 1e-12,
    "digamma": lambda: sp.diff(sp.loggamma(sp.Symbol("z"))) == sp.polygamma(0, sp.Symbol("z")),
}


@pytest.mark.parametrize("name", IN_WORDS)
def test_word_about_a_function_is_true(name):
    assert WORD_CHECKS[name]()


def module_of(net):
    namespace: dict = {}
    source = compile_program(prove(net).gradient.adjoint).source
    exec(source, namespace)
    return source, namespace


def test_names_in_the_code_are_what_the_document_says():
    source, module = module_of(Network([2, 3, 2]))
    np.testing.assert_allclose(module["tail"](Z.copy()), np.log1p(np.exp(-np.abs(Z))), rtol=1e-12)
    np.testing.assert_allclose(
        np.maximum(Z, 0) + module["tail"](Z.copy()),
        scipy.special.softplus(Z) if hasattr(scipy.special, "softplus") else np.logaddexp(0, Z),
        rtol=1e-12,
    )
    assert np.isfinite(module["tail"](np.array([-1e6, 1e6]))).all()
    source, _ = module_of(Network([2, 3, 2], activation=["relu", "softmax"], cost="softmax_cross_entropy"))
    assert "# top[n] = max(k, z3[n,k])" in source and "# total[n] = sum(k, exp(z3[n,k] - top[n]))" in source
    assert "DTYPE = np.float64" in source
    assert set(NAMES_IN_CODE) == {"DTYPE", "top", "total", "tail"}  # each is looked at above


DOCUMENTS = {
    "cross-entropy": Network(["s_1", "s_2", "K"], l2="lambda/(2*m)"),
    "softmax": Network([3, 4, 3], activation=["relu", "softmax"], cost="softmax_cross_entropy", l1="mu"),
    "any depth": Network(depth="L", activation="f", cost="squared_error", l2="lambda/2"),
    "own": Network([3, 5, 5, 4], activation="z/(1+exp(-z))", cost="log(1+(h-y)**2)", reduction="sum"),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_reason_that_says_numbers_cancel_stands_where_they_do(name):
    """“The 2 and the ½ cancel”: the line before has both as factors, this one has neither."""
    proof = prove(DOCUMENTS[name])
    said = 0
    for block in blocks(proof_document(proof).body):
        for line in block.lines if isinstance(block, Chain) else ():
            words = "".join(p for p in line.reason if isinstance(p, str))
            if "The 2 and the ½ cancel" in words:
                before, after = to_text(line.before), to_text(line.after)
                assert (re.search(r"\b2\*[A-Z]", before) and "/(2" in before) or "/2" in before, before
                assert "2*" not in after and "/2" not in after and "/(2" not in after, after
                said += 1
    assert said >= (name in ("cross-entropy", "any depth"))


def test_a_name_with_an_underscore_is_the_one_that_generated_modules_keep():
    from symbackprop.codegen.names import RESERVED as KEPT

    proof = prove(trace(lambda p, x: p * x, {"p": ("N",), "x": ("N",)}))
    document = proof_document(proof, notation=NAMES, code=numpy_lines(proof))
    text = to_markdown(document)
    assert "`p_` is $p$" in text and RESERVED in text
    assert "p" in KEPT and "`x_`" not in text


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_remark_has_a_check_and_is_true(name):
    for theorem in prove(DOCUMENTS[name]).theorems:
        if theorem.remark:
            assert check_of(theorem.remark)(theorem), theorem.remark


# Paragraphs, points and captions: each is of a kind that some test checks; a new one fails until it is named here.
KINDS = {
    r"Each of these equalities is derived below": "test_document: every equality is backed",
    r"Weights with the number": "test_code_lines_run, test_handout: shapes",
    r"Two kinds of derivatives occur": "test_sentences: every line in numbers, direct and total apart",
    r"The network: each circle is a unit": "test_document: the picture",
    r"For every number": "test_sentences: definitions in numbers",
    r"Each function \(solid line\)|The function \(solid line\)": "test_handout: graphs",
    r"is any differentiable function": "test_network_theorems: f has no definition",
    r"These are all the rules": "test_document: rules cited are rules listed",
    r"The error term of the output layer is computed from": "test_network_theorems",
    r"Let  be the statement that what the backward pass computes": "test_any_depth: base and step are theorems",
    r"All entries at once": "test_handout: shapes",
    r"The generated NumPy lines": "test_code_lines_run",
    r"Put together for any number of layers": "test_any_depth_code",
    r"The equalities hold wherever": "test_document: conditions",
    r"has a kink": "test_functions: kinks",
    r"[^.]* != 0|[^.]*≠ 0": "conditions of the theorems",
    r"the rows of  add up to 1|The rows of  add up to 1": "conditions of the theorems",
    r"The same equations with numbers, for a": "test_handout: every number is recomputed",
    r"(Forward|Backward|Show):$": "headings",
    r"One step of gradient descent with": "test_handout: the step",
    r"With these the cost is": "test_handout: the step has lowered it",
    r"Which of these is right": "test_handout: one right answer, wrong ones that differ in numbers",
    r"Differentiate the definition|Let the (output units|penalty)|The network of these exercises": "test_handout: settings",
    r"Exercise \d+\.": "test_handout: solutions are counted",
    r"\([abcd]\) ": "test_handout: refuted, with a diagnosis",
    r"The function returns": "test_program: upstream gradients",
    r"All names are those of the program|Indices count from [01]": "test_document: traced programs",
    r"Meaning of the bar": "test_program: cotangents",
    r"This document has \d+ lines": "test_document: counts",
    r"To run all of this again": "test_reproduce",
    r"The same steps(, with other layer numbers,)? prove": "test_document: families",
}


def prose(document):
    """The running texts outside of tables, notes and reasons, without their formulas."""
    for block in blocks(document.body):
        if isinstance(block, Paragraph | Items | Figure):
            for text in texts(block):
                yield "".join(p if isinstance(p, str) else getattr(p, "text", "") for p in text).strip()


def bare(text):
    return re.sub(r"[^A-Za-z]", "", re.sub(r"\$[^$]*\$|`[^`]*`|\b[a-zA-Z]\d\b", "", text))


def unknown_prose(document):
    """What no test is known to check."""
    answers = [bare(q.ask + q.answer) for q in QUESTIONS]
    rules = [bare(r.statement)[:20] for r in RULES.values()]
    known = [bare(w) for w in (*NAMES_IN_CODE.values(), *IN_WORDS.values())] + [bare(FLOW)]
    for text in prose(document):
        letters = bare(text)
        if text.startswith("Remark.") or any(re.match(kind, text) for kind in KINDS):
            continue
        if any(letters == a for a in answers) or any(r and r in letters for r in rules):
            continue
        if letters and any(letters in k or k in letters for k in known if k):
            continue
        if letters:
            yield text


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_paragraph_of_a_document_is_of_a_kind_that_some_test_checks(name):
    proof = prove(DOCUMENTS[name])
    assert list(unknown_prose(proof_document(proof, code=numpy_lines(proof), command="x"))) == []


def test_every_paragraph_of_a_handout_and_of_a_traced_program_is_of_such_a_kind():
    proof = prove(DOCUMENTS["cross-entropy"])
    assert list(unknown_prose(proof_document(proof, example=True, exercises=True))) == []
    traced = prove(trace(lambda x, w: np.tanh(x @ w), {"x": ("N", "D"), "w": ("D", "M")}))
    assert list(unknown_prose(proof_document(traced, notation=NAMES))) == []


def test_the_walk_sees_a_sentence_that_nobody_checks():
    proof = prove(DOCUMENTS["cross-entropy"])
    document = proof_document(proof)
    claim = Paragraph(("Deeper networks always learn faster.",))
    assert list(unknown_prose(replace(document, body=(*document.body, claim)))) == [
        "Deeper networks always learn faster."
    ]


def words_of(net, notation="weights", **options):
    return to_markdown(proof_document(prove(net), notation=NOTATIONS[notation], **options))


def test_sentences_name_weights_and_inputs_as_the_notation_does():
    net = Network(depth="L", activation="sigmoid", l2="lambda/2")
    for notation, weights, inputs in (
        ("weights", "$W^{(l)}$", "$a^{(1)} = x$"),
        ("theta", r"$\Theta^{(l)}$", "$a^{(1)} = x$"),
        ("nielsen", "$w^{l+1}$", "$a^{1} = x$"),
    ):
        text = words_of(net, notation)
        assert f"the cost without the penalty on {weights}" in text and f"where {inputs}." in text
    deep = words_of(Network([3, 3, 3, 3], activation="tanh", cost="squared_error"), "nielsen")
    assert "weights from layer $l - 1$ to layer $l$: row receives" in deep and "| biases of layer $l$ |" in deep


def test_the_step_of_the_induction_says_its_hypothesis():
    text = words_of(DOCUMENTS["any depth"])
    assert "Provided $2 \\le l \\le L - 1$ and the same equality holds for layer $l + 1$." in text


def test_a_slope_that_the_line_writes_with_a_prime_is_not_told_in_other_words():
    text = words_of(Network([2, 3, 2], activation="tanh", cost="squared_error"))
    assert r"\tanh'(z^{(2)}" in text and r"\tanh u" not in text and "The slope of a function is taken" in text


def test_several_activations_have_slopes_of_their_own():
    said = "each with the slope of its own activation"
    assert said in words_of(Network([2, 3, 3, 2], activation=["tanh", "sigmoid", "identity"], cost="squared_error"))
    assert said not in words_of(Network([2, 3, 3, 2], activation=["tanh", "tanh", "identity"], cost="squared_error"))


def test_conditions_are_typeset():
    plain = words_of(Network([2, 3, 2], activation="sigmoid", cost="squared_error", l1="lambda"))
    assert "- $W^{(l)}_{ij}$ ≠ 0 in every layer." in plain and r"|z| = 2\,z\,\operatorname{step}(z) - z" in plain
    assert "- $s_{3}$ ≥ 2." in words_of(Network([2, 3, 2], activation=["sigmoid", "softmax"], cost="cross_entropy"))


def test_a_page_defines_its_functions_and_gives_the_slopes_that_it_goes_on_from():
    text = words_of(DOCUMENTS["cross-entropy"], detail="brief")
    assert r"\sigma(z) = \frac{1}{\exp(-z) + 1}" in text
    assert r"with slope $\sigma'(z) = \sigma(z)\,[1 - \sigma(z)]$" in text and "softplus" not in text
    deep = words_of(DOCUMENTS["any depth"], detail="brief")
    assert "$R$ is the penalty of all layers, $E$ the cost without that on $W^{(l)}$" in deep
    relu = words_of(Network([2, 3, 2], activation=["relu", "identity"], cost="squared_error"), detail="brief")
    assert r"$\operatorname{step}(z)$ is 1 for $z > 0$, else 0" in relu and "$R$" not in relu


def test_an_activation_of_ones_own_is_a_greek_letter():
    text = words_of(Network([2, 2], activation="z**3/(1 + z**2)", cost="squared_error"))
    assert r"\varphi(z) = \frac{z^{3}}{z^{2} + 1}" in text and "{varphi}" not in text


# Conditions on the forward equations of a traced program.


def conditions_of(function, shapes):
    document = proof_document(prove(trace(function, shapes)), notation=NAMES)
    found = [b for b in document.body if b.title == "Conditions"]
    return to_markdown(Document("", (), tuple(found)))


def test_divisors_roots_and_logarithms_that_may_fail_are_conditions():
    assert r"x_{n} \ne 0" in conditions_of(lambda x: 1 / x, {"x": ("N",)})
    assert "x_{n} > 0" in conditions_of(lambda x: np.log(x), {"x": ("N",)})
    assert "x_{n} > 0" in conditions_of(lambda x: np.sqrt(x), {"x": ("N",)})
    masked = conditions_of(lambda x: x / (np.exp(x) * (x > 0)).sum(axis=1, keepdims=True), {"x": ("N", "D")})
    assert r"\ne 0" in masked  # a row of which nothing is left


def test_kinks_are_conditions_where_something_is_differentiated():
    assert "$x_{n} \\ne 0$" in conditions_of(lambda x: np.maximum(x, 0), {"x": ("N",)})
    assert "$x_{n} \\ne 0$" in conditions_of(lambda x: np.abs(x), {"x": ("N",)})
    assert "$1 \\ne x_{n}$" in conditions_of(lambda x: np.where(x > 1, x, 2 * x), {"x": ("N",)})
    largest = conditions_of(lambda x: x.max(axis=1), {"x": ("N", "D")})
    assert r"\max_{0 \le d \le D-1}x_{nd}$ is attained at one place only." in largest
    masked = conditions_of(lambda x: x * np.tril(np.ones((len(x), len(x)))), {"x": ("N", "N")})
    assert masked.strip() == "#"  # a mask of indices moves with nothing


def test_an_index_never_has_the_name_of_its_size():
    proof = prove(trace(lambda x, w: np.tanh(x @ w), {"x": ("n", "hidden"), "w": ("hidden", "h")}))
    text = to_markdown(proof_document(proof, notation=NAMES))
    assert r"\sum_{j=0}^{\mathit{hidden}-1}x_{ij}\,w_{jk}" in text  # h is the name of a size already
    upper = prove(trace(lambda x: np.tanh(x).sum(axis=1), {"x": ("N", "D")}))
    assert r"\sum_{d=0}^{D-1}" in to_markdown(proof_document(upper, notation=NAMES))


def test_a_possessive_s_is_no_tensor():
    proof = prove(trace(lambda s: np.tanh(s), {"s": ("N",)}))
    about = Context(proof, NAMES)
    assert about.words("an example's units, and s") == ("an example's units, and ", Symbolic(about.name(Tensor("s"))))


def test_what_is_above_0_by_its_form_is_no_condition():
    safe = (
        lambda x: x / np.exp(x).sum(axis=1, keepdims=True),
        lambda x: np.log(1 + x**2),
        lambda x: np.log(1 - 1 / (1 + np.exp(-x))),
        lambda x: x / np.sqrt((x**2).mean(axis=1, keepdims=True) + 1e-5),
    )
    for function in safe:
        assert conditions_of(function, {"x": ("N", "D")}).strip() == "#"
