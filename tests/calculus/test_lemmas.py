"""Lemmas of composed proofs: what the replay accepts holds by its definitions alone, and forged ones are refused."""

from dataclasses import replace

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.calculus.derivation import Lemma
from symbackprop.calculus.lemmas import Replay, joined
from symbackprop.errors import IndexNotationError, ProofError
from symbackprop.evaluation.exact import evaluate
from symbackprop.expression.build import (
    ONE,
    Compare,
    Entry,
    Index,
    Symbol,
    Tensor,
    add,
    entries_once,
    mentioned,
    multiply,
    number,
    subtract,
)
from symbackprop.expression.program import Equation, Program

DEPTH, LAYERS = 3, range(3)


def forward(x, **p):
    for k in LAYERS:
        c = x - x.mean(axis=1, keepdims=True)
        r = 1 / np.sqrt((c**2).mean(axis=1, keepdims=True) + 1e-5)
        x = x + np.maximum(c * r @ p[f"W{k}"] + p[f"b{k}"], 0)
    return x


def backward(dout, x, **p):
    saved = []
    for k in LAYERS:
        c = x - x.mean(axis=1, keepdims=True)
        r = 1 / np.sqrt((c**2).mean(axis=1, keepdims=True) + 1e-5)
        h = c * r
        a = np.maximum(h @ p[f"W{k}"] + p[f"b{k}"], 0)
        saved.append((h, r, a))
        x = x + a
    g, d = {}, dout
    for k in reversed(LAYERS):
        h, r, a = saved[k]
        dz = d * (a > 0)
        g[f"W{k}"], g[f"b{k}"] = h.T @ dz, dz.sum(axis=0)
        dh = dz @ p[f"W{k}"].T
        d = d + (dh - dh.mean(axis=1, keepdims=True) - h * (dh * h).mean(axis=1, keepdims=True)) * r
    g["x"] = d
    return g


SHAPES = {"x": ("N", "H"), **{f"W{k}": ("H", "H") for k in LAYERS}, **{f"b{k}": ("H",) for k in LAYERS}}


@pytest.fixture(scope="module")
def verdict():
    found = sb.check(forward, backward, shapes=SHAPES)
    assert found.for_all_sizes and found.lemmas, str(found)
    return found


@pytest.fixture(scope="module")
def program(verdict):
    return joined(verdict.program, verdict.claim)


def forged(verdict, number, **changes):
    """The lemmas with one of them changed."""
    lemmas = list(verdict.lemmas)
    lemmas[number] = replace(lemmas[number], **changes)
    return lemmas


def of_the_user(verdict, wanted):
    """The number of the first lemma about a tensor of the user's for which something holds."""
    derived = verdict.program.by_tensor
    return next(k for k, m in enumerate(verdict.lemmas) if m.equation.tensor not in derived and wanted(m))


def test_replay_accepts_the_lemmas_of_a_verdict(verdict, program):
    replay = Replay(program, verdict.lemmas)
    assert [m.equation for m in replay.lemmas] == [m.equation for m in verdict.lemmas]
    assert "no argument of a branch is exactly at its kink" in verdict.conditions
    for name, tensor in verdict.claims.items():
        assert replay.equal(tensor, verdict.program.by_tensor[_bar(verdict, name)].tensor)


def _bar(verdict, name):
    return next(t for t in verdict.program.tensors if t.name == f"{name}_bar")


def test_a_replay_sees_again_what_one_before_it_has_seen(monkeypatch, verdict, program):
    asked, real = [], Replay._conditions
    monkeypatch.setattr(Replay, "_conditions", lambda replay, lemma: asked.append(lemma) or real(replay, lemma))

    def times(program, **before):
        asked.clear()
        found = Replay(program, verdict.lemmas, **before)
        return found, len(asked)

    first, often = times(program)
    again, seldom = times(program, before=first)
    assert again.lemmas == first.lemmas and again.conditions == first.conditions and seldom < often
    elsewhere = replace(program, domain=(*program.domain, Compare("<", ONE, program.sizes[0])))
    assert times(elsewhere, before=first)[1] == often, "of other sizes it is seen anew"


def test_what_a_replay_has_seen_before_hides_no_changed_line(verdict, program):
    first = Replay(program, verdict.lemmas)
    about = {m.equation.tensor for m in verdict.lemmas} - {e.tensor for e in verdict.program.equations}
    for changed in [e for e in program.equations if e.tensor in about]:
        wrong = replace(changed, value=multiply(number(2), changed.value))
        lines = tuple(wrong if e is changed else e for e in program.equations)
        with pytest.raises(ProofError):
            Replay(replace(program, equations=lines), verdict.lemmas, before=first)


def beneath(replay, lemma):
    """All that a lemma rests on: what it speaks of as it is read, and what the definitions of that speak of."""
    waiting = {lemma.equation.tensor, *lemma.opened, *mentioned(replay.rewritten(lemma.equation.value))}
    found = set()
    while waiting:
        tensor = waiting.pop()
        found.add(tensor)
        line = replay._read.get(tensor)
        waiting |= (mentioned(line.value) if line is not None else set()) - found
    return found


def test_a_changed_definition_anywhere_beneath_a_lemma_keeps_it_from_being_taken_over(monkeypatch, verdict, program):
    taken, real = [], Replay._held_before
    monkeypatch.setattr(Replay, "_conditions", lambda replay, lemma: ())

    def noted(replay, lemma, right):
        found = real(replay, lemma, right)
        if found is not None:
            taken.append(lemma)
        return found

    monkeypatch.setattr(Replay, "_held_before", noted)
    first = Replay(program, verdict.lemmas)
    for changed in program.equations[::5]:
        taken.clear()
        other = replace(changed, value=add(changed.value, changed.value, ONE))
        lines = tuple(other if e is changed else e for e in program.equations)
        replay = Replay(replace(program, equations=lines), verdict.lemmas, before=first)
        free = [m for m in replay.lemmas if changed.tensor not in beneath(replay, m)]
        assert [m.equation.tensor for m in taken] == [m.equation.tensor for m in free], changed.tensor.name
    taken.clear()
    assert Replay(program, verdict.lemmas, before=first).lemmas and len(taken) == len(verdict.lemmas)
    elsewhere = replace(program, domain=(*program.domain, Compare("<", ONE, program.sizes[0])))
    taken.clear()
    assert Replay(elsewhere, verdict.lemmas, before=first).lemmas and not taken


def test_a_replay_says_the_same_of_a_changed_program_whatever_was_before_it(verdict, program):
    first = Replay(program, verdict.lemmas)

    def said(program, **before):
        try:
            return Replay(program, verdict.lemmas, **before).lemmas
        except ProofError as error:
            return str(error)

    for k, changed in [*enumerate(program.equations)][3::29]:
        other = replace(changed, value=multiply(number(-1 if k % 2 else 2), changed.value))
        lines = replace(program, equations=tuple(other if e is changed else e for e in program.equations))
        assert said(lines, before=first) == said(lines), changed.tensor.name


def test_a_lemma_that_opens_less_or_says_another_thing_is_not_taken_over(verdict, program):
    first = Replay(program, verdict.lemmas)
    k = of_the_user(verdict, lambda m: m.opened)
    own = verdict.lemmas[k].equation
    for changes in ({"opened": ()}, {"equation": replace(own, value=multiply(number(2), own.value))}):
        with pytest.raises(ProofError):
            Replay(program, forged(verdict, k, **changes), before=first)


def test_lemma_holds_by_its_definitions_alone(verdict):
    """Its tensors are free but for the definitions that it names: random numbers for them, and both sides agree."""
    rng = np.random.default_rng(0)
    order = {t: k for k, t in enumerate(joined(verdict.program, verdict.claim).tensors)}
    for lemma in verdict.lemmas:
        lines = {d.tensor: d for d in (*lemma.definitions, lemma.equation)}
        lines[lemma.equation.tensor] = lemma.definitions[0]
        lines = sorted(lines.values(), key=lambda d: order[d.tensor])
        told = Equation(Tensor("told", lemma.equation.tensor.shape), lemma.equation.indices, lemma.equation.value)
        read = dict.fromkeys(e.tensor for d in (*lines, told) for e in entries_once(d.value))
        inputs = tuple(t for t in read if t not in {d.tensor for d in lines})
        sizes = {"N": 2, "H": 3}
        lengths = {t: tuple(sizes.get(getattr(n, "name", ""), 1) for n in t.shape) for t in inputs}
        values = {t.name: rng.uniform(0.5, 2, lengths[t]) for t in inputs}
        found = evaluate(Program(inputs, (*lines, told), ()), sizes, values)
        np.testing.assert_allclose(found[lemma.equation.tensor.name], found["told"], rtol=1e-9, err_msg=lemma.text)


def test_definitions_are_as_few_as_possible(verdict, program):
    number_ = of_the_user(verdict, lambda m: len(m.opened) > 1)
    for k in range(len(verdict.lemmas[number_].opened)):
        opened = verdict.lemmas[number_].opened
        with pytest.raises(ProofError, match="does not hold by the definitions"):
            Replay(program, forged(verdict, number_, opened=opened[:k] + opened[k + 1 :]))


def test_wrong_sign_is_refused(verdict, program):
    k = of_the_user(verdict, lambda m: m.opened)
    own = verdict.lemmas[k].equation
    for factor in (-1, 2):
        wrong = replace(own, value=multiply(number(factor), own.value))
        with pytest.raises(ProofError, match="does not hold"):
            Replay(program, forged(verdict, k, equation=wrong))


def test_wrong_order_of_axes_is_refused(verdict, program):
    H = Symbol("H", "size")
    k = of_the_user(verdict, lambda m: m.equation.tensor.shape == (H, H))
    own = verdict.lemmas[k].equation
    (entry,) = entries_once(own.value)
    wrong = replace(own, value=Entry(entry.tensor, entry.indices[::-1]))
    with pytest.raises(ProofError, match="does not hold"):
        Replay(program, forged(verdict, k, equation=wrong))


def test_missing_lemma_is_missed_by_those_that_use_it(verdict, program):
    k = of_the_user(verdict, lambda m: m.opened)
    with pytest.raises(ProofError):
        Replay(program, verdict.lemmas[:k] + verdict.lemmas[k + 1 :])


def test_lemmas_in_another_order_are_refused(verdict, program):
    with pytest.raises(ProofError, match="order"):
        Replay(program, verdict.lemmas[::-1])
    with pytest.raises(ProofError, match="order"):
        Replay(program, (*verdict.lemmas, verdict.lemmas[-1]))


def test_lemma_by_itself_or_by_a_later_tensor_is_refused(verdict, program):
    k = of_the_user(verdict, lambda m: True)
    own = verdict.lemmas[k].equation
    later = next(e.tensor for e in reversed(program.equations) if e.tensor.shape == own.tensor.shape)
    for tensor in (own.tensor, later):
        wrong = replace(own, value=Entry(tensor, own.indices))
        with pytest.raises(ProofError, match="does not stand before"):
            Replay(program, forged(verdict, k, equation=wrong))


def test_lemma_that_opens_a_later_definition_is_refused(verdict, program):
    k = of_the_user(verdict, lambda m: True)
    with pytest.raises(ProofError, match="opens what is not defined"):
        Replay(program, forged(verdict, k, opened=(program.equations[-1].tensor,)))


def test_stray_index_is_refused(verdict, program):
    k = of_the_user(verdict, lambda m: len(m.equation.indices) == 2)
    own = verdict.lemmas[k].equation
    wrong = replace(own, indices=(own.indices[0], own.indices[0]))
    with pytest.raises(ProofError, match="not about all"):
        Replay(program, forged(verdict, k, equation=wrong))


def test_definitions_in_a_circle_are_refused():
    """Each of two programs takes from outside what the other defines by it."""
    n = Symbol("N", "size")
    i, a, b = Index("i", n), Tensor("a", (n,)), Tensor("b", (n,))
    one = number(1)
    first = Program((b,), (Equation(a, (i,), add(Entry(b, (i,)), one)),), ())
    second = Program((a,), (Equation(b, (i,), add(Entry(a, (i,)), one)),), ())
    with pytest.raises(IndexNotationError):
        joined(first, second)


def test_lemma_about_an_input_is_refused():
    n = Symbol("N", "size")
    i, a, b = Index("i", n), Tensor("a", (n,)), Tensor("b", (n,))
    program = Program((a, b), (), ())
    with pytest.raises(ProofError, match="no equation defines"):
        Replay(program, [Lemma(Equation(b, (i,), Entry(a, (i,))))])


# Each refusal by itself: lemmas about a program of a few lines, one of which is not as it must be.

N, M = Symbol("N", "size"), Symbol("M", "size")
i, j, k, m = Index("i", N), Index("j", N), Index("k", N), Index("m", M)
X, LABEL = Tensor("x", (N, N)), Tensor("l", (N,), "integer")
A, B, C = Tensor("a", (N, N)), Tensor("b", (N, N)), Tensor("c", (N, N))
COUNT = Tensor("count", (N,), "integer")


def at(tensor, *places):
    return Entry(tensor, places)


SMALL = Program(
    (X, LABEL),
    (
        Equation(A, (i, j), multiply(at(X, i, j), at(X, i, j))),
        Equation(COUNT, (i,), add(at(LABEL, i), number(1))),
        Equation(B, (i, j), multiply(at(X, j, i), at(X, j, i))),
        Equation(C, (i, j), add(at(A, i, j), at(B, j, i))),
    ),
    (C,),
)
RIGHT = (
    Lemma(Equation(B, (i, j), at(A, j, i)), (A,)),
    Lemma(Equation(C, (i, j), multiply(number(2), at(A, i, j))), ()),
)


def about(tensor, places, value, opened=()):
    return Lemma(Equation(tensor, places, value), opened)


REFUSED = {
    "is not about all of its entries": (
        about(B, (i, i), at(A, i, i), (A,)),  # the diagonal alone
        about(B, (i, m), at(A, m, i), (A,)),
        about(B, (i,), at(A, i, i), (A,)),
        about(B, (i, j, k), at(A, j, i), (A,)),
    ),
    "which no equation defines as real numbers": (
        about(X, (i, j), at(X, j, i)),
        about(COUNT, (i,), add(at(LABEL, i), number(1))),
        about(Tensor("other", (N,)), (i,), number(0)),
    ),
    "speaks of what does not stand before it": (
        about(B, (i, j), at(A, j, k), (A,)),
        about(B, (i, j), at(C, i, j), (A,)),
        about(B, (i, j), at(B, i, j), (A,)),
        about(B, (i, j), at(Tensor("other", (N, N)), i, j), (A,)),
    ),
    "has an entry with too many indices, or too few": (
        about(B, (i, j), at(A, j), (A,)),
        about(B, (i, j), at(A, j, i, i), (A,)),
    ),
    "opens what is not defined before it": (
        about(B, (i, j), at(A, j, i), (A, C)),
        about(B, (i, j), at(A, j, i), (A, X)),
    ),
    "does not hold by the definitions that it names": (
        about(B, (i, j), at(A, i, j), (A,)),
        about(B, (i, j), at(A, j, i)),
        about(B, (i, j), multiply(number(-1), at(A, j, i)), (A,)),
        about(B, (i, j), number(0), (A,)),
    ),
}


def test_replay_accepts_lemmas_that_hold():
    replayed = Replay(SMALL, RIGHT)
    assert [lemma.equation for lemma in replayed.lemmas] == [lemma.equation for lemma in RIGHT]
    assert [len(lemma.definitions) for lemma in replayed.lemmas] == [2, 1]
    assert not replayed.equal(A, B) and replayed.equal(B, B) and not replayed.equal(B, None)
    transposed = Program(SMALL.inputs, (*SMALL.equations, Equation(Tensor("d", (N, N)), (i, j), at(B, j, i))), (C,))
    assert Replay(transposed, RIGHT[:1]).equal(transposed.equations[-1].tensor, A)


def test_views_of_two_shapes_are_two_tensors():
    """Each holds what x has at its places, but one of them has fewer."""
    whole, part, few = Tensor("d", (N, N)), Tensor("e", (M, N)), Index("f", M)
    views = Equation(whole, (i, j), at(X, j, i)), Equation(part, (few, j), at(X, j, few))
    replayed = Replay(Program(SMALL.inputs, (*SMALL.equations, *views), (C,)), ())
    assert replayed.equal(whole, whole) and not replayed.equal(whole, part) and not replayed.equal(part, whole)


@pytest.mark.parametrize(("words", "lemma"), [(words, lemma) for words, lemmas in REFUSED.items() for lemma in lemmas])
def test_replay_refuses_with_its_reason(words, lemma):
    with pytest.raises(ProofError, match=words):
        Replay(SMALL, (lemma,))


@pytest.mark.parametrize("lemmas", [RIGHT[::-1], (RIGHT[0], RIGHT[0]), (RIGHT[1], RIGHT[1])])
def test_replay_refuses_another_order_and_two_of_one(lemmas):
    with pytest.raises(ProofError, match="does not stand in the order of the equations"):
        Replay(SMALL, lemmas)


N_ = Symbol("N", "size")
n_ = Index("n", N_)
X_, LINES = Tensor("x", (N_,)), [Tensor(f"t{k}", (N_,)) for k in range(3)]
DOUBLED = [
    Equation(t, (n_,), multiply(number(2), Entry(before, (n_,))))
    for before, t in zip([X_, *LINES[:2]], LINES, strict=True)
]
SHORT = Program((X_,), tuple(DOUBLED), (LINES[-1],))


def said_of(k, value=None, opened=None):
    """The lemma that line k is 2**(k + 1) times x, by all lines up to it."""
    equation = Equation(LINES[k], (n_,), value or multiply(number(2 ** (k + 1)), Entry(X_, (n_,))))
    chosen = tuple(LINES[:k]) if opened is None else opened
    return Lemma(equation, chosen, tuple(DOUBLED[: k + 1]), ())


@pytest.mark.parametrize("order", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)])
def test_lemmas_may_begin_at_any_line_and_follow_the_order_of_the_lines(order):
    replay = Replay(SHORT, [said_of(k) for k in order])
    assert [m.equation.tensor for m in replay.lemmas] == [LINES[k] for k in order]
    if len(order) > 1:
        with pytest.raises(ProofError, match="does not stand in the order"):
            Replay(SHORT, [said_of(k) for k in reversed(order)])
    with pytest.raises(ProofError, match="does not stand in the order"):
        Replay(SHORT, [said_of(order[-1]), said_of(order[-1])])


def test_a_lemma_rests_on_its_own_line_and_those_before_it():
    with pytest.raises(ProofError, match="opens what is not defined before it"):
        Replay(SHORT, [said_of(0, opened=(LINES[0], LINES[1]))])
    with pytest.raises(ProofError, match="does not hold"):
        Replay(SHORT, [said_of(1, multiply(number(5), Entry(X_, (n_,))))])
    for later in (LINES[1], LINES[2]):
        with pytest.raises(ProofError, match="speaks of what does not stand before it"):
            Replay(SHORT, [said_of(1, multiply(number(2), Entry(later, (n_,))))])
    assert Replay(SHORT, [said_of(1, multiply(number(2), Entry(LINES[0], (n_,))), ())]).lemmas


def test_of_a_recurrence_there_is_one_lemma_for_each_tensor():
    """Running sums of x and of 2*x: each is x and what was there before, and of both tensors one is twice the other."""
    lines, pairs = [], []
    for k in (1, 2):
        before, total = Tensor(f"before{k}", (N_,)), Tensor(f"total{k}", (N_,))
        earlier = multiply(Compare("<=", ONE, n_), Entry(total, (subtract(n_, ONE),)))
        now = add(multiply(number(k), Entry(X_, (n_,))), Entry(before, (n_,)))
        lines += [Equation(before, (n_,), earlier), Equation(total, (n_,), now)]
        pairs.append((before, total))
    lemmas = [
        Lemma(Equation(other, (n_,), multiply(number(2), Entry(one, (n_,)))), (one,), tuple(lines), ())
        for one, other in zip(*pairs, strict=True)
    ]
    program = Program((X_,), tuple(lines), (pairs[1][1],))
    assert Replay(program, lemmas).lemmas
    for twice in ([lemmas[0], *lemmas], [*lemmas, lemmas[1]]):
        with pytest.raises(ProofError, match="does not stand in the order"):
            Replay(program, twice)
