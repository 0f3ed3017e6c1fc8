"""A certificate as a file that the proof assistant Coq checks: the forward pass, the backward pass, and theorems.

In: the text of a certificate, as `emit` writes it. Out: one file for `coqc` (Coq with Coquelicot), which begins with
the theory of reverse-mode differentiation (`reverse_mode.v`, proved once for all programs) and ends with a theorem for
each gradient. Sizes stay variables, so neither the file nor its proof grows with them. Nothing here is trusted: what
this module gets wrong, Coq refuses; what the theorems say stands in the file.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Container, Iterable
from dataclasses import replace
from pathlib import Path

from symbackprop.certificate.check_proof import Node
from symbackprop.certificate.coq_conditions import conditions
from symbackprop.certificate.coq_terms import Terms
from symbackprop.certificate.said import Line, Statements
from symbackprop.errors import UnsupportedError

ENDING = ".v"
THEORY = Path(__file__).parent / "reverse_mode.v"
SPARE = "ijklmnpqrsuvw"
# Names that a program's own must not have, beside those that the theory defines.
RESERVED = (
    "as at cofix else end exists exists2 fix for forall fun if IF in let match mod return then using where with by "
    "Prop Set Type SProp Z R nat bool list true false True I IZR PI exp ln tanh sin cos atan sqrt Rpower is_derive "
    "Constant Entry Plus Times Call Choose Sum value slope domain right_slope t q state shapes "
    "bodies values_of bars_of regular smooth_there adjoint_there obeyed_along inputs_there in_order Program"
)
DEFINED = r"^(?:Definition|Fixpoint|Record|Inductive|Lemma|Theorem) (\w+)"


def coq_of(certificate: str) -> str:
    """The file for Coq that proves the gradients of a certificate.

    Raises:
        UnsupportedError: the certificate speaks of something that the theory has no word for.
    """
    return File(Statements.read(certificate)).text()


def unused(wanted: str, taken: Container[str]) -> str:
    """The name, or the first with a number behind it that is not taken."""
    names = itertools.chain([wanted], (f"{wanted}_{k}" for k in itertools.count(2)))
    return next(name for name in names if name not in taken)


class File:
    """The file for one certificate.

    Tensors have numbers: first the inputs with an adjoint, then the equations that lead to the cost, then the cost.
    """

    def __init__(self, said: Statements) -> None:
        for condition in said.conditions:
            if re.split(r" where ", condition)[0].rpartition(" in ")[2] not in said.forward:
                raise UnsupportedError(f"a file for Coq has no word yet for what a backward pass asks for: {condition}")
        self.said, self.theory = said, THEORY.read_text(encoding="ascii")
        self.moving = [n for n in said.inputs if n in said.adjoints]
        self.numbered = [*self.moving, *(n for n in said.forward if n in said.adjoints), said.cost]
        number = {n: k for k, n in enumerate(self.numbered)}
        taken = {*RESERVED.split(), *re.findall(DEFINED, self.theory, re.MULTILINE)}
        names, tensors = dict[str, str](), (*said.inputs, *said.forward, *said.backward)
        for name in (*said.sizes, *tensors, *(a.name for a in said.adjoints.values())):
            names[name] = unused(name, taken)
            taken.add(names[name])
        most = max((len(shape) for _, shape in said.inputs.values()), default=0)
        self.spare = tuple(c for c in SPARE if c not in names)[: 2 * most]
        for name in (*said.indices, *self.spare):
            names[name] = unused(name, taken)
        self.point = unused("p", {*taken, *names.values()})
        self.names, self.terms = names, Terms(said, number, names, self.point)
        for lines in (said.forward, said.adjoints, said.backward, said.lemmas):
            lines.update(
                {k: replace(e, value=self.terms.plain(e.value, frozenset(e.indices))) for k, e in lines.items()}
            )
        self.program_of = f"{len(self.moving)} {len(self.numbered) - 1} shapes bodies"

    def text(self) -> str:
        """The whole file."""
        parts = (self.program(), self.data(), self.premisses(), self.lines(), self.theorems())
        return "\n".join([self.opening(), self.theory, *itertools.chain(*parts), ""])

    def opening(self) -> str:
        """What the file says and how it is checked."""
        title = re.sub('[*"]', "'", self.said.title)  # which would end the comment, or begin a text in it
        return (
            f"(* {title}.\n\n"
            "   Checked by `coqc FILE`, with Coq and Coquelicot. First stands the theory, the same in all such files;\n"
            '   then, under "The program", the forward pass and the backward pass, and under "The theorems" what is\n'
            "   proved. To know what that is, read the definitions and the statements; Coq reads the proofs. *)\n"
        )

    # what is proved of

    def program(self) -> list[str]:
        """Sizes, inputs, and the equations, forward and backward."""
        said, names = self.said, self.names
        out = ["(* The program. Indices are integers from 0. *)", "", "Section Program."]
        if said.sizes:
            out.append(f"Variables {' '.join(names[s] for s in said.sizes)} : Z.")
            out += [f"Hypothesis {names[s]}_at_least_1 : (0 < {names[s]})%Z." for s in said.sizes]
        for k, (relation, left, right) in enumerate(said.facts):
            sign = "=" if relation == "==" else relation
            out.append(f"Hypothesis fact_{k} : ({self.terms.integer(left)} {sign} {self.terms.integer(right)})%Z.")
        for name in (n for n in said.inputs if n not in self.moving):
            out += self.fixed_input(name)
        out += ["", f"(* The inputs: of {self.point} : state, tensor by tensor. *)"]
        out += [self.input(k, name) for k, name in enumerate(self.moving)]
        out += ["", "(* The forward pass. *)"]
        out += map(self.definition, said.forward.values())
        out += ["", "(* The adjoints. *)", *map(self.definition, said.adjoints.values())]
        if said.backward:
            out += ["", "(* The backward pass as it was written. *)", *map(self.definition, said.backward.values())]
        assumed = " /\\\n  ".join(f"({c})" for c in conditions(self.terms, self.spare)) or "True"
        head = f"Definition regular ({self.point} : state) : Prop :="
        return [*out, "", "(* Where the derivatives exist. *)", f"{head}\n  {assumed}.", ""]

    def type(self, tensor: str, of: str = "R") -> str:
        """The type of a tensor."""
        return " -> ".join([*("Z" for _ in self.said.shape(tensor)), of])

    def input(self, k: int, name: str) -> str:
        """An input with a number, as a definition."""
        indices = [self.names[i] for i in self.spare[: len(self.said.shape(name))]]
        binders = f" ({' '.join(indices)} : Z)" if indices else ""
        own, p, at = self.names[name], self.point, "; ".join(indices)
        return f"Definition {own} ({p} : state){binders} : R := {p} {k}%nat [{at}]."

    def fixed_input(self, name: str) -> list[str]:
        """An input that is not differentiated by, with what is assumed of it."""
        kind, shape = self.said.inputs[name]
        own, indices = self.names[name], [self.names[i] for i in self.spare[: len(shape)]]
        entry = " ".join([own, *indices])
        out = [f"Variable {own} : {self.type(name, 'Z' if kind == 'labels' else 'R')}."]
        assumed = {"positive": f"0 < {entry}", "prob": f"0 < {entry} < 1"}.get(kind)
        if kind == "labels":
            assumed = f"(0 <= {entry} < {self.terms.integer(self.said.labels[name])})%Z"
        return [*out, f"Hypothesis {own}_{kind} : {self.ranges(indices, shape)}{assumed}."] if assumed else out

    def ranges(self, indices: Iterable[str], shape: Iterable[Node], end: str = "") -> str:
        """For all values of the indices."""
        pairs = zip(indices, shape, strict=True)
        return "".join(f"forall {i}, (0 <= {i} < {self.terms.integer(n)})%Z -> {end}" for i, n in pairs)

    def definition(self, line: Line) -> str:
        """An equation as a definition."""
        binders = f" ({' '.join(self.names[i] for i in line.indices)} : Z)" if line.indices else ""
        value = self.terms.real(line.value, frozenset(line.indices))
        return f"Definition {self.names[line.name]} ({self.point} : state){binders} : R := {value}."

    # the premisses of the chain rule

    def pattern(self, tensor: str) -> tuple[str, str]:
        """The pattern of a tensor's entries, and the indices as arguments."""
        line = self.said.forward.get(tensor)
        indices = line.indices if line else self.spare[: len(self.said.shape(tensor))]
        found = [self.names[i] for i in indices]
        return f"{self.terms.number[tensor]}%nat, [{'; '.join(found)}]", " ".join([self.point, *found])

    def data(self) -> list[str]:
        """The program as data."""
        named = [(t, *self.pattern(t)) for t in self.numbered]
        bars = {t: self.names[a.name] for t, a in self.said.adjoints.items()}
        slopes = [f"{at} => {bars[t]} {to}" if t in bars else f"{at} => 1" for t, at, to in named]
        shapes = ["; ".join(map(self.terms.bracketed, self.said.shape(t))) for t in self.numbered]
        equations = [(self.pattern(t)[0], self.said.forward[t]) for t in self.numbered[len(self.moving) :]]
        of = f"({self.point} : state) (k : nat) (q : list Z) : R"
        return [
            "(* The proof. The program as data, and the premisses of the chain rule, by computation. *)",
            table("shapes (k : nat) : list Z", "k", [f"{k}%nat => [{s}]" for k, s in enumerate(shapes)], "[]"),
            table(f"values_of {of}", "k, q", [f"{at} => {self.names[t]} {to}" for t, at, to in named], "0"),
            table(f"bars_of {of}", "k, q", slopes, "0"),
            table(
                "bodies (k : nat) (q : list Z) : expression",
                "k, q",
                [f"{at} => {self.terms.data(e.value, frozenset(e.indices))}" for at, e in equations],
                "Constant 0",
            ),
            "Strategy expand [shapes values_of bars_of bodies].",
            "",
        ]

    def premisses(self) -> list[str]:
        """Every equation has a derivative, holds, and every adjoint is what arrives from all users."""
        p, program = self.point, self.program_of
        return [
            f"Lemma smooth_there {p} : regular {p} -> differentiable {program} (values_of {p}).",
            "Proof. unfold regular. intros. smoothly shapes bodies values_of. Qed.",
            "",
            f"Lemma adjoint_there {p} : regular {p} -> adjoints {program} (values_of {p}) (bars_of {p}).",
            "Proof. unfold regular. intros. adjoint_by_adjoint shapes bodies values_of bars_of. Qed.",
            "",
            f"Lemma obeyed_along (curve : R -> state) : obeys {program} (fun t => values_of (curve t)).",
            "Proof. obeyed shapes bodies values_of. Qed.",
            "",
            f"Lemma inputs_there : each (seq 0 {len(self.moving)}) (fun v =>",
            "  entries (shapes v) (fun r => forall s, values_of s v r = s v r)).",
            "Proof. inputs_by_inputs shapes values_of. Qed.",
            "",
            f"Lemma in_order : ordered {program} = true.",
            "Proof. reflexivity. Qed.",
            "",
        ]

    # the lines of the user

    def lines(self) -> list[str]:
        """What each line of the backward pass is, in the order of the certificate."""
        out = list[str]()
        for line in self.said.lemmas.values():
            own = self.names[line.name]
            left = " ".join([own, self.point, *(self.names[i] for i in line.indices)])
            right = self.terms.real(line.value, frozenset(line.indices))
            out += self.equality(f"{own}_line", line, f"{left} = {right}", [own, *(self.names[n] for n in line.opened)])
            out += [f"Hint Rewrite {own}_line using (assumption || lia) : lines.", ""]
        return out

    def equality(self, name: str, line: Line, equation: str, opened: list[str]) -> list[str]:
        """That two tensors are equal at all entries, after the definitions of some are put in."""
        opening = "; ".join(f"try unfold {n} in H" for n in opened) or "idtac"
        indices = [self.names[i] for i in line.indices]
        return [
            f"Ltac opening H ::= {opening}.",
            f"Lemma {name} {self.point} : regular {self.point} -> {self.ranges(indices, line.sizes)}{equation}.",
            "Proof. intros. by_lines regular. Qed.",
        ]

    # the theorems

    def theorems(self) -> list[str]:
        """A theorem for each gradient that is claimed."""
        out, claimed = ["(* The theorems. *)", ""], [n for n in self.moving if n in self.said.claims]
        for name in claimed:
            out += self.theorem(name)
        return [*out, "End Program.", "", *(f"Print Assumptions {self.names[n]}_theorem." for n in claimed[-1:])]

    def theorem(self, name: str) -> list[str]:
        """That what is claimed of an input is the derivative of the cost by each of its entries."""
        p, own, shape = self.point, self.names[name], self.said.shape(name)
        at = [self.names[i] for i in self.spare[: len(shape)]]
        adjoint, claim = self.said.adjoints[name], self.said.claims[name]
        bar, mine, here, known = self.names[adjoint.name], self.names[claim], " ".join([p, *at]), list[str]()
        if mine != bar:
            line = Line(name, self.spare[: len(shape)], shape, adjoint.value)
            known = self.equality(f"{own}_claimed", line, f"{mine} {here} = {bar} {here}", [])
        cost, place = self.names[self.said.cost], f"{self.terms.number[name]} [{'; '.join(at)}]"
        return [
            *known,
            f"Theorem {own}_theorem {p} : regular {p} ->",
            f"  {self.ranges(at, shape)}".rstrip(),
            f"  is_derive (fun t => {cost} (moved {p} {place} t)) ({own} {here}) ({mine} {here}).",
            "Proof.",
            f"  intros.{f' rewrite {own}_claimed by assumption.' if known else ''}",
            f"  apply (gradient {self.program_of} values_of {p} (bars_of {p}) {place});",
            "    auto using in_order, obeyed_along, inputs_there, smooth_there, adjoint_there; try lia.",
            "  repeat split; lia.",
            "Qed.",
            "",
        ]


def table(head: str, by: str, rows: Iterable[str], default: str) -> str:
    """A definition by the numbers of tensors."""
    unknown = ", ".join("_" for _ in by.split(","))
    cases = [f"  | {row}" for row in (*rows, f"{unknown} => {default}")]
    return "\n".join([f"Definition {head} :=", f"  match {by} with", *cases, "  end."])
