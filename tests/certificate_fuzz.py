"""Mutated certificates: `python tests/certificate_fuzz.py [--seconds 3600] [--seed 1]` asks the checker about each.

A mutant that is accepted is looked at by numbers: a claim that they refute is a bug. Mutations are of words (another
word of the file, a sign, a factor, a number) and of statements (dropped, doubled, swapped, renamed, users forged,
definitions closed and opened, conditions weakened, indices swapped). The files are those of
`tests/certificate/proofs`.
"""

import argparse
import copy
import pathlib
import random
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / "helpers"))
from certificate_numbers import refuted

from symbackprop.certificate.check_proof import Book, Refused, check

PROOFS = pathlib.Path(__file__).parent / "certificate" / "proofs"
MUTABLE = (
    *("forward", "backward", "adjoint", "let", "lemma", "claim", "condition", "input", "fact", "size", "split", "cost"),
    "together",
)


def words_of(line):
    return re.findall(r"\w+|\*\*|//|<=|==|\s+|.", line)


def mutate_word(lines, r):
    """One word is another one."""
    k = r.choice([k for k, line in enumerate(lines) if line.split()[0] in MUTABLE])
    words = words_of(lines[k])
    places = [i for i, w in enumerate(words) if i > 1 and w.strip()]
    if not places:  # a change before this one left its first word alone
        return
    at = r.choice(places)
    pool = [w for w in words_of(" ".join(lines)) if w.strip()]
    kind = r.random()
    if kind < 0.35:
        words[at] = r.choice(pool)
    elif kind < 0.6:
        words[at] = r.choice([w for w in words if w.strip()])
    elif kind < 0.8:
        words[at] = {"+": "-", "-": "+", "*": "/", "/": "*", "<": "<=", "<=": "<", "==": "<"}.get(
            words[at], words[at] + "*2"
        )
    elif kind < 0.9:
        words[at] = ""
    else:
        words.insert(at, r.choice(["-", "2*", "0*", "(", ")", "**2", "+1", "stop"]))
    lines[k] = "".join(words)


def mutate_statement(lines, r):
    """A statement is dropped, doubled, moved, or becomes another one."""
    k = r.randrange(1, len(lines) - 1)
    j = r.randrange(1, len(lines) - 1)
    kind = r.randrange(9)
    if kind == 0:
        del lines[k]
    elif kind == 1:
        lines.insert(j, lines[k])
    elif kind == 2:
        lines[k], lines[j] = lines[j], lines[k]
    elif kind == 3:
        lines[k] = re.sub(r" (open|uses) .*", "", lines[k])
    elif kind == 4:
        lines[k] = re.sub(r"\[(\w+),(\w+)\]", r"[\2,\1]", lines[k], count=1)
    elif kind == 5:
        names = [
            line.split()[1].split("[")[0]
            for line in lines
            if line.split()[0] in ("forward", "backward", "adjoint") and len(line.split()) > 1
        ]
        lines[k] += " " + r.choice(names)
    elif kind == 6:
        names = sorted({w for line in lines for w in re.findall(r"[A-Za-z_]\w*", line)})
        old, new = r.choice(names), r.choice(names)
        lines[k] = re.sub(rf"\b{old}\b", new, lines[k])
    elif kind == 7:
        lines.insert(
            j,
            r.choice(
                [
                    f"condition nonzero 0 in {lines[k].split()[-1]}",
                    "lemma dx = 0",
                    "fact 1 <= 0",
                    "input zero positive",
                    "together 2",
                    "split N at 1",
                    "split N by 2",
                    f"split {r.choice('NDMT')} all",
                ]
            ),
        )
    else:
        lines[k] = lines[k].split(" = ")[0] + " = " + lines[j].split(" = ")[-1]


def mutant(text, r):
    """A changed file, with the number of its lines set right."""
    lines = text.splitlines()[:-1]
    for _ in range(r.choice((1, 1, 1, 2))):
        (mutate_word if r.random() < 0.65 else mutate_statement)(lines, r)
    return "\n".join([*lines, f"end {len(lines) + 1}"]) + "\n"


SHARED = ("table",)  # only grows, and means the same for all


def copied(book):
    """The book at this line."""
    new = copy.copy(book)
    for name, value in vars(book).items():
        if name not in SHARED and isinstance(value, (dict, list, set)):
            setattr(new, name, copy.copy(value))
    new.demands = {k: list(v) for k, v in book.demands.items()}
    new.words = {word: getattr(new, method.__name__) for word, method in book.words.items()}
    return new


class Original:
    """A file that is accepted, with the book before each line after the inputs, so that mutants need not begin anew."""

    def __init__(self, text):
        self.lines, self.books, book = text.splitlines(), [], Book()
        for line in self.lines:
            self.books.append(copied(book))
            book.statement(line)
        self.first = next(k for k, line in enumerate(self.lines) if line.startswith("forward"))

    def accepts(self, lines):
        """Whether the checker accepts a changed file. Anything else than an answer is a bug."""
        same = next(
            (k for k, (a, b) in enumerate(zip(lines, self.lines, strict=False)) if a != b),
            min(len(lines), len(self.lines)),
        )
        if same < self.first:
            return accepted("\n".join(lines) + "\n")
        book = copied(self.books[same])
        book.most = 40_000
        try:
            for line in lines[same:]:
                book.statement(line)
        except MALFORMED:
            return False
        return book.ended


MALFORMED = (Refused, RecursionError, ArithmeticError, LookupError, TypeError, ValueError, AssertionError)


def accepted(text):
    """The same of a file as a whole."""
    try:
        check(text)
    except Refused:
        return False
    return True


def attack(seed, seconds=None, count=None, told_every=None, names=None):
    """Mutants asked, accepted, and those that are accepted and refuted by numbers; said on the way, if wanted."""
    r = random.Random(seed)
    texts = {p.name: p.read_text() for p in sorted(PROOFS.glob("*.sbp"))}
    asked = told = 0
    false, originals = [], {}
    start = time.monotonic()
    while (count is None or asked < count) and (seconds is None or time.monotonic() - start < seconds):
        name = r.choice(names or sorted(texts))
        text = mutant(texts[name], r)
        asked += 1
        if asked % 400 == 1:
            originals = {}
        if name not in originals:
            originals[name] = Original(texts[name])
        if text != texts[name] and originals[name].accepts(text.splitlines()) and accepted(text):
            told += 1
            found = refuted(text)
            if found is not None:
                false.append((name, text, found))
                if told_every:
                    print(f"FALSE, made of {name}: {found}\n{text}", flush=True)
        if told_every and asked % told_every == 0:
            print(f"{asked} mutants, {told} accepted, {len(false)} of them refuted by numbers", flush=True)
    return asked, told, false


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    a = parser.parse_args()
    asked, told, false = attack(a.seed, seconds=a.seconds, told_every=100)
    print(f"{asked} mutants, {told} accepted, {len(false)} of them refuted by numbers")
    return bool(false)


if __name__ == "__main__":
    sys.exit(main())
