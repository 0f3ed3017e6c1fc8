"""A document's equations, judged one by one: extraction, conventions, definitions, links, verdicts.

Main name: `audit`.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from symbackprop.audit.arguments import counted_arguments
from symbackprop.audit.arrays import Misfit, NotRead
from symbackprop.audit.changes import Change, changes
from symbackprop.audit.definitions import (
    Environment,
    assigned,
    changes_in,
    environment,
    given_changes,
    mentions_in,
    rests_on,
)
from symbackprop.audit.differentials import with_differentials
from symbackprop.audit.error_terms import Meaning, meanings, opposite, recursions
from symbackprop.audit.extraction import Document, Formula, extract
from symbackprop.audit.grammar import parse, parse_expression
from symbackprop.audit.inference import infer
from symbackprop.audit.judge import (
    Case,
    Comparison,
    Ruling,
    Setting,
    Trials,
    compare,
    decided,
    in_both_orders,
    square_inputs,
    with_one_hot,
    with_symmetric,
)
from symbackprop.audit.latex import to_tex
from symbackprop.audit.layout import Layout, layouts, turns, updates
from symbackprop.audit.lengths import Lengths
from symbackprop.audit.lint import findings, mended, oddities
from symbackprop.audit.names import Names, survey
from symbackprop.audit.naming import as_names, has_names, named_gradients, names_in_words
from symbackprop.audit.notation import override, profile, stated
from symbackprop.audit.one_example import ONE_EXAMPLE, for_one_example, is_spoken_of
from symbackprop.audit.parts import Part, parts, seen_from
from symbackprop.audit.piecewise import THRESHOLDS, thresholds_in
from symbackprop.audit.premises import Supposed, Suppositions, fixed, is_condition, special, supposes
from symbackprop.audit.primes import as_derivatives, with_transposes
from symbackprop.audit.repairs import Candidate, Slips, beside
from symbackprop.audit.repeated_indices import RepeatedIndices, convention
from symbackprop.audit.said_cases import in_words, premise, said_cases
from symbackprop.audit.scope import Facts, Reading
from symbackprop.audit.sections import alone, groups
from symbackprop.audit.tree import (
    Big,
    Chain,
    Derivative,
    Display,
    Group,
    Link,
    Node,
    NotUnderstood,
    Number,
    Product,
    Relation,
    Script,
    Scripts,
    Symbol,
    Terms,
    links,
    walk,
)
from symbackprop.audit.unit_layers import layers_of_units
from symbackprop.checking.counterexample import Counterexample
from symbackprop.errors import SymbackpropError
from symbackprop.expression.functions import FUNCTIONS
from symbackprop.normal_form.work_time import worked

REPAIR, REPAIRS = 1.2, 4.5  # seconds of work for the repair of one equation, and of all
QUICK = 0.05
LONGEST = 20_000  # characters of one formula
ALL = 300.0  # seconds of work for a document: what is left then is undecided
FACTORS = tuple(
    Number(n) if s == "+" else Terms((Number(n),), ("-",)) for n in ("1", "0.5", "2") for s in "+-"
)  # by which an equation that is put otherwise differs
DERIVED = r"\b(?:derivative|differentiat|slope|chain rule|product rule|quotient rule)"
AT_ONCE = "the cost depends on no other time"
COSTS_APART = "no cost is made of another"
APART = r"\\notin|negative sampl|\bnegatives?\b|\bdistinct from\b|\bother than\b"
EQUALITIES = frozenset(["=", ":=", "≡", "≜", "≐"])


@dataclass(frozen=True)
class Judgement:
    """What is said of one link.

    Args:
        status: PROVED, PROVED IF, REFUTED, UNDECIDED, NOT UNDERSTOOD, DEFINITION or NOTATION.
        repair: LaTeX that is proved to be right in place of the right side, or of the whole link.
        changes: where the repair differs from the link: places in `latex` and in `repair`.
        mended: the row as it was read, where brackets do not match or scripts are not as TeX has them.
        oddities: what is odd in its form: an index on one side only, a sum without its index.
        place: the numbers of its formula and of its link in it.
    """

    formula: Formula
    row: int
    link: int
    latex: str
    status: str
    reason: str = ""
    conditions: tuple[str, ...] = ()
    repair: str | None = None
    changes: tuple[Change, ...] = ()
    mended: str | None = None
    oddities: tuple[str, ...] = ()
    counterexample: Counterexample | None = None
    ruling: Ruling | None = field(default=None, repr=False)
    place: tuple[int, int] = (-1, 0)


@dataclass
class Audit:
    """All that is said of a document.

    Args:
        stopped: how many formulas had been judged when it was interrupted; None if all have been.
    """

    document: Document
    judgements: list[Judgement]
    notation: dict[str, str]
    assumptions: list[str]
    stopped: int | None = None

    def counts(self) -> dict[str, int]:
        """How many judgements of each status there are."""
        found: dict[str, int] = {}
        for j in self.judgements:
            found[j.status] = found.get(j.status, 0) + 1
        return found


def audit(
    source: Path | str,
    kind: str | None = None,
    *,
    notation: Mapping[str, str] | None = None,
    observer: Callable[[str, int, int], None] | None = None,
    patience: float = 1.0,
) -> Audit:
    """Judge every equation of a document.

    Args:
        source: a path, or the text itself where it is a `str`.
        kind: "md", "tex" or "ipynb"; by default the path's ending.
        notation: conventions that are given: see `notation.override`.
        observer: told how many of the formulas are done.
        patience: how many times the usual time repairs may take; with enough of it the answer is the same everywhere.
    """
    document = extract(source, kind)
    displays = with_transposes(tuple(_parsed(f.latex) for f in document.formulas))
    named = has_names(displays)
    displays = as_names(displays) if named else displays
    counted = counted_arguments(displays)
    if counted is not None:
        displays = tuple(map(counted, displays))
    layered = layers_of_units(displays)
    if layered is not None:
        displays = tuple(layered(display) for display in displays)
    choices = stated(document.front_matter) | dict(notation or {})
    habits = survey(displays)
    why_summed = convention(document, displays, habits, choices)
    repeated = RepeatedIndices(Names(habits)) if why_summed else None
    if repeated is not None:
        displays = tuple(map(repeated.display, displays))
    spoken = names_in_words(document)
    changes = with_differentials(displays) if not spoken else None
    displays = changes or displays
    if layered is not None:
        spoken = [(layered(one), layered(two)) for one, two in spoken]
    whole = environment(displays, survey(displays), spoken, changes is not None)
    clock = Clock(patience * REPAIR, patience * REPAIRS, worked() + ALL)
    supposed = _error_terms(document, whole, clock)
    if supposed:
        spoken = [*spoken, *(pair for meaning in supposed for pair in meaning.pairs)]
        whole = environment(displays, survey(displays), spoken, changes is not None)
    gradients = _gradients(document, whole, clock)
    if gradients:
        spoken = [*spoken, *gradients]
        whole = environment(displays, survey(displays), spoken, changes is not None)
    divided = parts(document, whole)
    found = Audit(document, [], {}, [])
    found.assumptions += [told for meaning in supposed if (told := meaning.told)]
    found.assumptions += [f"{to_tex(name)} stands for {to_tex(slope)}" for name, slope in gradients]

    def judge_of(shown: Sequence[Display], words: Document, by_place: bool = True, others: bool = True) -> Judge:
        usual = shown is displays and by_place
        env = whole if usual else environment(shown, survey(shown, by_place), spoken, changes is not None)
        if env is not whole and others and (own := _gradients(document, env, clock)):
            env = environment(shown, survey(shown, by_place), [*spoken, *own], changes is not None)
        facts, lengths, reading = infer(words, env)
        if facts.guessed and others:  # b_1 may be a vector where b_2 is a number
            apart = environment(shown, survey(shown, by_place, True), spoken, changes is not None)
            if apart.habits.named_by_number and not (better := infer(words, apart))[0].guessed:
                env, (facts, lengths, reading) = apart, better
        if layered is not None:
            facts.assumptions.append("letters of units stand for layers that follow each other")
        if counted is not None:
            facts.assumptions.append("arguments over which sums run are indices")
        if repeated is not None:
            facts.assumptions.append(f"repeated indices are summed over, {why_summed}")
        override(choices, facts, reading)
        judge = Judge(document, env, facts, lengths, reading, clock)
        judge.named, judge.counted, judge.layered, judge.repeated = named, counted, layered, repeated
        if changes is not None:
            facts.assumptions.append("dJ is the total differential of J")
        if others and (single := for_one_example(env, shown)) is not None:
            judge.one_example = functools.partial(judge_of, single, words, others=False)
        if others and env.habits.placed:
            judge.singled_out = functools.partial(judge_of, shown, words, by_place=False, others=False)
        return judge

    for part in divided:
        shown = displays if len(divided) == 1 else seen_from(part, divided, displays, whole)
        judge = judge_of(shown, _words_first(document, part))
        env, facts, reading = judge.env, judge.facts, judge.reading
        judged: list[Judgement] = []
        for f in range(part.first, part.end):
            try:
                if observer is not None:
                    observer("equations", f, len(displays))
                judged += judge.formula(f, displays[f])
            except KeyboardInterrupt:  # what is known by then is told
                found.stopped = f
                break
        found.judgements += judge.laid_out(judged)
        line = document.formulas[part.first].line if part.first else 0
        for name, meaning in profile(document, env, facts, reading).items():
            if found.notation.setdefault(name, meaning) != meaning:
                found.notation[f"{name} from line {line} on"] = meaning
        found.assumptions += [a for a in facts.assumptions if a not in found.assumptions]
        if found.stopped is not None:
            break
    for group in groups(document, whole) if len(divided) == 1 and found.stopped is None else ():
        _read_alone(found, group, lambda g: judge_of(alone(document, whole, g), _words_of(document, g)))
    return found


def _read_alone(found: Audit, group: frozenset[int], judge_of: Callable[[frozenset[int]], Judge]) -> None:
    """Put in what is said of sections that stand by themselves, if more of them is understood so.

    What is proved in the document as a whole stays so; an equation for a quantity that other sections define otherwise
    is a definition where what rests on it is proved.
    """
    before = {j.place: j for j in found.judgements if j.place[0] in group}
    doubtful = {p: j.status for p, j in before.items() if j.status in ("NOT UNDERSTOOD", "UNDECIDED", "REFUTED")}
    if not doubtful:
        return
    judge = judge_of(group)
    displays = judge.env.displays
    steps = [(place, links(displays[place[0]])[place[1]]) for place in doubtful]
    now = ((p, judge.ruled(s.left, s.right, p).status) for p, s in steps if s.left is not None)
    if not any(status != doubtful[p] and status in ("PROVED", "REFUTED") for p, status in now):
        return
    judged = judge.laid_out([j for f in sorted(group) for j in judge.formula(f, displays[f])])
    after = {j.place: j for j in judged}
    sound = ("PROVED", "PROVED IF")
    anew = {p for p, j in after.items() if j.status == "DEFINITION" and before[p].status not in ("DEFINITION", *sound)}
    if any(j.status in sound and after[p].status not in sound for p, j in before.items()):
        return
    gained = [p for p, j in after.items() if j.status in sound and before[p].status not in sound]
    if anew and not gained:
        return
    # what the whole leaves undecided may hold by what it supposes: without that it is not refuted
    told = {"NOT UNDERSTOOD": (*sound, "REFUTED"), "UNDECIDED": sound}
    better = {p: j for p, j in after.items() if j.status in told.get(before[p].status, ())}
    if gained:  # what is wrong under what other sections say is so under what this one says, or is not
        better |= {p: j for p, j in after.items() if before[p].status == "REFUTED"}
    found.judgements = [better.get(j.place, j) for j in found.judgements]
    if better:
        lines = sorted(found.document.formulas[f].line for f in group)
        found.assumptions.append(f"letters mean in lines {lines[0]} to {lines[-1]} what these lines say alone")


def _words_of(document: Document, group: frozenset[int]) -> Document:
    """A document whose words begin with those of the sections of a group."""
    headings = {document.formulas[f].headings for f in group}
    lines = [(f.line, f.headings in headings) for f in document.formulas]

    def own(line: int) -> bool:
        return min(lines, key=lambda known: abs(known[0] - line))[1]

    first = [p for p in document.prose if own(p[0])]
    return replace(document, prose=(*first, *(p for p in document.prose if p not in first)))


def _error_terms(document: Document, env: Environment, clock: Clock) -> list[Meaning]:
    """What quantities stand for that are given by the next layer's alone: one of their equations proves it."""
    found = []
    for recursion in recursions(env):
        own = [d.place for d in (recursion.general, *recursion.last)]
        every = _speaking_of(env, recursion.family)
        for meaning in meanings(env, recursion):
            if not meaning.said:
                if not _proved_with(document, env, clock, meaning.pairs, own):
                    continue
                if recursion.last and (count := _proved_with(document, env, clock, meaning.pairs, every)) < len(every):
                    other = opposite(meaning)
                    meaning = other if _proved_with(document, env, clock, other.pairs, every) > count else meaning
            found.append(meaning)
            break
    return found


def _speaking_of(env: Environment, family: str) -> list[tuple[int, int]]:
    """The places of equations in which a quantity has part."""
    return [
        (f, k)
        for f, display in enumerate(env.displays)
        for k, step in enumerate(links(display))
        if step.relation.sign == "="
        and any(family in mentions_in(env, side) for side in (step.left, step.right) if side is not None)
    ]


def _proved_with(
    document: Document,
    env: Environment,
    clock: Clock,
    pairs: Sequence[tuple[Node, Node]],
    places: Sequence[tuple[int, int]],
) -> int:
    """How many of some equations are proved if names stand for derivatives."""
    spoken = [(s.left, s.right) for s in env.spoken if s.left is not None]
    tried = environment(env.displays, env.habits, [*spoken, *pairs], env.differentials)
    judge = Judge(document, tried, *infer(document, tried), clock)
    steps = [(place, tried.link(place)) for place in places]
    return sum(judge.ruled(s.left, s.right, place).status == "PROVED" for place, s in steps if s.left is not None)


def _gradients(document: Document, env: Environment, clock: Clock) -> list[tuple[Node, Node]]:
    """What dX stands for where nothing says so: the derivative of the cost, if that proves most of its equations."""
    pairs, places = named_gradients(env)
    if not pairs:
        return []
    proved = _proved_with(document, env, clock, pairs, places)
    return pairs if 2 * proved > len(places) else []


def _words_first(document: Document, part: Part) -> Document:
    """A document whose words begin with those of a part: what they say of a letter counts before what others say."""
    if not part.first and part.end == len(document.formulas):
        return document
    first = document.formulas[part.first].line if part.first else 0
    end = document.formulas[part.end].line if part.end < len(document.formulas) else None
    own = [p for p in document.prose if p[0] >= first and (end is None or p[0] < end)]
    return replace(document, prose=(*own, *(p for p in document.prose if p[0] < first)))


@dataclass
class Clock:
    """How long a document may take: each repair, what is left for all of them, and when to stop."""

    repair: float
    repairs: float
    until: float


def _parsed(text: str) -> Display:
    """The tree of a formula; of one that is too long nothing is read."""
    return parse(text) if len(text) <= LONGEST else Display(())


def _looks_mistyped(upper: Node | None) -> bool:
    """True for s_l + 1, where s_{l+1} may be meant."""
    match upper:
        case Terms((Scripts(Symbol(), Script()), Number("1")), ("+", "+")):
            return True
    return False


class Judge:
    """Judges the links of one document, in order."""

    def __init__(
        self, document: Document, env: Environment, facts: Facts, lengths: Lengths, reading: Reading, clock: Clock
    ) -> None:
        self.document, self.env, self.facts, self.lengths, self.reading = document, env, facts, lengths, reading
        self.clock = clock
        self.otherwise: dict[tuple[int, int], Layout] = {}  # claims that are true in another layout alone
        self.suppositions = Suppositions(document, env)
        self.supposed = Supposed()
        self.cases: tuple[Chain, ...] = ()  # in which the link at hand is said to hold
        self.held: frozenset[str] = frozenset()  # what does not change in the link at hand
        self.noughts: list[tuple[int, str, Node]] = []  # what is said to be 0 at the point that the text speaks of
        self.proved: dict[Node, list[str]] = {}  # right sides that were proved, by their left sides
        self.rulings: dict[Hashable, Ruling] = {}  # a claim that is made again is judged once
        self.named = False  # \delta h is one name
        self.counted: Callable[[Any], Any] | None = None
        self.layered: Callable[[Any], Any] | None = None
        self.repeated: RepeatedIndices | None = None
        self.single: Judge | None = None
        self.named_apart: Judge | None = None
        self.singled_out: Callable[[], Judge] | None = None  # who reads u_o as another quantity than the u_k
        self.one_example: Callable[[], Judge] | None = None  # who reads the cost as that of one example
        self.with_thresholds = any(thresholds_in(display) for display in env.displays)
        self.assigned = assigned(env)
        self.special = special(document, env) - facts.targets

    def setting(
        self, key: tuple[int, int], restricted: tuple[str, ...] = (), reading: Reading | None = None
    ) -> Setting:
        """What a link is read under."""
        named = frozenset(self.supposed.here | self.supposed.before)
        entries = (c for y, c in self.facts.one_hot.items() if (y, 0) not in self.facts.zeros)  # as y_c is one
        restricted = tuple(dict.fromkeys((*restricted, *entries)))
        reading = reading or self.reading
        facts = self.facts
        if reading.numbers:
            facts = replace(facts, ranks={**facts.ranks, **dict.fromkeys(reading.numbers, 0)})
        return Setting(self.env, facts, self.lengths, reading, key, restricted, named, self.cases, self.held)

    def formula(self, number: int, display: Display) -> list[Judgement]:
        """What is said of one formula."""
        formula = self.document.formulas[number]
        if len(formula.latex) > LONGEST:
            reason = f"the formula has {len(formula.latex)} characters, more than {LONGEST}"
            return [Judgement(formula, 0, 0, formula.latex[:80], "NOT UNDERSTOOD", reason)]
        return list(self.display(number, display))

    def display(self, number: int, display: Display) -> Iterator[Judgement]:
        """What is said of the links of one formula."""
        formula = self.document.formulas[number]
        steps = links(display)
        rows = {row.number: row for row in display.rows}
        for row in display.rows if not steps else ():  # a^(l) claims nothing, and is a slip all the same
            if (read := mended(row)) is not None:
                text = formula.latex[row.span[0] : row.span[1]]
                odd = tuple(dict.fromkeys(finding.words for finding in oddities(row)))
                yield Judgement(formula, row.number, 0, text, "NOTATION", mended=read, oddities=odd)
        for k, step in enumerate(steps):
            text = formula.latex[step.span[0] : step.span[1]]
            row = rows[step.row]
            odd = tuple(dict.fromkeys(finding.words for finding in findings(row, step)))
            start = Judgement(formula, step.row, step.link, text, "NOT UNDERSTOOD", mended=mended(row), oddities=odd)
            start = replace(start, place=(number, k))
            role = self.env.roles.get((number, k), "")
            unread = role == "DEFINITION" and any(isinstance(node, NotUnderstood) for node in walk(step.right))
            if role and not unread:
                yield self.noticed(replace(start, status=role), (number, k), step)
                continue
            said = self.link(start, (number, k), step)
            of_case = isinstance(step.right, Number) and isinstance(step.left, Symbol | Scripts)
            if said.status == "REFUTED" and of_case and not formula.display:  # "if s_L = 1", in running text
                said = replace(start, status="NOTATION", reason="a value that the text speaks of")
            if said.status == "PROVED" and any(note.kind == "bracket" for note in row.notes):
                said = replace(said, status="PROVED IF", conditions=(*said.conditions, "its brackets close as read"))
            yield said

    def noticed(self, start: Judgement, key: tuple[int, int], step: Link) -> Judgement:
        """A definition, with what is odd about it: it is 0 whatever its quantities are, or its bound looks mistyped."""
        if start.status != "DEFINITION" or worked() > self.clock.until:
            return start
        odd: list[str] = []
        sums = [n for n in walk(step.right) if isinstance(n, Big) and n.operator == "sum"]
        for node in sums:
            if _looks_mistyped(node.upper):
                odd.append("a sum's bound is written as a size plus 1: is the size of the next layer meant")
        if sums and step.right is not None:
            try:
                found = compare(self.setting(key), step.right, Number("0"))
                if Case(found).proved() is not None:
                    odd.append("as it is written it is 0 for all values")
            except (NotRead, SymbackpropError, RecursionError, ArithmeticError):
                pass
        return replace(start, conditions=tuple(odd), reason="; ".join(odd))

    def link(self, start: Judgement, key: tuple[int, int], step: Link) -> Judgement:
        """The judgement on one link that claims something."""
        sign = step.relation.sign
        if sign not in EQUALITIES:
            return replace(start, status="NOT UNDERSTOOD", reason=f"the relation {sign} is not judged")
        if step.left is None:
            return replace(start, reason="nothing stands on the left side")
        broken = next((n for s in (step.left, step.right) for n in walk(s) if isinstance(n, NotUnderstood)), None)
        if broken is not None:
            return replace(start, reason=broken.reason)
        if self.names_operator(step.left, step.right):
            return replace(start, status="NOTATION", reason="an operator is named")
        if supposes(self.env, start.formula, step):
            return replace(start, status="NOTATION", reason="what the text supposes")
        if worked() > self.clock.until:
            return replace(start, status="UNDECIDED", reason="the time for the document was up")
        self.supposed, self.cases = self.suppositions.at(start.formula), ()
        restricted = self.said_positive(start.formula, step)
        ruling = self.ruled(step.left, step.right, key, restricted)
        if ruling.status == "NOT UNDERSTOOD":
            ruling = self.with_primes(ruling, start.formula, step, key, restricted)
        if ruling.status in ("REFUTED", "NOT UNDERSTOOD") and turns(step.left, step.right):
            ruling = self.in_other_layout(ruling, step, key, restricted)
        if ruling.status in ("REFUTED", "UNDECIDED"):
            ruling = self.in_cases(ruling, step, key, restricted)
        if ruling.status in ("REFUTED", "UNDECIDED"):
            ruling = self.under_premise(ruling, start.formula, step, key, restricted)
        if ruling.status in ("REFUTED", "UNDECIDED", "NOT UNDERSTOOD") and self.one_example is not None:
            ruling = self.of_one_example(ruling, start.formula, step, key, restricted)
        if ruling.status in ("REFUTED", "UNDECIDED", "NOT UNDERSTOOD") and self.singled_out is not None:
            ruling = self.with_singles_apart(ruling, step, key, restricted)
        if ruling.status == "REFUTED" and self.env.differentials:
            ruling = self.with_some_fixed(ruling, start.formula, step, key, restricted)
        known = {f for f in self.env.definitions if self.env.definitions[f]}
        more = sorted((ruling.comparison.families if ruling.comparison is not None else set()) & self.special - known)
        if ruling.status == "REFUTED" and more:
            reason = f"the text supposes more of {more[0]} than is used here"
            ruling = replace(ruling, status="UNDECIDED", reason=reason, counterexample=None)
        again = sorted((ruling.comparison.families if ruling.comparison is not None else set()) & self.assigned)
        if ruling.status == "REFUTED" and again:
            reason = f"{again[0]} is assigned to, as in a program: what it is here is not followed"
            ruling = replace(ruling, status="UNDECIDED", reason=reason, counterexample=None)
        if ruling.status == "REFUTED" and ruling.comparison is not None and ruling.comparison.one_open:
            reason = (
                "no formula says what is differentiated here: for an arbitrary function of its arguments it is wrong"
            )
            ruling = replace(ruling, status="UNDECIDED", reason=reason, counterexample=None)
        if ruling.status == "REFUTED" and is_condition(self.env, start.formula, step):
            return self.condition(start, key, step)
        status = "PROVED IF" if ruling.status == "PROVED" and ruling.conditions else ruling.status
        if status == "REFUTED":
            read = ruling.comparison.conditions if ruling.comparison is not None else ()
            repair = self.repair(start.formula, key, step, frozenset(read))
            if repair is not None:
                start = replace(start, repair=repair.latex, changes=self.changes(start.formula, step, repair))
        if status == "PROVED":
            right = start.formula.latex[step.right.span[0] : step.right.span[1]]
            self.proved.setdefault(step.left, []).append(right.strip().rstrip(".,;"))
        head = self.env.head(step.left)
        if status == "PROVED" and head is not None and head.mention.plain and not head.arguments:
            forms = self.env.other_forms[head.mention.family]
            if step.right not in forms:
                forms.append(step.right)
                self.rulings.clear()
        return replace(
            start, status=status, reason=ruling.reason, conditions=ruling.conditions,
            counterexample=ruling.counterexample, ruling=ruling,
        )  # fmt: skip

    def with_primes(
        self, ruling: Ruling, formula: Formula, step: Link, key: tuple[int, int], restricted: tuple[str, ...]
    ) -> Ruling:
        """The ruling where primes are derivatives: z' = w. One that is wrong then may name another quantity z'."""
        assert step.left is not None
        read = as_derivatives(self.env, step.left, step.right)
        if read is None:
            return ruling
        left, right, condition = read
        found = self.ruled(left, right, key, restricted)
        if found.status == "PROVED" and condition:
            return replace(found, conditions=(condition, *found.conditions))
        head = self.env.head(step.left)
        family = head.mention.family if head is not None else ""
        given = family in self.env.functions and family not in self.facts.named_functions
        given = given and self.env.functions[family] is None
        said = re.search(DERIVED, formula.before[-200:], re.I) is not None
        if found.status == "REFUTED" and (given or (condition and not said)):
            reason = f"it is not said what {family} is" if given else f"where {condition} the two sides differ"
            return replace(found, status="UNDECIDED", reason=reason, counterexample=None)
        return found if found.status != "NOT UNDERSTOOD" else ruling

    def in_cases(self, ruling: Ruling, step: Link, key: tuple[int, int], restricted: tuple[str, ...]) -> Ruling:
        """The ruling on a formula that is said to hold where two of its indices agree, or do not.

        Where it is not clear whether the words mean it, one that is true in such a case is undecided.
        """
        assert step.left is not None
        said = said_cases(self.document, self.env, key[0], self.env.displays[key[0]], step)
        if said.sure:
            self.cases = said.sure
            found = self.ruled(step.left, step.right, key, restricted)
            words = tuple(in_words(case) for case in said.sure)
            if found.status == "PROVED" and len(said.sure) > 1 and self._never(step.left, key, restricted):
                return replace(found, status="UNDECIDED", reason=f"it is said to hold if {' and '.join(words)}: never")
            return replace(found, conditions=(*words, *found.conditions)) if found.status == "PROVED" else found
        if ruling.status == "REFUTED" and (two := self._two_of_a_pair(step.left)) is not None:
            self.cases = (two,)
            found = self.ruled(step.left, step.right, key, restricted)
            self.cases = ()
            if found.status == "PROVED":
                return replace(found, conditions=(in_words(two), *found.conditions))
        for together in said.possible if ruling.status == "REFUTED" else ():
            self.cases = together
            found = self.ruled(step.left, step.right, key, restricted)
            self.cases = ()
            if found.status == "PROVED":
                reason = f"true if {' and '.join(map(in_words, together))}: it is not clear whether the words say so"
                return replace(ruling, status="UNDECIDED", reason=reason, counterexample=None)
        return ruling

    def _two_of_a_pair(self, left: Node) -> Chain | None:
        """i != j, where a quantity of a pair, C_{ij}, is differentiated by one of a single one, s_i."""
        if not isinstance(left, Derivative) or left.of is None or len(left.by) != 1:
            return None
        of, by = self.env.names.mention(left.of), self.env.names.mention(left.by[0])
        match of.components if of is not None else (), by.components if by is not None else ():
            case (Symbol() as one, Symbol() as two), (letter,) if one != two and letter in (one, two):
                return Chain((one, two), (Relation("≠"),))
        return None

    def under_premise(
        self, ruling: Ruling, formula: Formula, step: Link, key: tuple[int, int], restricted: tuple[str, ...]
    ) -> Ruling:
        """The ruling on a formula that is said to hold where quantities are positive, or larger than others."""
        assert step.left is not None
        supposed = premise(self.document, self.env, formula, step)
        if supposed is None:
            return ruling
        words = " and ".join(map(to_tex, supposed.chains))
        self.cases = supposed.chains
        found = self.ruled(step.left, step.right, key, restricted)
        more = Terms((step.left, Number("1")), ("+", "+"))  # of a side that is 0 there nothing is known
        if found.status == "PROVED" and all(self._never(side, key, restricted) for side in (step.left, more)):
            found = replace(found, status="UNDECIDED")
        self.cases = supposed.chains if found.status == "REFUTED" else ()
        if found.status == "PROVED" and supposed.sure:
            return replace(found, conditions=(words, *found.conditions))
        if found.status == "REFUTED":
            return found
        reason = f"true if {words}: it is not clear whether the words say so"
        if found.status != "PROVED":
            reason = f"it is said to hold if {words}, and no proof was found"
        return replace(ruling, status="UNDECIDED", reason=reason, counterexample=None)

    def _never(self, side: Node, key: tuple[int, int], restricted: tuple[str, ...]) -> bool:
        """True unless the cases at hand leave entries in which a side differs from twice the same."""
        twice = Product((Number("2"), Group("(", ")", (side,))), ("",))
        more = Product((Number("3"), Group("(", ")", (side,))), ("",))
        return self.under(self.reading, twice, more, key, restricted).status != "REFUTED"

    def of_one_example(
        self, ruling: Ruling, formula: Formula, step: Link, key: tuple[int, int], restricted: tuple[str, ...]
    ) -> Ruling:
        """The ruling on a formula that is true of one example, where the words speak of one."""
        assert step.left is not None and self.one_example is not None
        words = " ".join(text for line, text in self.document.prose if line <= formula.line)
        if not is_spoken_of(words):
            return ruling
        self.single = self.single or self.one_example()
        found = self.single.ruled(step.left, step.right, key, restricted)
        return replace(found, conditions=(ONE_EXAMPLE, *found.conditions)) if found.status == "PROVED" else ruling

    def with_singles_apart(
        self, ruling: Ruling, step: Link, key: tuple[int, int], restricted: tuple[str, ...]
    ) -> Ruling:
        """The ruling on a formula that is true where u_o is none of the u_k that are summed over.

        In a softmax it is one of them, among negative samples it is not: without words for it nothing is decided.
        """
        assert step.left is not None and self.singled_out is not None
        own = mentions_in(self.env, step.left) | mentions_in(self.env, step.right)
        single = sorted(f"{family}_{letter}" for family, letter in self._singles() if family in own)
        if not single:
            return ruling
        self.named_apart = self.named_apart or self.singled_out()
        found = self.named_apart.ruled(step.left, step.right, key, restricted)
        if found.status != "PROVED":
            return ruling
        words = f"{' and '.join(single)} {'is' if len(single) == 1 else 'are'} none of those that are summed over"
        if re.search(APART, " ".join(text for _, text in self.document.prose), re.I):
            return replace(found, conditions=(words, *found.conditions))
        return replace(ruling, status="UNDECIDED", reason=f"true if {words}, which is not said", counterexample=None)

    def _singles(self) -> set[tuple[str, str]]:
        """The families of which single entries stand beside sums over others, with the letters of these entries."""
        mentions = (self.env.names.mention(n) for d in self.env.displays for n in walk(d) if isinstance(n, Scripts))
        return {
            (m.family, c.name) for m in mentions if m is not None and len(m.components) == 1
            for c in m.components if isinstance(c, Symbol) and c.name in self.env.habits.placed
        }  # fmt: skip

    def with_some_fixed(
        self, ruling: Ruling, formula: Formula, step: Link, key: tuple[int, int], restricted: tuple[str, ...]
    ) -> Ruling:
        """The ruling on differentials of which one side has fewer: true, maybe, where the other quantities are fixed.

        Without words that say so it may be a partial differential as well as one of which a term was forgotten.
        """
        assert step.left is not None
        written = given_changes(self.env, self.env.displays)
        one, two = (written & rests_on(self.env, changes_in(self.env, [side])) for side in (step.left, step.right))
        held = one ^ two
        if not held or not one & two:
            return ruling
        self.held = frozenset(held)
        found = self.ruled(step.left, step.right, key, restricted)
        self.held = frozenset()
        if found.status != "PROVED":
            return ruling
        said = fixed(self.document, self.env, formula)
        words = f"{', '.join(sorted(held))} {'is' if len(held) == 1 else 'are'} held fixed"
        if held <= said and not said & one & two:
            return replace(found, conditions=(words, *found.conditions))
        return replace(ruling, status="UNDECIDED", reason=f"true if {words}, which is not said", counterexample=None)

    def condition(self, start: Judgement, key: tuple[int, int], step: Link) -> Judgement:
        """An equation that is no identity: it follows from a condition that was stated, or is one itself."""
        assert step.left is not None
        for line, latex, nought in reversed(self.noughts):
            gap = Terms((step.left, step.right), ("+", "-"))
            for factor in FACTORS:
                ruling = self.under(self.reading, gap, Product((factor, Group("(", ")", (nought,))), ("",)), key)
                if ruling.status == "PROVED":
                    words = (*ruling.conditions, f"{latex} = 0, as in line {line}")
                    return replace(start, status="PROVED IF", conditions=words, ruling=ruling)
        if step.right == Number("0"):
            span = step.left.span
            latex = " ".join(start.formula.latex[span[0] : span[1]].split())
            self.noughts.append((start.formula.line, latex, step.left))
        return replace(start, status="NOTATION", reason="no identity: a condition on its quantities")

    def in_other_layout(self, ruling: Ruling, step: Link, key: tuple[int, int], restricted: tuple[str, ...]) -> Ruling:
        """Note whether a claim is true where derivatives are laid out the other way."""
        assert step.left is not None
        for layout in layouts(self.reading):
            other = self.under(layout.other(self.reading), step.left, step.right, key, restricted)
            if other.status == "PROVED":
                self.otherwise[key] = layout
                return ruling if ruling.status == "REFUTED" else replace(other, status="UNDECIDED")
        return ruling

    def laid_out(self, judgements: list[Judgement]) -> list[Judgement]:
        """The judgements, where claims that are true in another layout are seen beside all others."""
        steps = {(f, k): s for f, display in enumerate(self.env.displays) for k, s in enumerate(links(display))}
        found = list(judgements)
        for layout in dict.fromkeys(self.otherwise.values()):
            mine = [key for key, other in self.otherwise.items() if other == layout]
            settled = layout.choice in self.facts.laid_out
            settled = settled or (layout.choice == "turned" and updates(self.env, steps.items()))
            against = [] if settled else [j for j in judgements if self._fits_one(j, steps, layout)]
            for n, judgement in enumerate(judgements):
                if judgement.place not in mine:
                    continue
                if not settled and len(against) < len(mine):
                    conditions = (*(judgement.conditions if judgement.status == "PROVED IF" else ()), layout.words)
                    weighed = replace(judgement, reason="", repair=None, changes=(), counterexample=None)
                    if against:  # the document does not keep to one layout
                        line = against[0].formula.line
                        found[n] = replace(
                            weighed, status="UNDECIDED", reason=f"true if {layout.words}, unlike line {line}"
                        )
                    else:
                        found[n] = replace(weighed, status="PROVED IF", conditions=conditions)
                    continue
                why = "which the document rules out" if settled else f"unlike line {against[0].formula.line}"
                found[n] = replace(judgement, status="REFUTED", reason=f"true if {layout.words}, {why}")
        return found

    def _fits_one(self, judgement: Judgement, steps: Mapping[tuple[int, int], Link], layout: Layout) -> bool:
        """True if a claim is true in the document's layout and not in the other."""
        step = steps.get(judgement.place)
        if judgement.status != "PROVED" or step is None or step.left is None or not turns(step.left, step.right):
            return False
        other = self.under(layout.other(self.reading), step.left, step.right, judgement.place)
        return other.status in ("REFUTED", "NOT UNDERSTOOD")

    def names_operator(self, left: Node, right: Node) -> bool:
        """True for D_j S_i = dS_i/da_j, where nothing else is said of D."""
        match left, right:
            case Product((first, of), ("",)), Derivative(of=whole) if of == whole:
                mention = self.env.names.mention(first)
                return mention is not None and not self.env.definitions.get(mention.family)
        return False

    def said_positive(self, formula: Formula, step: Link) -> tuple[str, ...]:
        """The indices that the text before a formula, or the formula itself, says begin with 1: for j >= 1."""
        said = f"{formula.before} {formula.after if not formula.display else ''} {formula.latex[step.chain.span[0] :]}"
        return tuple(dict.fromkeys(re.findall(r"(?<![a-zA-Z\\])([a-z])\s*(?:\\geq?(?:slant)?|>=|≥)\s*1(?!\d)", said)))

    def ruled(self, left: Node, right: Node, key: tuple[int, int], restricted: tuple[str, ...] = ()) -> Ruling:
        """The ruling under the document's reading, or under another that makes the claim true."""
        claim = (left, right, restricted, self.supposed, self.cases, self.held)
        if claim not in self.rulings:
            self.rulings[claim] = self._ruled(left, right, key, restricted)
        return self.rulings[claim]

    def _ruled(self, left: Node, right: Node, key: tuple[int, int], restricted: tuple[str, ...]) -> Ruling:
        first: Ruling | None = None
        for reading, condition in self.readings(left, right):
            ruling = self.under(reading, left, right, key, restricted)
            ruling = self.beside(ruling, reading, left, right, key, restricted)
            if ruling.status == "PROVED":
                conditions = (*ruling.conditions, *([condition] if condition else []))
                return replace(ruling, conditions=conditions)
            if first is None or (first.status == "NOT UNDERSTOOD" and ruling.status != "NOT UNDERSTOOD"):
                first = ruling
            elif first.status == "REFUTED" and ruling.status == "UNDECIDED":
                first = ruling  # a reading in which nothing speaks against it
        assert first is not None
        return self.as_usual(first, left, right, key) if first.status == "REFUTED" else first

    def as_usual(self, ruling: Ruling, left: Node, right: Node, key: tuple[int, int]) -> Ruling:
        """REFUTED for an arbitrary function, or PROVED IF it is one of those that letters usually stand for."""
        for family in [f for f, d in self.env.functions.items() if d is None and f not in self.facts.named_functions]:
            for name in ("sigmoid", "tanh"):
                self.facts.named_functions[family] = FUNCTIONS[name]
                try:
                    other = self.under(self.reading, left, right, key)
                finally:
                    del self.facts.named_functions[family]
                if other.status == "PROVED":
                    return replace(other, conditions=(*other.conditions, f"{family} is the function {name}"))
        return ruling

    def beside(
        self,
        ruling: Ruling,
        reading: Reading,
        left: Node,
        right: Node,
        key: tuple[int, int],
        restricted: tuple[str, ...],
    ) -> Ruling:
        """The ruling, or a better one where indices keep from 0, or data add up to 1."""
        found = ruling.comparison
        if ruling.status not in ("REFUTED", "UNDECIDED") or found is None:
            return ruling
        if found.from_zero and not restricted:
            other = self.under(reading, left, right, key, found.from_zero)
            if other.status == "PROVED":
                words = tuple(f"{name} >= 1" for name in found.from_zero)
                return replace(other, conditions=(*words, *other.conditions))
        if found.misfits:
            return ruling
        for family in sorted(self.facts.targets & found.families):
            other = decided(found, ((family, "simplex", self.facts.along),))
            if other.status == "PROVED":
                return other if not self.facts.sums_to_one else replace(other, conditions=())
        for tensor in square_inputs(found):
            if not (self.supposed.covers(tensor.name) or in_both_orders(found, tensor)):
                continue
            other = decided(with_symmetric(found, tensor), ((tensor.name, "symmetric", -1),))
            if other.status == "PROVED" and self.supposed.covers(tensor.name):
                conditions = () if self.supposed.sure(tensor.name) else (f"{tensor.name} is symmetric",)
                return replace(other, conditions=conditions)
            if other.status == "PROVED":
                status = "UNDECIDED" if tensor.name in self.supposed.once else ruling.status
                shown = ruling.counterexample if status == "REFUTED" else None
                reason = f"true if {tensor.name} is symmetric, which is not said"
                return replace(ruling, status=status, reason=reason, counterexample=shown)
        return self.under_stated(ruling, found, (left, right))

    def under_stated(self, ruling: Ruling, found: Comparison, sides: tuple[Node, ...]) -> Ruling:
        """REFUTED only where single entries, of which the document says y_c = 1, play no part or are so."""
        ruling = self.under_one_hot(ruling, found, sides)
        if ruling.status != "REFUTED":
            return ruling
        for family in sorted(set(self.facts.constrained) & found.families):
            letters = self.facts.constrained[family]
            named = any(isinstance(n, Symbol) and n.name in letters for s in sides for n in walk(s))
            also = decided(found, ((family, "onehot", self.facts.along),))
            if (named and self._singles_out(family, letters, sides)) or also.status != "REFUTED":
                reason = f"the document says more of single entries of {family} than is used here"
                return replace(ruling, status="UNDECIDED", reason=reason, counterexample=None)
        return ruling

    def under_one_hot(self, ruling: Ruling, found: Comparison, sides: tuple[Node, ...]) -> Ruling:
        r"""PROVED IF where y_c = 1 and y_{j \neq c} = 0, which the document states, make it true."""
        for family, letter in self.facts.one_hot.items():
            named = Symbol(letter) in {n for s in sides for n in walk(s)}
            single = with_one_hot(found, family, letter, named) if (family, 0) not in self.facts.zeros else None
            other = decided(single) if single is not None else ruling
            if other.status == "PROVED":
                words = f"{family}_{letter} = 1, and the other entries of {family} are 0"
                return replace(other, conditions=(words, *other.conditions))
        return ruling

    def _singles_out(self, family: str, letters: set[str], sides: tuple[Node, ...]) -> bool:
        """True if y_c stands in the formula, of which something is stated."""
        bound = self.env.habits.bound
        for side in sides:
            for node in walk(side):
                mention = self.env.names.mention(node) if isinstance(node, Scripts) else None
                if mention is not None and mention.family == family:
                    names = {c.name for c in mention.components if isinstance(c, Symbol)}
                    if names & letters - bound:
                        return True
        return False

    def repair(
        self, formula: Formula, key: tuple[int, int], step: Link, granted: frozenset[str] = frozenset()
    ) -> Candidate | None:
        """The first of the likely slips that, undone, makes the link a proved one; None if none is found in time.

        Args:
            granted: the conditions under which the link itself was read.
        """
        assert step.left is not None
        own, near = key[0], []
        for f in (own, own - 1, own + 1, own - 2, own + 2):
            if 0 <= f < len(self.env.displays):
                near.append((self.document.formulas[f].latex, walk(self.env.displays[f])))
        for known in self.env.definitions.values():
            for d in known:
                if d.place[0] >= 0:
                    near.append((self.document.formulas[d.place[0]].latex, walk(d.right)))
        proved = self.proved.get(step.left, [])
        slips = Slips(self.env, self.facts.ranks, formula.latex, step, beside(self.env, near, step.left), proved)
        until = worked() + min(self.clock.repair, self.clock.repairs)
        restricted = self.said_positive(formula, step)
        start = worked()
        found = None
        try:
            trials = Trials(self.setting(key, restricted), step.left, step.right)
        except (NotRead, SymbackpropError, RecursionError):
            return None
        in_time = itertools.takewhile(lambda _: worked() <= until, slips.candidates())
        for candidate in itertools.chain(in_time, slips.elsewhere()):
            right = self.reread(candidate.right, step)
            if candidate.left is None and not trials.agree(right):
                continue
            if step.left in list(walk(right)) and step.left not in list(walk(step.right)):
                continue  # it is what it is
            candidate = candidate.tidied()
            if self._proved(candidate, self.reread(candidate.right, step), step, key, restricted, granted):
                found = candidate
                break
        self.clock.repairs -= worked() - start
        return found

    def changes(self, formula: Formula, step: Link, repair: Candidate) -> tuple[Change, ...]:
        """What a repair changes in a link."""
        start = step.span[0] if repair.left is not None else step.right.span[0]
        found = changes(formula.latex[start : step.right.span[1]], repair.latex)
        shift = start - step.span[0]
        return tuple(Change((c.was[0] + shift, c.was[1] + shift), c.span) for c in found)

    def reread(self, text: str, step: Link) -> Node:
        """What the document's habits make of a formula in a link's place."""
        node: Node = parse_expression(text)
        if self.named:
            node = as_names(node)
        if self.counted is not None:
            node = self.counted(node)
        if self.layered is not None:
            node = self.layered(node)
        if self.repeated is not None and step.chain.members:
            node = self.repeated.summed(node, self.repeated.free(step.chain.members[0]))
        return node

    def _proved(
        self,
        candidate: Candidate,
        right: Node,
        step: Link,
        key: tuple[int, int],
        restricted: tuple[str, ...],
        granted: frozenset[str],
    ) -> bool:
        left = step.left if candidate.left is None else self.reread(candidate.left, step)
        assert left is not None
        if any(isinstance(n, NotUnderstood) for n in walk(right)):
            return False
        try:
            found = compare(self.setting(key, restricted), left, right)
        except (NotRead, SymbackpropError, RecursionError):
            return False
        if found.misfits or set(found.conditions) - granted or left == right:
            return False
        shares = self.facts.targets & found.families if self.facts.sums_to_one else set()
        assumed = tuple((family, "simplex", self.facts.along) for family in sorted(shares))
        if decided(found, assumed, QUICK).status == "PROVED":
            return True
        known = [t for t in square_inputs(found) if self.supposed.covers(t.name)]
        return any(
            decided(with_symmetric(found, t), ((t.name, "symmetric", -1),), QUICK).status == "PROVED" for t in known
        )

    def readings(self, *sides: Node) -> Iterator[tuple[Reading, str]]:
        """The document's reading, then others that are admissible."""
        yield self.reading, ""
        if self.facts.per_sample:
            yield replace(self.reading, stacked=True), ""
        if not self.reading.elementwise:
            yield replace(self.reading, elementwise=True), ""
        squares = (n for side in sides for n in walk(side) if isinstance(n, Scripts) and n.above is not None)
        if any(n.above is not None and n.above.items[:1] in ((Number("2"),), (Number("3"),)) for n in squares):
            yield replace(self.reading, powers=True), "the power of a matrix is its product with itself"
        if self.with_thresholds:
            yield replace(self.reading, ties=True), THRESHOLDS
        if set(self.facts.reaches) & self.env.abstract:
            yield replace(self.reading, at_once=True), AT_ONCE
        if self.env.abstract and any(self.env.definitions.get(f) for f in self.env.costs):
            yield replace(self.reading, costs_apart=True), COSTS_APART
        if (alone := self._alone(*sides)) is not None:
            yield replace(self.reading, numbers=frozenset({alone})), f"{alone} is a number here"

    def _alone(self, *sides: Node) -> str | None:
        """The only quantity that is no number elsewhere, where a derivative d/dx is taken."""
        nodes = [n for side in sides for n in walk(side)]
        letters = [n for n in nodes if isinstance(n, Symbol | Scripts)]
        mentions = {m.family for n in letters if (m := self.env.names.mention(n)) is not None}
        found = [family for family in mentions if self.facts.ranks.get(family, 0) > 0]
        taken = any(isinstance(n, Derivative) and n.kind == "d" for n in nodes)
        return found[0] if taken and len(found) == 1 else None

    def under(
        self, reading: Reading, left: Node, right: Node, key: tuple[int, int], restricted: tuple[str, ...] = ()
    ) -> Ruling:
        """The ruling under one reading."""
        try:
            found = compare(self.setting(key, restricted, reading), left, right)
        except Misfit as error:
            sure = self._sure(left) and self._sure(right) and not self._takes_rows(left, right)
            if error.hint == "shape" and sure:
                return Ruling("REFUTED", f"the shapes do not fit: {error}")
            return Ruling("NOT UNDERSTOOD", str(error))
        except RecursionError:
            return Ruling("NOT UNDERSTOOD", "its definitions lead into each other too deeply")
        except (NotRead, SymbackpropError) as error:
            return Ruling("NOT UNDERSTOOD", getattr(error, "what", str(error)))
        ruling = decided(found)
        if ruling.status == "REFUTED" and self.facts.guessed and not (self._sure(left) and self._sure(right)):
            reason = "the shapes of the quantities could not all be made out; as they are read the two sides differ"
            return replace(ruling, status="UNDECIDED", reason=reason, counterexample=None)
        if found.misfits and ruling.status == "PROVED" and found.own_misfits == found.misfits:
            words = tuple(f"read where {m}" for m in found.misfits)
            return replace(ruling, conditions=(*found.conditions, *words, *ruling.conditions))
        if found.misfits and ruling.status == "PROVED":
            return replace(ruling, status="UNDECIDED", reason=f"it fits only where {found.misfits[0]}")
        if found.misfits and ruling.status == "REFUTED":
            ruling = replace(ruling, reason=f"it fits only where {found.misfits[0]}, and is wrong there too")
        return replace(ruling, conditions=(*found.conditions, *ruling.conditions))

    def _takes_rows(self, *sides: Node) -> bool:
        """True if a quantity stands with fewer indices than elsewhere: x_i beside x_{ij} may be a row of it."""
        fewest: dict[str, int] = {}
        most: dict[str, int] = {}
        for display in self.env.displays:
            for node in walk(display):
                mention = self.env.names.mention(node) if isinstance(node, Scripts) else None
                if mention is not None and mention.components:
                    number = len(mention.components)
                    fewest[mention.family] = min(number, fewest.get(mention.family, number))
                    most[mention.family] = max(number, most.get(mention.family, number))
        families = {name for side in sides for name in mentions_in(self.env, side)}
        return any(fewest[name] < most[name] for name in families & set(most))

    def _sure(self, node: Node) -> bool:
        """True if the ranks of all quantities in a formula are known from more than their letters."""
        env = self.env
        letters = env.index_letters | env.habits.layer_letters | {"top", "T", "L", "n_l", "ell"} | set(env.functions)
        return mentions_in(env, node) <= self.facts.sure | letters


__all__ = ["Audit", "Judgement", "audit"]
