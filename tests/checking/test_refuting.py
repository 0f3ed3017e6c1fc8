"""The search for a counterexample by itself: which points are looked at, which of them is kept, and when it ends.

What examining a point shows is stood in for; the search may not know.
"""

import itertools
import math
from types import SimpleNamespace

import pytest

from symbackprop.checking import refute as module
from symbackprop.checking.refute import CLEAR, HOPELESS, PLAIN, PRECISIONS, Search
from symbackprop.errors import MalformedError, UnsupportedError
from symbackprop.evaluation.number_types import TooCloseError
from symbackprop.expression.build import Entry, Index, Symbol, Tensor, multiply, number
from symbackprop.expression.program import Equation, Program


class Shown:
    """What a point shows: wrong names, how plainly, shapes that do not fit."""

    def __init__(self, wrong=(), strength=0.0, misshapen=(), tells=True, sizes=(), worst=1.0):
        self.wrong, self.strength, self.worst_value = list(wrong), strength, worst
        self.misshapen = {name: ((2,), (3,)) for name in misshapen}
        self.told, self.number_field = tells, SimpleNamespace(bits=128)
        self.point = SimpleNamespace(sizes=dict(sizes))

    def disagreements(self):
        return self.wrong

    def tells(self):
        return self.told

    def worst(self, name):
        return self.worst_value

    def gap(self, name):
        return self.strength, (0,)


class Looking:
    """A search over points that are given with what they show; `late` after so many looks."""

    made = None

    def __init__(self, shown, late=math.inf, fits=True):
        self.shown, self.left, self.fitting, self.asked = shown, late, fits, []
        self.sampler = SimpleNamespace(
            size_choices=lambda: [{"N": 3}, {"N": 4}, {"N": 5}], real_inputs=(), point=lambda *a, **o: next(self.sought),
            moved=lambda point, assignment: ("moved", point),
        )  # fmt: skip
        self.sought, self.rng, self.question, Looking.made = itertools.count(), None, None, self

    def __call__(self, question, seconds=0.0, seed=0):
        self.question = question
        return self

    def points(self, stage, at=()):
        yield from ((p, 128) for p in at)
        yield from ((k, 128) for k in range(len(at), len(self.shown)))

    def late(self):
        self.left -= 1
        return self.left < 0

    def fits(self, point):
        return self.fitting

    def examined_once(self, point, bits=128):
        return self.examine(point, bits)

    def examine(self, point, bits=128):
        self.asked.append(point)
        place = point[1] if isinstance(point, tuple) else point
        return self.shown[place] if place < len(self.shown) else None

    def strength(self, found, names):
        return found.strength


@pytest.fixture
def looking(monkeypatch):
    def over(*shown, **options):
        search = Looking(list(shown), **options)
        monkeypatch.setattr(module, "Search", search)
        monkeypatch.setattr(module, "counterexample", lambda question, found: found)
        monkeypatch.setattr(module, "shrink", lambda point, sampler, refutes, seconds: None)
        return search

    return over


QUESTION = SimpleNamespace(
    pairs={"x": 1, "w": 2}, constants=[], only=lambda names: names, claimed=SimpleNamespace(equations=())
)
RIGHT, NONE = Shown(), None


def test_the_plainest_disagreement_is_kept_and_a_clear_one_ends_the_search(looking):
    weak, plain, clear = Shown(["x"], 1e-9), Shown(["x"], CLEAR / 2), Shown(["w"], CLEAR)
    search = looking(RIGHT, weak, NONE, plain, Shown(["x"], 1e-8), clear, Shown(["x"], 1.0))
    assert module.refute(QUESTION) is clear and search.asked == [0, 1, 2, 3, 4, 5]
    looking(weak, plain, Shown(["w"], CLEAR / 2))
    assert module.refute(QUESTION) is plain
    looking(Shown(["x"], 0.0), RIGHT)
    assert module.refute(QUESTION).wrong == ["x"], "what floating point does not show refutes all the same"
    looking(RIGHT, NONE, RIGHT)
    assert module.refute(QUESTION) is None


def test_shapes_that_do_not_fit_are_told_where_nothing_else_is_wrong(looking):
    misfit = Shown([], misshapen=["w"], sizes={Symbol("N", "size"): 3}.items())
    looking(RIGHT, misfit, RIGHT)
    with pytest.raises(MalformedError, match="the gradient of w has the wrong shape") as told:
        module.refute(QUESTION)
    assert [line.split() for line in told.value.evidence] == [
        ["claimed:", "(2,)"],
        ["needed:", "(3,)"],
        ["sizes:", "N", "=", "3"],
    ]
    looking(Shown([], misshapen=["w"]), Shown(["w"], 1.0))
    with pytest.raises(MalformedError) as told:
        module.refute(QUESTION)
    assert len(told.value.evidence) == 2, "of no sizes nothing is said"
    other = Shown(["x"], 1.0, misshapen=["w"])
    looking(misfit, other)
    assert module.refute(QUESTION) is other
    both = Shown(["w", "x"], 1.0)
    looking(misfit, both)
    assert module.refute(QUESTION) is both


def test_the_search_ends_with_its_time_but_not_before_points_that_are_expected_to_tell(looking):
    wrong = Shown(["x"], 1.0)
    search = looking(RIGHT, RIGHT, wrong, late=2)
    assert module.refute(QUESTION) is None and search.asked == [0, 1]
    looking(wrong, late=0)
    assert module.refute(QUESTION) is None and module.refute(QUESTION, at=(0,)) is wrong
    search = looking(RIGHT, wrong, fits=False)
    assert module.refute(QUESTION) is None and search.asked == []
    search = looking(RIGHT, RIGHT, wrong, fits=False)
    assert module.refute(QUESTION, at=(0, 1)) is None and search.asked == [0, 1]


@pytest.mark.parametrize("first", [RIGHT, None], ids=["one that tells", "none"])
def test_many_points_in_a_row_that_tell_nothing_end_the_search(looking, first):
    search = looking(*([first] if first else []), *[NONE] * (HOPELESS + 50), Shown(["x"], 1.0))
    found = module.refute(QUESTION)
    assert (found is None) is (first is None)
    assert len(search.asked) == (HOPELESS if first is None else HOPELESS + 52)


@pytest.mark.parametrize("small", [True, False])
def test_a_counterexample_is_made_smaller_where_it_stays_as_plain(looking, monkeypatch, small):
    found, answers = Shown(["x", "w"], 1.0), []
    smaller = [NONE, Shown(["w"], 1.0), RIGHT, Shown(["x"], CLEAR / 2), Shown(["x"], CLEAR)]
    search = looking(found)

    def shrunk(point, sampler, refutes, seconds):
        search.shown = smaller
        answers.extend(refutes(k) for k in range(len(smaller)))

    monkeypatch.setattr(module, "shrink", shrunk)
    answer = module.refute(QUESTION, small=small)
    if small:
        assert answers == [False, False, False, False, True] and answer is smaller[4]
    else:
        assert answer is found and not answers


def test_wrong_gradients_are_collected_until_none_is_in_doubt(looking):
    search = looking(RIGHT, Shown(["w"]), NONE, Shown([], misshapen=["x"]), Shown(["x"]))
    assert module.wrong_gradients(QUESTION) == ["x", "w"] and search.asked == [0, 1, 2, 3]
    looking(RIGHT, Shown(["w"]))
    assert module.wrong_gradients(QUESTION) == ["w"]
    assert module.wrong_gradients(QUESTION, ["x"]) == []
    search = looking(RIGHT, Shown(["w"]), late=1)
    assert module.wrong_gradients(QUESTION) == []
    looking(Shown(["w"]), RIGHT, late=0)
    assert module.wrong_gradients(QUESTION, at=(0,)) == ["w"]
    search = looking(Shown(["w"]))
    assert module.wrong_gradients(QUESTION, []) == [] and search.asked == []


@pytest.mark.parametrize("deep", [True, False])
def test_cross_examination_wants_points_that_tell(looking, deep):
    question = SimpleNamespace(claimed=SimpleNamespace(equations=[0] * (module.DEEP + deep)))
    asked = []
    search = looking(NONE, Shown(tells=False), RIGHT, NONE, RIGHT, Shown(["x"]))
    honest = search.sampler.point
    search.sampler.point = lambda sizes, scale: asked.append((sizes["N"], scale)) or honest()
    assert module.cross_examine(question) is True
    assert search.asked == [0, 1, 2, 3, 4] and [n for n, _ in asked] == [3] * 5
    assert [scale for _, scale in asked] == ([0.25, 0.125, 0.0625, 0.03125, 0.25] if deep else [1.0] * 5)
    looking(RIGHT, Shown(["x"]))
    assert module.cross_examine(question, points=1) is True
    wrong = Shown(["x"])
    looking(RIGHT, wrong)
    assert module.cross_examine(question) is wrong
    looking(Shown(misshapen=["w"]))
    with pytest.raises(MalformedError):
        module.cross_examine(question)


def test_cross_examination_tries_two_choices_of_sizes_and_gives_up(looking):
    question = SimpleNamespace(claimed=SimpleNamespace(equations=()))
    asked = []
    search = looking()
    search.sampler.point = lambda sizes, scale: asked.append(sizes["N"]) or 0
    for given in (search.examine, lambda *_: Shown(tells=False)):
        asked.clear()
        search.examine = given
        with pytest.raises(UnsupportedError, match="no point at which the two could be compared"):
            module.cross_examine(question)
        assert asked == [3] * 8 + [4] * 8
    search.examine = lambda *_: RIGHT
    asked.clear()
    assert module.cross_examine(question, sizes={"N": 9}) is True and asked == [9, 9]
    search.sampler.size_choices = list
    with pytest.raises(UnsupportedError):
        module.cross_examine(question)


@pytest.mark.parametrize(("late", "fits"), [(math.inf, True), (0, True), (math.inf, False)])
def test_points_without_a_value_are_sought_beside_constants(looking, monkeypatch, late, fits):
    wrong = Shown(["x"], 1.0)
    search = looking(NONE, RIGHT, RIGHT, wrong, late=late, fits=fits)
    monkeypatch.setattr(module, "assignments", lambda *_: ["a", "b", "c"])
    found = module.refute_outside(QUESTION, 1.0)
    if late and fits:
        assert found is wrong and search.asked == [0, 1, ("moved", 2), ("moved", 3)]
    else:
        assert found is None and search.asked == []
    looking(NONE, RIGHT)
    assert module.refute_outside(QUESTION, 1.0) is None


TIE = SimpleNamespace(forward=SimpleNamespace(equations=[]))


@pytest.mark.parametrize("ties", [True, False])
@pytest.mark.parametrize(("late", "fits"), [(math.inf, True), (0, True), (math.inf, False)])
def test_ties_are_looked_at_where_a_largest_entry_is_taken(looking, monkeypatch, ties, late, fits):
    i = Index("e", Symbol("N", "size"))
    value = module.Extremum("max", i, Entry(Tensor("x", (i.size,)), (i,))) if ties else number(1)
    question = SimpleNamespace(
        forward=SimpleNamespace(equations=[SimpleNamespace(value=value), SimpleNamespace(value=number(2))])
    )
    looking(late=late, fits=fits)
    seen = []
    shown = [None, None, "tie"]
    kinks = SimpleNamespace(wrong_beside_ties=lambda point: seen.append(point) or shown[point])
    monkeypatch.setattr(module, "AtKinks", lambda *_: kinks)
    found = module.refute_beside_ties(question, 1.0, 3)
    assert found == ("tie" if ties and late and fits else None)
    assert seen == ([0, 1, 2] if ties and late and fits else [])
    assert module.refute_beside_ties(question, 1.0, 0) is None


@pytest.mark.parametrize(("of_claim", "jumps"), [(True, True), (False, True), (True, False)])
@pytest.mark.parametrize("at_kinks", [True, False])
@pytest.mark.parametrize("shown", ["wrong", "without a value", "right", "nothing"])
def test_points_on_thresholds_refute_where_the_claim_has_a_wrong_value(
    looking, monkeypatch, of_claim, jumps, at_kinks, shown
):
    table = {
        "wrong": Shown(["x"], 1.0, worst=2.0),
        "without a value": Shown(["x"], 1.0, worst=math.nan),
        "right": RIGHT,
        "nothing": None,
    }
    looking(table[shown])
    difference = multiply(number(2), Index("k", number(3)))
    site = SimpleNamespace(claimed=of_claim, of_equality=True, difference=difference, jumps=jumps)
    director = SimpleNamespace(sites=[site], on_thresholds=lambda base, given: iter([0]), crosses=lambda *_: True)
    made = []
    kinks = SimpleNamespace(unmet=[], wrong=lambda point: table["wrong"])
    Looking.made.settled = lambda base: None
    monkeypatch.setattr(module, "Director", lambda *_: director)
    monkeypatch.setattr(module, "AtKinks", lambda question, inputs, equalities, rng: made.append(equalities) or kinks)
    monkeypatch.setattr(module, "replace", lambda question, **_: question)
    monkeypatch.setattr(module, "compared_as_floats", lambda program: program)
    question = SimpleNamespace(forward=None, claimed=None)
    found, unmet = module.refute_on_thresholds(question, 1.0, at_kinks)
    if not (of_claim and jumps) and not at_kinks:
        assert (found, unmet, made) == (None, "", [])
        return
    assert made == [[site] if at_kinks and of_claim else []]
    refuted = shown == "wrong" or (shown == "nothing" and at_kinks)
    assert (found is not None) is refuted and unmet == ""
    kinks.unmet = [site]  # numbers come near to it, from both sides, and none meets it
    looking(RIGHT)
    Looking.made.settled = lambda base: None
    found, unmet = module.refute_on_thresholds(question, 1.0, at_kinks)
    assert found is None and unmet == "2*k == 0"
    director.crosses = lambda *_: False
    looking(RIGHT)
    Looking.made.settled = lambda base: None
    assert module.refute_on_thresholds(question, 1.0, at_kinks) == (None, "")
    looking(table["wrong"], late=0)
    Looking.made.settled = lambda base: None
    assert module.refute_on_thresholds(question, 1.0, at_kinks) == (None, "")


# The search itself.

N = Symbol("N", "size")
n = Index("n", N)
U, V, DU, UP = Tensor("u", (N,)), Tensor("v", (N,)), Tensor("du", (N,)), Tensor("dv", (N,))


def linear(slope=3, claimed=2):
    forward = Program((U,), (Equation(V, (n,), multiply(number(slope), Entry(U, (n,)))),), (V,))
    claim = Program((U, UP), (Equation(DU, (n,), multiply(number(claimed), Entry(UP, (n,)))),), (DU,))
    return module.Question(forward, claim, {"u": (U, DU)}, (UP,))


@pytest.mark.parametrize("vague", [0, 1, 2, 3])
@pytest.mark.parametrize("close", [0, 1, 2, 3])
@pytest.mark.parametrize("start", [0, 1, 2])
def test_precision_rises_until_enclosures_are_narrow(monkeypatch, vague, close, start):
    """A point is too close to a kink at the first few, and vague at those after them."""
    search, asked = Search(linear(), 60.0), []

    def examiner(point, field):
        asked.append(field.bits)
        k = PRECISIONS.index(field.bits)

        def examine(point):
            if k < close:
                raise TooCloseError("a kink")
            return SimpleNamespace(vague=lambda: k < vague, at=k)

        return SimpleNamespace(examine=examine)

    monkeypatch.setattr(search, "_examiner", examiner)
    found = search.examine(SimpleNamespace(sizes={N: 2}), PRECISIONS[start])
    last = min(max(vague, close, start), 2)
    assert asked == list(PRECISIONS[start : last + 1])
    assert found is None if close == 3 else found.at == last


@pytest.mark.parametrize(
    ("gaps", "finite", "floats", "shown", "strength"),
    [
        ({"x": 0.5}, True, True, True, 0.5),
        ({"x": 0.5, "w": 2.0}, True, True, True, 2.0),
        ({"x": 0.5}, False, True, True, 0.5e-9),
        ({"x": 0.5}, True, False, True, 0.5e-9),
        ({"x": 0.5}, True, True, False, 0.5e-9),
        ({"x": 5.0}, True, True, False, 1e-9),
        ({"x": PLAIN}, True, True, True, PLAIN * 1e-9),
        ({"x": PLAIN / 2, "w": 0.25}, True, True, True, 0.25),
        ({}, True, True, True, 0.0),
    ],
)
def test_a_disagreement_is_as_plain_as_floating_point_shows_it(monkeypatch, gaps, finite, floats, shown, strength):
    search = Search(linear(), 60.0)
    monkeypatch.setattr(search, "_in_floats", lambda point: object() if floats else None)
    monkeypatch.setattr(module, "_shown", lambda *_: shown)
    found = SimpleNamespace(gap=lambda name: (gaps[name], (0,)), finite=lambda: finite, point=None)
    assert search.strength(found, gaps) == pytest.approx(strength)


@pytest.mark.parametrize(
    ("claimed", "correct", "shown"),
    [(2.0, 3.0, True), (2.09, 3.0, True), (2.0, 3.09, True), (2.11, 3.0, False), (2.0, 2.89, False), (3.0, 2.0, False)],
)
def test_floating_point_shows_what_it_gives_up_to_a_tenth(claimed, correct, shown):
    side = lambda a, b: SimpleNamespace(claimed={"x": {(0,): a}}, correct={"x": {(0,): b}})  # noqa: E731
    assert module._shown(side(2.0, 3.0), side(claimed, correct), "x", (0,)) is shown


@pytest.mark.parametrize("values", [(1.0, 2.0), (math.nan, 2.0), (1.0, math.inf), None])
def test_floats_tell_nothing_where_one_is_no_number(monkeypatch, values):
    search = Search(linear(), 60.0)

    def examine(point):
        if values is None:
            raise ZeroDivisionError
        return SimpleNamespace(claimed={"x": {(): values[0]}}, correct={"x": {(): values[1]}})

    monkeypatch.setattr(search, "_examiner", lambda point, field: SimpleNamespace(examine=examine))
    found = search._in_floats(None)
    assert (found is not None) is (values == (1.0, 2.0))


@pytest.mark.parametrize("stage", ["first look", "directed", "all"])
@pytest.mark.parametrize("choices", [True, False])
def test_stages_have_points_of_their_own(monkeypatch, stage, choices):
    search = Search(linear(), 60.0)
    monkeypatch.setattr(search.sampler, "size_choices", lambda: [1, 2] if choices else [])
    monkeypatch.setattr(search, "_first_look", lambda sizes: iter([("first", 0)]))
    monkeypatch.setattr(search, "_directed", lambda sizes: iter([("directed", 0)]))
    found = [point for point, _ in search.points(stage, ("given",))]
    own = {"first look": ["first"], "directed": ["directed"], "all": ["first", "directed"]}[stage]
    assert found == ["given", *(own if choices else [])]


def test_the_first_look_is_at_every_choice_of_sizes():
    search = Search(linear(), 60.0)
    search.sampler.point = lambda sizes: sizes
    found = list(search._first_look([1, 2, 3]))
    assert found == [(1, PRECISIONS[-1]), *((s, PRECISIONS[0]) for s in (1, 2, 3, 1, 2, 3, 1, 1, 1))]


@pytest.mark.parametrize("wrong", [True, False])
def test_a_glance_gives_up_after_some_points_that_show_nothing(monkeypatch, wrong):
    looked = []
    examine = Search.examine

    def watched(self, point, bits=PRECISIONS[0]):
        looked.append(point)
        return examine(self, point, bits)

    monkeypatch.setattr(Search, "examine", watched)
    question = linear(claimed=2 if wrong else 3)
    found = module.refute(question, budget_seconds=60.0, stage="first look", most=3, small=False)
    assert (found is not None) is wrong and (wrong or len(looked) == 3)
    looked.clear()
    assert module.wrong_gradients(question, budget_seconds=60.0, stage="first look", most=2) == (["u"] if wrong else [])
    assert wrong or len(looked) == 2


def test_a_slow_point_is_not_begun_where_the_time_is_nearly_up():
    search = Search(linear(), 60.0)
    point = SimpleNamespace(sizes={N: 2})
    assert search.fits(point)
    search._pace = 1e6
    assert not search.fits(point)
    search._pace = 1e-9
    assert search.fits(point)
    found = search.examine(search.sampler.point({N: 2}))
    assert found.disagreements() == ["u"] and search._pace <= 1e-9
    search._pace = 1e6
    search.examine(search.sampler.point({N: 2}))
    assert search._pace < 1e6
    search._pace = None
    search.examine(search.sampler.point({N: 2}), PRECISIONS[1])
    assert search._pace is None
    search.examine(search.sampler.point({N: 2}))
    assert search._pace is not None and search.settled(search.sampler.point({N: 2})) is not None


def test_a_point_that_is_kept_is_examined_once_for_all_that_ask_the_same():
    question, points = SimpleNamespace(told_points={}, pairs={"x": 1}), [object(), object()]
    asked = []
    search = object.__new__(module.Search)
    search.question, search.examine = question, lambda point, bits: asked.append((point, bits))
    for point, bits in ((points[0], 128), (points[0], 128), (points[1], 128), (points[0], 256)):
        assert search.examined_once(point, bits) is None
    assert asked == [(points[0], 128), (points[1], 128), (points[0], 256)]
