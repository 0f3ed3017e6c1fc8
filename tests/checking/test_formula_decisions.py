"""A claimed formula, each decision by itself: which way it is judged, and what of its indices is told."""

from types import SimpleNamespace

import pytest

import symbackprop as sb
from symbackprop.checking import verify as module
from symbackprop.checking.budget import Budget
from symbackprop.checking.verdict import Verdict
from symbackprop.checking.verify import Claim
from symbackprop.errors import IndexNotationError, MalformedError, UnsupportedError
from symbackprop.expression.build import Entry, Index, Symbol, Tensor, add, contraction, free_indices, multiply, number
from symbackprop.expression.program import Equation
from symbackprop.frontends.formula import Reading
from symbackprop.normal_form.normal_form import Canonical

BUDGET = Budget.of(1000.0)
N = Symbol("N", "size")
i, j, k = (Index(name, N) for name in "ijk")
x, w, d = Tensor("x", (N,)), Tensor("w", (N,)), Tensor("delta", (N,))
LEFT = Entry(d, (i,))
PROBLEM = IndexNotationError("j stands alone")


def claim_of(value=None, strays=(), clashes=(), problem=PROBLEM, partial=()):
    reading = Reading(value or Entry(x, (i,)), strays, clashes, problem)
    return Claim(LEFT, module.replace(reading, partial=partial) if partial else reading, Entry(x, (i,)))


def said(status, **parts):
    return Verdict(status, "delta[i]", **({"scope": "all sizes", **parts} if status == "PROVED" else parts))


@pytest.mark.parametrize("problem", [None, PROBLEM], ids=["fits", "misfit"])
@pytest.mark.parametrize("assumptions", [(), (1,)])
@pytest.mark.parametrize("status", ["PROVED", "REFUTED", "UNDECIDED", "MALFORMED"])
@pytest.mark.parametrize("strays", [(), (j,)])
def test_a_claim_is_judged_as_it_fits(monkeypatch, problem, assumptions, status, strays):
    stages = []
    verdict = said(status, diagnosis="delta: a factor is missing", notes=("own",))
    monkeypatch.setattr(module, "_goal", lambda *_: None)
    monkeypatch.setattr(module, "decide", lambda goal, subject, scope, budget, order: stages.append(order) or verdict)
    monkeypatch.setattr(module, "_of_misfit", lambda *_: verdict)
    monkeypatch.setattr(
        module, "_with_sums", lambda network, claim, verdict, budget: module.replace(verdict, cure="summed")
    )
    answer = module._judged(SimpleNamespace(assumptions=assumptions), claim_of(strays=strays, problem=problem), BUDGET)
    assert (answer.status, answer.diagnosis) == (status, "a factor is missing")
    assert (answer.claimed, answer.derived) == ("x[i]", "x[i]")
    told = problem is not None and status == "REFUTED"
    assert len(answer.notes) == 1 + told and answer.cure == ("summed" if told and strays else "")
    assert bool(stages) is (problem is None)
    if stages:
        first = stages[0][0].strategies
        assert first == ((module.UNCONDITIONAL, module.COMPOSED) if assumptions else (module.COMPOSED,))
        assert stages[0][1:] == (module.FIRST_LOOK, *module.CLOSER)


@pytest.mark.parametrize(
    ("strays", "partial", "words"),
    [
        ((j,), (), "first value"),
        ((), (), "axes of equal length"),
        ((), ((N, N),), "part of the axis"),
        ((j,), ((N, N),), "part of the axis"),
    ],
)
def test_how_a_claim_that_does_not_fit_is_read_is_told(strays, partial, words):
    note = module._reading_note(claim_of(strays=strays, partial=partial))
    assert note.startswith("j stands alone: ") and words in note and note.endswith("wrong there too")


@pytest.mark.parametrize("found", [None, "a point", UnsupportedError("no"), ZeroDivisionError("none")], ids=str)
def test_a_claim_that_does_not_fit_is_wrong_where_numbers_say_so(monkeypatch, found):
    def look(*_):
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(module, "look", look)
    monkeypatch.setattr(module, "refuted", lambda goal, subject, found, budget: said("REFUTED"))
    answer = module._of_misfit(SimpleNamespace(names=("x",)), "delta[i]", PROBLEM, BUDGET)
    assert answer.status == ("REFUTED" if found == "a point" else "MALFORMED")
    if found is None:
        assert "j stands alone" in answer.reason
    elif found != "a point":
        assert "no point could be examined" in answer.reason


VALUES = {
    "a product": (multiply(Entry(x, (j,)), Entry(w, (i,))), contraction("j", N, lambda t: multiply(Entry(x, (t,)), Entry(w, (i,))))),
    "beside another term": (add(Entry(x, (j,)), Entry(w, (i,))), add(contraction("j", N, lambda t: Entry(x, (t,))), Entry(w, (i,)))),
    "two terms": (add(Entry(x, (j,)), multiply(number(2), Entry(w, (j,)))), contraction("j", N, lambda t: add(Entry(x, (t,)), multiply(number(2), Entry(w, (t,)))))),
}  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("status", ["PROVED", "REFUTED", "UNDECIDED"])
@pytest.mark.parametrize("cure", ["", "delta[i] = other"])
@pytest.mark.parametrize("clashes", [(), ((i, k),)])
def test_a_missing_sum_is_put_where_the_index_stands(monkeypatch, name, status, cure, clashes):
    asked = []
    other = (
        said(status, cure=cure, diagnosis="a factor", formulas=((1, 2, 3),))
        if status == "REFUTED"
        else said(status, cure=cure)
    )
    monkeypatch.setattr(module, "_judged", lambda network, claim, budget: asked.append(claim) or other)
    given, wanted = VALUES[name]
    before = said("REFUTED", diagnosis="before")
    answer = module._with_sums(None, claim_of(given, (j,), clashes), before, BUDGET)
    reading = asked[0].reading
    assert reading.strays == () and j not in free_indices(reading.value)
    assert Canonical().equal(reading.value, wanted)
    assert reading.problem is (PROBLEM if clashes else None)
    if status == "PROVED":
        assert answer.diagnosis == "the sum over j is missing" and answer.cure.startswith("delta[i] = ")
        assert answer.formulas[0][0] == "cure" and answer.formulas[0][2] is reading.value
    elif status == "REFUTED" and cure:
        assert answer.diagnosis == "the sum over j is missing, and a factor" and (answer.cure, answer.formulas) == (
            cure,
            ((1, 2, 3),),
        )
    else:
        assert answer is before


def test_what_a_line_rests_on_is_found_through_other_lines():
    a, b, c, free = (Tensor(name, ()) for name in "abcf")
    lines = {t: Equation(t, (), v) for t, v in ((a, Entry(free)), (b, Entry(a)), (c, number(1)))}
    assert module._rests_on(Equation(d, (), Entry(b)), lines) == {a, b}
    assert module._rests_on(Equation(d, (), add(Entry(c), Entry(free))), lines) == {c}


DEEP = sb.Network([2, 3, 4, 2], activation=["relu", "relu", "identity"], cost="squared_error", l1="lambda/m")
CLAIMS = {"delta2[n,i]": {2, 3}, "delta3[n,i]": {3}, "delta4[n,i]": set(), "dJ/dW1[i,j]": {2, 3}, "dJ/dW2[i,j]": {3}, "dJ/da2[n,i]": {3},
          "dJ/dW3[i,j]": set(), "J": set(), "a2[n,i]": set(), "dJ/db1[i]": {2, 3}}  # fmt: skip


@pytest.mark.parametrize("left", CLAIMS)
def test_kinks_concern_a_claim_on_the_way_to_the_cost(left):
    scope = module.network_scope(DEEP)
    name, indices = module.left_indices(left, scope)
    claim = Claim(Entry(scope.tensors[name], indices), Reading(number(0), (), (), None), number(0))
    found = module._kink_conditions(DEEP, claim)
    layers = {int(c[c.index("z") + 1]) for c in found if c.startswith("z")}
    assert layers == CLAIMS[left]
    assert any(c.startswith("W[") for c in found) is ("dW" in left and any(c.startswith("W[") for c in DEEP.conditions))


@pytest.mark.parametrize(
    "functions",
    [
        ("tanh", "sigmoid", "f"),
        ("f", "tanh", "tanh"),
        ("tanh", "tanh", "sigmoid"),
        ("f", "f", "tanh"),
        ("sigmoid", "f", "f"),
        ("f", "f", "f"),
    ],
)
def test_functions_go_by_the_layers_that_have_them(functions):
    network = sb.Network([2, 3, 3, 2], activation=list(functions), cost="squared_error")
    table = module._functions(network)
    used = [layer.function for layer in network.layers[1:]]
    for number_, function in enumerate(used, start=2):
        assert (f"f{number_}" in table) is (function is not None)
        if function is not None:
            assert table[f"f{number_}"] is function
            if function.name != "f":  # which stands for the function of the hidden layers
                assert table[function.name] is function
                assert table[f"f{number_}_prime"] is table[function.name + "_prime"]
    hidden = [f for f in used[:2] if f is not None]
    if len({f.name for f in hidden}) == 1:
        assert table["f"] is hidden[0]
    assert "sigma" in table and "sigma_prime" in table


@pytest.mark.parametrize("left", ["J", "delta2[n,i]", "dJ/dW1[i,j]", "nonsense"])
def test_a_claim_about_a_network_of_any_depth_is_not_decided(left):
    """Of J and of what has a number it was a KeyError."""
    answer = module.judged_formula(sb.Network(depth="L"), left, "0", 2.0)
    assert answer.status == "UNDECIDED" and "with its layers listed" in answer.reason


@pytest.mark.parametrize("right", [None, "0", "nonsense ("])
def test_a_claim_that_cannot_be_read_is_malformed(right):
    network = sb.Network([2, 2], activation="tanh", cost="squared_error")
    answer = module.judged_formula(network, "delta2[n,i] = 0" if right is None else "delta2[n,i]", right, 0.5)
    assert answer.status == ("MALFORMED" if right == "nonsense (" else "REFUTED")
    with pytest.raises(MalformedError, match="is given, not computed"):
        module._truth(network, Entry(network.x, ()))
