"""Mutated certificates: `python tests/certificate_fuzz.py [--seconds 3600] [--seed 1]` asks the checker about each.

A mutant that is accepted is looked at by numbers: a claim that they refute is a bug. Mutations are of words (another
word of the file, a sign, a factor, a number) and of statements (dropped, doubled, swapped, renamed, users forged,
definitions closed and opened, indices swapped); one file may have several. Conditions are no obstacle: a mutant declares
those that the checker derives. The files are small ones, made here, one for each thing that the format can say, and now
and then those of `tests/certificate/proofs`. A file is read once; a mutant is judged from its first changed line on.
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
from symbackprop.certificate.statements import show

PROOFS = pathlib.Path(__file__).parent / "certificate" / "proofs"
X, Y, BERN, SIGN = "input x[N] real", "input y[N] real", "input b[N] bern", "input s[N] pm1"
POSITIVE, PROB, LABELS = "input p[N] positive", "input q[N] prob", "input l[N] labels N"
RELU, STEP = "where((0 < x[i]), x[i], 0)", "where((0 < x[i]), 1, 0)"
BEST = "argmax(x[k] for k in N)"
SMALL = [  # the summand of the cost, its derivative as the adjoint and as the backward pass have it, the inputs
    ("x[i]**3*y[i]", "3*x[i]**2*y[i]", "3*y[i]*x[i]*x[i]", [X, Y]),
    ("exp(x[i])*y[i]", "exp(x[i])*y[i]", "y[i]/exp(-x[i])", [X, Y]),
    ("tanh(x[i])*sin(y[i])", "(1 - tanh(x[i])**2)*sin(y[i])", "(1 - tanh(x[i]))*(1 + tanh(x[i]))*sin(y[i])", [X, Y]),
    ("log(1 + exp(x[i]))", "exp(x[i])/(1 + exp(x[i]))", "1/(1 + exp(-x[i]))", [X]),
    ("(1 + x[i]**2)**(1/2)", "x[i]/(1 + x[i]**2)**(1/2)", "x[i]*(1 + x[i]**2)**(-1/2)", [X]),
    ("(x[i]**2 + y[i]**2)**(3/2)", "3*x[i]*(x[i]**2 + y[i]**2)**(1/2)", "x[i]*3*(y[i]**2 + x[i]**2)**(1/2)", [X, Y]),
    ("log(x[i]**2)/y[i]", "2/x[i]/y[i]", "2*(1/(x[i]*y[i]))", [X, Y]),
    ("erf(x[i]) + atan(y[i])", "2*exp(-x[i]**2)/pi**(1/2)", "2*exp(-x[i]*x[i])/pi**(1/2)", [X, Y]),
    ("lgamma(exp(x[i]))", "exp(x[i])*digamma(exp(x[i]))", "digamma(exp(x[i]))/exp(-x[i])", [X]),
    (f"y[i]*({RELU})", f"y[i]*({STEP})", "where((x[i] <= 0), 0, y[i])", [X, Y]),
    ("where((x[i] < y[i]), x[i]**2, x[i]*y[i])", "where((x[i] < y[i]), 2*x[i], y[i])",
     "(x[i] < y[i])*2*x[i] + (1 - (x[i] < y[i]))*y[i]", [X, Y]),
    ("where((0 < y[i]), x[i]/y[i], x[i])", "where((0 < y[i]), 1/y[i], 1)", "where((y[i] <= 0), 1, 1/y[i])", [X, Y]),
    ("where((0 < x[i])*(y[i] < 1), x[i]*log(x[i]), 0)", "where((0 < x[i])*(y[i] < 1), log(x[i]) + 1, 0)",
     "(0 < x[i])*(y[i] < 1)*where((0 < x[i]), 1 + log(x[i]), 0)", [X, Y]),
    ("b[i]*x[i]**2 + (1 - b[i])*x[i]", "2*b[i]*x[i] + 1 - b[i]", "where((b[i] == 1), 2*x[i], 1)", [X, BERN]),
    ("s[i]*x[i]*s[i] + s[i]*x[i]", "1 + s[i]", "s[i]*(s[i] + 1)", [X, SIGN]),
    ("log(p[i])*x[i]*p[i]**(1/2)", "log(p[i])*p[i]**(1/2)", "2*log(p[i]**(1/2))*p[i]**(1/2)", [X, POSITIVE]),
    ("x[i]/(q[i]*(1 + q[i]))", "1/(q[i]*(1 + q[i]))", "1/q[i]/(1 + q[i])", [X, PROB]),
    ("x[l[i]]*y[i]", "sum(y[k]*(l[k] == i) for k in N)", "sum(where((i == l[k]), y[k], 0) for k in N)", [X, Y, LABELS]),
    (f"x[i]*({BEST} == i)*y[i]", f"({BEST} == i)*y[i]", f"where((i == {BEST}), y[{BEST}], 0)", [X, Y]),
    ("max(x[k] for k in N)*y[i]", f"sum(y[k] for k in N)*(i == {BEST})",
     "sum(y[k]*(x[i] == max(x[j] for j in N)) for k in N)", [X, Y]),
    ("min(x[k] for k in N)/N", "(i == argmax(-x[k] for k in N))*1", "(x[i] == min(x[j] for j in N))*1", [X]),
    ("x[i]*x[i + 1]", "x[i + 1] + x[i - 1]", "x[i - 1] + x[i + 1]", [X]),
    ("x[N - 1 - i]*y[i]", "y[N - 1 - i]", "y[N - i - 1]", [X, Y]),
    ("x[i]*sum(x[k]**2 for k in N)", "sum(x[k]**2 for k in N) + 2*x[i]*sum(x[k] for k in N)",
     "sum(2*x[i]*x[k] + x[k]**2 for k in N)", [X]),
    ("sum(x[k]*(k <= i) for k in N)*y[i]", "sum(y[k]*(i <= k) for k in N)",
     "sum(where((i <= k), y[k], 0) for k in N)", [X, Y]),
    ("x[i]*y[i]/sum(exp(y[k]) for k in N)", "y[i]/sum(exp(y[k]) for k in N)",
     "y[i]*exp(-y[i])/sum(exp(y[k] - y[i]) for k in N)", [X, Y]),
    ("(x[i] - sum(x[k] for k in N)/N)**2", "2*(x[i] - sum(x[k] for k in N)/N)", "2*x[i] - 2*sum(x[k] for k in N)/N", [X]),
    ("stop(y[i])*x[i]**2", "2*x[i]*y[i]", "2*y[i]*x[i]", [X, Y]),
    ("(i == 0)*(1 + x[i]**2 + i*y[i]**2)**(1/2)", "(i == 0)*x[0]/(1 + x[0]**2)**(1/2)",
     "(i == 0)*x[i]*(1 + x[0]**2)**(-1/2)", [X, Y]),
    ("x[i]*where((0 < b[i]), y[i], 2)", "where((0 < b[i]), y[i], 2)", "b[i]*y[i] + 2 - 2*b[i]", [X, Y, BERN]),
]  # fmt: skip
CHAIN = """proof 2
title chain
size N D
input x[N,D] real
input w[D] real
forward z[i:N] = sum(x[i,k]*w[k] for k in D)
forward r[i:N] = 1 + z[i]**2
forward a[i:N] = z[i]/r[i]**(1/2)
forward J = sum(log(r[i])*a[i] for i in N)
cost J
adjoint a_bar of a[i:N] = log(r[i]) uses J
adjoint r_bar of r[i:N] = a[i]/r[i] - a_bar[i]*z[i]/r[i]**(3/2)/2 uses a J
adjoint z_bar of z[i:N] = a_bar[i]/r[i]**(1/2) + 2*z[i]*r_bar[i] uses r a
adjoint x_bar of x[i:N,j:D] = z_bar[i]*w[j] uses z
adjoint w_bar of w[i:D] = sum(z_bar[j]*x[j,i] for j in N) uses z
backward dr[i:N] = a[i]/r[i] - log(r[i])*a[i]/(2*r[i])
backward dz[i:N] = log(r[i])*r[i]**(-1/2) + dr[i]*2*z[i]
backward dx[i:N,j:D] = w[j]*dz[i]
backward dw[i:D] = sum(dz[j]*x[j,i] for j in N)
lemma dr[i] = r_bar[i] open r_bar a_bar a
lemma dz[i] = z_bar[i] open z_bar a_bar
lemma dx[i,j] = x_bar[i,j] open x_bar
lemma dw[i] = w_bar[i] open w_bar
claim x dx
claim w dw"""
SCAN = """proof 2
title scan
size T
input x[T] real
input w[T] real
input a real
forward h[t:T] = a*h[t - 1] + x[t] by t
forward J = sum(w[t]*h[t] for t in T)
cost J
adjoint h_bar of h[t:T] = w[t] + a*h_bar[t + 1] uses h J by -t
adjoint x_bar of x[t:T] = h_bar[t] uses h
adjoint a_bar of a = sum(h_bar[t]*h[t - 1] for t in T) uses h
backward g[s:T] = a*g[s - 1] + w[T - 1 - s] by s
backward dx[t:T] = g[T - 1 - t]
backward da = sum(g[T - 1 - t]*h[t - 1] for t in T)
lemma g[s] = h_bar[T - 1 - s] ahead h_bar
lemma dx[t] = x_bar[t] open x_bar
lemma da = a_bar open a_bar
claim x dx
claim a da"""
POOL = """proof 2
title pool
size N M
input x[N,M] real
input y[N,M] real
forward J = max(max(x[p,k] for k in M) for p in N)
cost J
adjoint x_bar of x[i:N,j:M] = (i == argmax(max(x[p,k] for k in M) for p in N))*(j == argmax(x[i,k] for k in M)) uses J
backward dx[i:N,j:M] = (x[i,j] == max(max(x[p,k] for k in M) for p in N))
lemma dx[i,j] = x_bar[i,j] open x_bar
claim x dx"""
FLAT = """proof 2
title flat
size A B
split A*B by B
input x[A*B] real
input w[A,B] real
forward m[a:A,b:B] = x[a*B + b]**2
forward J = sum(sum(w[a,b]*m[a,b] for a in A) for b in B)
cost J
adjoint m_bar of m[a:A,b:B] = w[a,b] uses J
adjoint x_bar of x[i:A*B] = 2*x[i]*m_bar[i//B,i%B] uses m
backward dx[i:A*B] = 2*w[i//B,i%B]*x[i]
lemma dx[i] = x_bar[i] open x_bar m_bar
claim x dx"""


def small(forward, adjoint, backward, given):
    """A file about J = sum(forward for i in N) and the entry x[i]."""
    return "\n".join(
        ["proof 2", "title small", "size N", *given, f"forward J = sum({forward} for i in N)", "cost J",
         f"adjoint x_bar of x[i:N] = {adjoint} uses J", f"backward dx[i:N] = {backward}",
         "lemma dx[i] = x_bar[i] open x_bar", "claim x dx"]
    )  # fmt: skip


def texts():
    """The files that are mutated: small ones, and those that are stored."""
    made = {f"small {k}": small(*row) for k, row in enumerate(SMALL)}
    made |= {"chain": CHAIN, "scan": SCAN, "flat": FLAT, "pool": POOL}
    stored = {p.name: re.sub(r";.*", "", p.read_text()) for p in sorted(PROOFS.glob("*.sbp"))}
    return made, {name: "\n".join(bare(text.splitlines())) for name, text in stored.items()}


def bare(lines):
    """Without the conditions and the end, which are written anew for each mutant."""
    return [line.rstrip() for line in lines if line.split()[0] not in ("condition", "end")]


def words_of(line):
    return re.findall(r"\w+|\*\*|//|<=|==|\s+|.", line)


OPPOSITE = {"+": "-", "-": "+", "*": "/", "/": "*", "<": "<=", "<=": "<", "==": "<"}


def mutate_word(lines, pool, r):
    """One word is another one."""
    k = r.randrange(2, len(lines))
    words = words_of(lines[k])
    places = [i for i, w in enumerate(words) if i > 1 and w.strip()]
    if not places:  # a change before this one left its first word alone
        return
    at = r.choice(places)
    kind = r.random()
    if kind < 0.35:
        words[at] = r.choice(pool)
    elif kind < 0.6:
        words[at] = r.choice([w for w in words if w.strip()])
    elif kind < 0.8:
        words[at] = OPPOSITE.get(words[at], words[at] + "*2")
    elif kind < 0.9:
        words[at] = ""
    else:
        words.insert(at, r.choice(["-", "2*", "0*", "(", ")", "**2", "+1", "stop", "**(1/2)", "1/"]))
    lines[k] = "".join(words)


def mutate_statement(lines, r):
    """A statement is dropped, doubled, moved, or becomes another one."""
    k = r.randrange(1, len(lines))
    j = r.randrange(1, len(lines))
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
        names = [line.split()[1].split("[")[0] for line in lines
                 if line.split()[0] in ("forward", "backward", "adjoint") and len(line.split()) > 1]  # fmt: skip
        lines[k] += " " + r.choice(names or ["x"])
    elif kind == 6:
        names = sorted({w for line in lines for w in re.findall(r"[A-Za-z_]\w*", line)})
        lines[k] = re.sub(rf"\b{r.choice(names)}\b", r.choice(names), lines[k])
    elif kind == 7:
        lines.insert(
            j,
            r.choice(
                ["lemma dx = 0", "fact 1 <= 0", "fact 2 <= N", "input zero positive", "together 2", "split N at 1",
                 "split N by 2", f"split {r.choice('NDMT')} all", "lemma x_bar[i] = dx[i] open x_bar dx"]
            ),
        )  # fmt: skip
    else:
        lines[k] = lines[k].split(" = ")[0] + " = " + lines[j].split(" = ")[-1]


SHARED = ("table",)  # only grows, and means the same for all
MALFORMED = (
    Refused,
    RecursionError,
    ArithmeticError,
    LookupError,
    TypeError,
    ValueError,
    AssertionError,
    AttributeError,
)


def copied(book):
    """The book at this line."""
    new = copy.copy(book)
    for name, value in vars(book).items():
        if name not in SHARED and isinstance(value, (dict, list, set)):
            setattr(new, name, copy.copy(value))
    new.demands = {k: list(v) for k, v in book.demands.items()}
    return new


class Original:
    """A file that is accepted, with the book before each line."""

    def __init__(self, text):
        self.lines, self.books, self.book = text.split("\n"), [], Book()
        self.pool = [w for w in words_of(text.replace("\n", " ")) if w.strip()]
        for line in self.lines:
            self.books.append(copied(self.book))
            self.book.statement(line)

    def mutant(self, r):
        """Its lines, changed once or more often."""
        lines = list(self.lines)
        for _ in range(r.choice((1, 1, 2, 3))):
            if r.random() < 0.75 or len(lines) < 4:
                mutate_word(lines, self.pool, r)
            else:
                mutate_statement(lines, r)
        return lines

    def accepts(self, lines):
        """The conditions with which the checker accepts changed lines, None if it does not."""
        same = 0
        while same < min(len(lines), len(self.lines)) and lines[same] == self.lines[same]:
            same += 1
        book = copied(self.books[same]) if same < len(self.books) else copied(self.book)
        book.most = 20_000
        try:
            for line in lines[same:]:
                book.statement(line)
            return [told(*c) for c in book.conditions()]
        except MALFORMED:
            return None


def told(how, what, guard, name):
    """A condition as a line."""
    texts = [f"not {show(g[1])}" if g[0] == "not" else show(g) for g in guard]
    return f"condition {how} {show(what)} in {name}" + (f" where {' and '.join(texts)}" if texts else "")


def accepted(text):
    """Whether the checker accepts a whole file. Anything else than an answer is a bug."""
    try:
        check(text)
    except Refused:
        return False
    return True


def attack(seed, seconds=None, count=None, told_every=None, stored=0.02):
    """Mutants asked, accepted, and those that are accepted and refuted by numbers; said on the way, if wanted.

    Args:
        stored: how often a stored file is mutated instead of a small one.
    """
    r = random.Random(seed)
    made, kept = texts()
    asked, seen, false, originals = 0, set(), [], {}
    start = time.process_time()
    while (count is None or asked < count) and (seconds is None or time.process_time() - start < seconds):
        name = r.choice([*kept]) if r.random() < stored else r.choice([*made])
        if asked % 20_000 == 0:  # the tables of the books grow
            originals = {}
        if name not in originals:
            originals[name] = Original({**made, **kept}[name])
        lines = originals[name].mutant(r)
        asked += 1
        conditions = originals[name].accepts(lines)
        if conditions is not None and lines != originals[name].lines:
            text = "\n".join([*lines, *conditions, f"end {len(lines) + len(conditions) + 1}"]) + "\n"
            if text not in seen and accepted(text):
                seen.add(text)
                found = refuted(text, seeds=range(3))
                if found is not None:
                    false.append((name, text, found))
                    if told_every:
                        print(f"FALSE, made of {name}: {found}\n{text}", flush=True)
        if told_every and asked % told_every == 0:
            print(f"{asked} mutants, {len(seen)} accepted, {len(false)} of them refuted by numbers; "
                  f"{time.process_time() - start:.0f} s", flush=True)  # fmt: skip
    return asked, len(seen), false


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="of processor time")
    parser.add_argument("--seed", type=int, default=1)
    a = parser.parse_args()
    asked, told, false = attack(a.seed, seconds=a.seconds, told_every=10_000)
    print(f"{asked} mutants, {told} accepted, {len(false)} of them refuted by numbers")
    return bool(false)


if __name__ == "__main__":
    sys.exit(main())
