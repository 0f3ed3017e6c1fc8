"""The checker of certificates: what it accepts is right by numbers, and what is forged, cut off or vacuous it refuses."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import certificate_numbers
import pytest

from symbackprop.certificate import check_proof
from symbackprop.certificate.check_proof import READER, Refused, check, theorem
from symbackprop.certificate.statements import show

PROOFS = {p.stem: p.read_text() for p in sorted((Path(__file__).parent / "proofs").glob("*.sbp"))}


def numbered(lines):
    """A file of these lines, with the right number of lines in the last."""
    return "\n".join([*lines, f"end {len(lines) + 1}"]) + "\n"


def changed(name, old, new):
    """A proof in which a text, which is there, is another one."""
    text = PROOFS[name]
    assert old in text, old
    return numbered(text.replace(old, new, 1).splitlines()[:-1])


def without(name, start):
    lines = PROOFS[name].splitlines()[:-1]
    k = next(k for k, line in enumerate(lines) if line.startswith(start))
    return numbered(lines[:k] + lines[k + 1 :])


def with_line(name, after, new):
    lines = PROOFS[name].splitlines()[:-1]
    k = next(k for k, line in enumerate(lines) if line.startswith(after))
    return numbered([*lines[: k + 1], new, *lines[k + 1 :]])


def small(forward, backward, *, given=("input x[N] real",), adjoint=None, lemmas=(), conditions=()):
    """A file about J = sum(forward for i in N) and the entry x[i]; the adjoint is the backward if none is given."""
    return numbered(
        [
            "proof 2", "title small", "size N", *given, f"forward J = sum({forward} for i in N)", "cost J",
            f"adjoint x_bar of x[i:N] = {adjoint or backward} uses J", f"backward dx[i:N] = {backward}",
            *(lemmas or ("lemma dx[i] = x_bar[i] open x_bar",)), "claim x dx", *(f"condition {c}" for c in conditions),
        ]
    )  # fmt: skip


@pytest.mark.parametrize("name", PROOFS)
def test_check_accepts_what_numbers_confirm(name):
    assert check(PROOFS[name]).ended
    assert certificate_numbers.refuted(PROOFS[name], seeds=range(2)) is None


def test_refuted_notices_a_wrong_gradient():
    text = re.sub(r"(backward dgain\S* = )", r"\g<1>2*", PROOFS["layernorm"], count=1)
    assert text != PROOFS["layernorm"]
    assert certificate_numbers.refuted(text) is not None


def test_check_proof_runs_by_itself(tmp_path):
    alone = tmp_path / "check_proof.py"
    alone.write_bytes(Path(check_proof.__file__).read_bytes())
    for text, code, said in ((PROOFS["layernorm"], 0, "ACCEPTED"), (PROOFS["layernorm"][:-20], 1, "REFUSED at line")):
        (tmp_path / "p.sbp").write_text(text)
        run = subprocess.run([sys.executable, "-I", alone, tmp_path / "p.sbp"], capture_output=True, text=True)
        assert run.returncode == code, run.stderr
        assert said in run.stdout


def test_check_proof_imports_the_standard_library_alone():
    tree = ast.parse(Path(check_proof.__file__).read_text())
    found = {a.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    found |= {(n.module or "").split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert found <= set(sys.stdlib_module_names)
    called = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    assert not called & {"eval", "exec", "compile", "__import__"}


def test_check_proof_is_written_in_python_3_9():
    text = Path(check_proof.__file__).read_text()
    assert ast.parse(text, feature_version=(3, 9))
    with pytest.raises(SyntaxError):
        ast.parse(text + "match 1:\n    case 1: pass\n", feature_version=(3, 9))


@pytest.mark.parametrize("python", ["python3.9", "python3.10", "python3.12", "python3.13", "python3.14", "pypy3"])
def test_check_proof_runs_under_other_pythons(python, tmp_path):
    """Those that are installed; Debian's pypy3 is a Python 3.9."""
    command = shutil.which(python)
    if command is None or subprocess.run([command, "--version"], capture_output=True).returncode:
        pytest.skip(f"{python} is not installed")
    (tmp_path / "p.sbp").write_text(PROOFS["layernorm"])
    run = subprocess.run([command, "-I", check_proof.__file__, tmp_path / "p.sbp"], capture_output=True, text=True)
    assert run.returncode == 0 and "ACCEPTED" in run.stdout, run.stdout + run.stderr


@pytest.mark.parametrize(
    "text",
    ["a*b/c", "-a*b", "(-a)*b", "a - (b - c)", "a/(b*c)", "x[i,j+1]**(3/2)", "sum(x[i]*y[k] for k in N - 1)", "(a < b)*c",
     "where((a == 0), a//2, a%b)", "a**(-1)", "(a + b)**2", "a - (-b)", "max(exp(-a[k]) for k in N)/2"],
)  # fmt: skip
def test_show_gives_what_was_read(text):
    node = READER.read(text)
    assert READER.read(show(node)) == node


ATTACKS = {
    "sign": ("layernorm", "backward dgain[i:D] = ", "backward dgain[i:D] = -"),
    "a factor in an adjoint": ("layernorm", "adjoint gain_bar of gain[i:D] = ", "adjoint gain_bar of gain[i:D] = 3*"),
    "users forged": ("softmax_cross_entropy", " uses ", " uses J "),
    "a part in 10^12": ("layernorm", "backward dgain[i:D] = ", "backward dgain[i:D] = (1 + 1/1000000000000)*"),
    "another version": ("layernorm", "proof 2", "proof 1"),
    "a float": ("layernorm", "1000000", "1e6"),
    "code": ("layernorm", "backward dgain[i:D] = ", "backward dgain[i:D] = __import__('os')*"),
    "an unknown word": ("layernorm", "cost J", "cost J\naxiom dgain"),
    "a field that is none": ("layernorm", "input gain[D] real", "input gain[D] tiny"),
    "a name twice": ("layernorm", "cost J", "cost J\nbackward gain = 1"),
    "a tab": ("layernorm", "cost J", "cost\tJ"),
    "a look-alike": ("layernorm", "cost J", "cost J\nbackward \u0435 = 1"),
    "a second cost": ("layernorm", "cost J", "cost J\ncost J"),
    "an empty axis": ("layernorm", "size N D", "size N 0"),
    "a power tower": ("layernorm", "backward dgain[i:D] = ", "backward dgain[i:D] = 0*gain[i]**999999 + "),
    "towers of powers": ("layernorm", "backward dgain[i:D] = ", "backward dgain[i:D] = ((((7**40)**40)**40)**40)**40*0 + "),
    "division by zero": ("layernorm", "backward dgain[i:D] = ", "backward dgain[i:D] = 0*(1/(gain[i] - gain[i])) + "),
    "a division of its own": ("layernorm", "backward dgain[i:D] = ", "backward dgain[i:D] = 0*(1/(gain[i]**2 - 1)) + "),
    "contradictory facts": ("layernorm", "size N D", "size N D\nfact N + 1 <= D\nfact D <= N"),
    "an entry of another place": ("layernorm", "backward dgain[i:D] = ", "backward dgain[i:D] = gain[i+1] + "),
    "an index that is no integer": ("layernorm", "backward dgain[i:D] = ", "backward dgain[i:D] = 0*gain[i/2] + "),
    "a size that is made of numbers": ("layernorm", "input gain[D]", "input gain[D/2]"),
    "parts that do not go into the whole": ("layernorm", "size N D", "size N D\nsplit N by 2"),
    "parts of length 0": ("layernorm", "size N D", "size N D\nsplit N by 0"),
    "parts of length 1": ("layernorm", "size N D", "size N D\nsplit N by 1"),
    "a chain of comparisons": ("layernorm", "backward dgain[i:D] = ", "backward dgain[i:D] = 0*(i < 1 < 2) + "),
    "a range in an expression": ("layernorm", "backward dgain[i:D] = ", "backward dgain[i:D] = 0*(i:D) + "),
    "a power of a power without parentheses": ("layernorm", "**2", "**2**1"),
    "axes exchanged": ("two_layer_net", "backward dW1[i:", "backward dW1[j:"),
    "what Python would read otherwise": ("layernorm", "1000000", "1_000_000"),
    "a number in base 16": ("layernorm", "1000000", "0x10"),
    "a conditional": ("layernorm", "backward dgain[i:D] = ", "backward dgain[i:D] = (0 if 1 else 2) + "),
    "a sum with a condition": ("layernorm", "backward dgain[i:D] = ", "backward dgain[i:D] = sum(1 for k in D if 0) + "),
    "an assignment inside": ("layernorm", "backward dgain[i:D] = ", "backward dgain[i:D] = 0*(a := 1) + "),
    "a word of Python": ("layernorm", "size N D", "size N D None"),
    "a long row of signs": ("layernorm", "backward dgain[i:D] = ", "backward dgain[i:D] = " + "-" * 30_000),
    "deep nesting": ("layernorm", "backward dgain[i:D] = ", "backward dgain[i:D] = " + "(" * 2000),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_check_refuses(attack):
    with pytest.raises(Refused):
        check(changed(*ATTACKS[attack]))


@pytest.mark.parametrize("start", ["lemma d", "condition", "claim", "adjoint", "backward", "cost", "input", "size"])
def test_check_refuses_without_a_line(start):
    name = "softmax_cross_entropy"
    if start == "claim":
        assert check(without("layernorm", start)).claims  # less is claimed
        return
    with pytest.raises(Refused):
        check(without(name, start))


@pytest.mark.parametrize("cut", [1, 10, 200, 1000])
def test_check_refuses_a_file_that_is_cut_off(cut):
    with pytest.raises(Refused):
        check(PROOFS["attention"][:-cut])


def test_check_refuses_too_many_lines():
    with pytest.raises(Refused, match="too many lines"):
        check(PROOFS["gelu"] + "size A\n" * 100_000)


def test_check_refuses_definitions_that_are_put_in_without_end(monkeypatch):
    """Each twice in the next: 2**40 entries, whose sum takes no step of the algebra."""
    monkeypatch.setattr(check_proof, "MOST_STEPS", 2_000)
    names = [f"a{k}" for k in range(41)]
    lines = ["proof 2", "title doubled", "size N", "input x[N] real", "forward a0[i:N] = x[i]"]
    lines += [f"forward {b}[i:N] = {a}[i] + {a}[i]" for a, b in pairwise(names)]
    lines += ["forward J = sum(a40[i] for i in N)", "cost J", "backward dx[i:N] = a40[i]"]
    with pytest.raises(Refused, match="too many definitions"):
        check(numbered([*lines, f"lemma dx[i] = x[i] open {' '.join(names)}"]))
    written_out = "sum(sum(sum(a*b*c for a in 40) for b in 40) for c in 40)*x[0]"
    with pytest.raises(Refused, match="indices written out"):
        check(numbered([*lines[:2], "size N", "split 40 all", "input x[N] real", f"forward J = {written_out}"]))


def test_check_accepts_a_small_file():
    assert check(small("x[i]**3", "3*x[i]**2")).ended


CIRCLES = {
    "a lemma about itself": ["lemma dx[i] = dx[i]"],
    "a later tensor": ["lemma x_bar[i] = dx[i]", "lemma dx[i] = x_bar[i]"],
    "a second lemma": ["lemma dx[i] = x_bar[i] open x_bar", "lemma dx[i] = 3*x[i]**2"],
    "an index that hides a tensor": ["lemma dx[x] = x_bar[x] open x_bar"],
    "other indices": ["lemma dx[i] = x_bar[j] open x_bar"],
}


@pytest.mark.parametrize("lemmas", CIRCLES.values(), ids=CIRCLES)
def test_lemma_refuses(lemmas):
    with pytest.raises(Refused):
        check(small("x[i]**3", "3*x[i]**2", lemmas=lemmas))


DERIVATIVES = {
    "exp(x[i])": "exp(x[i])", "sin(x[i])": "cos(x[i])", "cos(x[i])": "-sin(x[i])", "tanh(x[i])": "1 - tanh(x[i])**2",
    "1/(1 + exp(-x[i]))": "1/(1 + exp(-x[i])) - 1/(1 + exp(-x[i]))**2", "erf(x[i])": "2*exp(-x[i]**2)/pi**(1/2)",
    "atan(x[i])": "1/(1 + x[i]**2)", "log(1 + exp(x[i]))": "exp(x[i])/(1 + exp(x[i]))",
    "lgamma(exp(x[i]))": "exp(x[i])*digamma(exp(x[i]))", "digamma(exp(x[i]))": "exp(x[i])*trigamma(exp(x[i]))",
    "(2 + 2*x[i]**2)**(1/2)": "2*x[i]/(2 + 2*x[i]**2)**(1/2)", "2**(1/2)*x[i]": "2/2**(1/2)",
    "(1 + x[i]**2)**(1/2)": "x[i]/(1 + x[i]**2)**(1/2)", "(2 + x[i]**2)**(-3)": "-6*x[i]/(2 + x[i]**2)**4",
    "x[i]/(1 + exp(-x[i]))": "1/(1 + exp(-x[i])) + x[i]*exp(-x[i])/(1 + exp(-x[i]))**2",
    "x[i]*sum(x[k]**2 for k in N)": "sum(x[k]**2 for k in N) + 2*x[i]*sum(x[k] for k in N)",
    "x[i]*(i < 2)": "(i < 2)*1", "x[i]*stop(x[i])": "x[i]",
}  # fmt: skip


@pytest.mark.parametrize("forward", DERIVATIVES)
def test_adjoint_accepts_the_derivative_alone(forward):
    right = small(forward, DERIVATIVES[forward])
    assert check(right).ended
    if "stop" not in forward:
        assert certificate_numbers.refuted(right) is None
    for wrong in (f"2*({DERIVATIVES[forward]})", f"{DERIVATIVES[forward]} + x[i]", f"-({DERIVATIVES[forward]})"):
        with pytest.raises(Refused, match="chain rule"):
            check(small(forward, wrong))


def test_theorem_says_what_is_held_fixed():
    held, bare = (small(f, "x[i]") for f in ("x[i]*stop(x[i])", "x[i]**2/2"))
    assert "stop(...) held fixed, are" in theorem(held, check(held))
    assert "held fixed" not in theorem(bare, check(bare))


def test_conditions_are_derived_and_compared():
    arguments = ("where((0 < x[i]), x[i], 0)", "where((0 < x[i]), 1, 0)")
    assert check(small(*arguments, conditions=["steady x[i] in J"])).ended
    for wrong in ([], ["steady x[i] in J"] * 2, ["nonzero x[i] in J"], ["steady x[i] in J", "steady x[i] in dx"]):
        with pytest.raises(Refused, match="condition"):
            check(small(*arguments, conditions=wrong))


@pytest.mark.parametrize("p", ["x[i]", "x[i] - y[i]"])
def test_what_moves_with_the_input_is_not_0_where_a_comparison_is_steady(p):
    """At x = y the forward pass |x - y| has no derivative; elsewhere the sign is that of NumPy."""
    text = small(f"where(({p} < 0), -1, 1)*({p})", f"(0 < {p}) - ({p} < 0)", adjoint=f"where(({p} < 0), -1, 1)",
                 given=("input x[N] real", "input y[N] real"), conditions=[f"steady {p} in J"])  # fmt: skip
    assert check(text).ended
    assert certificate_numbers.refuted(text) is None


@pytest.mark.parametrize("p", ["y[i]", "x[i] - x[0]", "x[i + 1]", "y[i]*x[i]", "sum(x[k] - x[i] for k in N)"])
def test_what_need_not_move_may_be_0(p):
    """Data that are 0 stay 0, so does x[0] - x[0], and what lies outside of the box of x."""
    wrong = small(f"where(({p} < 0), 0, 1)*stop(x[i])", f"(0 < {p}) - ({p} < 0) - where(({p} < 0), -1, 1)", adjoint="0",
                  given=("input x[N] real", "input y[N] real"), conditions=[f"steady {p} in J"])  # fmt: skip
    with pytest.raises(Refused, match="does not follow"):
        check(wrong)


@pytest.mark.parametrize(
    ("kind", "p"), [("pm1", "sum(x[k] for k in N)"), ("bern", "sum(x[k] for k in N)"), ("pm1", "x[i]*y[i] + y[i]")]
)
def test_inputs_that_are_one_of_two_numbers_do_not_move(kind, p):
    """Signs may add up to 0, whatever the other inputs are; that one writes down their adjoint changes nothing."""
    lines = [
        "proof 2", "title signs", "size N", f"input x[N] {kind}", "input y[N] real", "input w[N] real",
        f"forward J = sum(w[i]*(0 < {p}) for i in N)", "cost J", "adjoint x_bar of x[i:N] = 0 uses J",
        *(["adjoint y_bar of y[i:N] = 0 uses J"] if "y" in p else []), f"adjoint w_bar of w[i:N] = (0 < {p})*1 uses J",
        f"backward dw[i:N] = (0 <= {p})*1", "lemma dw[i] = w_bar[i] open w_bar", "claim w dw", f"condition steady {p} in J",
    ]  # fmt: skip
    with pytest.raises(Refused, match="does not follow"):
        check(numbered(lines))
    assert certificate_numbers.refuted(numbered(lines), seeds=range(12)) is not None
    real = [line.replace(f"x[N] {kind}", "x[N] real") for line in lines]
    assert check(numbered(real)).ended


@pytest.mark.parametrize("more", [[], ["nonzero x[i] in J"], ["nonzero x[i] in dx"]])
def test_conditions_come_from_the_forward_pass_alone(more):
    """Off y = 0 the mask of the other side is the same, and x**3/x**2 is x; the forward pass says neither."""
    masks = small("where((y[i] < 0), 0, x[i])", "where((0 < y[i]), 1, 0)", adjoint="1 - (y[i] < 0)",
                  given=("input x[N] real", "input y[N] real"),
                  conditions=["steady y[i] in J", *(c.replace("x", "y") for c in more)])  # fmt: skip
    quotient = small("x[i]**2", "2*x[i]**3/x[i]**2", adjoint="2*x[i]", conditions=more)
    for text in (masks, quotient):
        with pytest.raises(Refused):
            check(text)


def test_conditions_are_what_the_steady_comparisons_say():
    """x moves, so where x < 0 is steady, x is not 0: the mask of the other side is the same."""
    text = small("where((x[i] < 0), 0, x[i])", "where((0 < x[i]), 1, 0)", adjoint="1 - (x[i] < 0)",
                 conditions=["steady x[i] in J"])  # fmt: skip
    assert check(text).ended
    assert certificate_numbers.refuted(text) is None


RELU = "where((0 < x[i]), x[i], 0)"
VACUOUS = {
    "the active region alone": (RELU, "1", [f"nonzero {RELU} in dx"]),
    "what is there off a mask alone": (RELU, f"1 + ({RELU} == 0)", [f"nonzero {RELU} in dx"]),
    "a quotient that is 1 where it is a number": (RELU, f"({RELU})/({RELU})", [f"nonzero {RELU} in dx"]),
    "a logarithm of its own": ("x[i]**2", "2*exp(log(x[i]))", ["positive x[i] in dx"]),
    "a root of its own": ("x[i]**2", "2*(x[i]**2)**(1/2)", []),
    "an entry outside": ("x[i]**2", "2*x[i]*x[i+1]/x[i+1]", ["nonzero x[i+1] in dx"]),
    "what is 0 at size 1": ("x[i]**2", "2*x[i]*sum(x[k] - x[i] for k in N)/sum(x[k] - x[i] for k in N)",
                            ["nonzero sum(x[k] - x[i] for k in N) in dx"]),
    "a sum that is empty at size 1": ("x[i]**2", "2*x[i]*sum(exp(x[k]) for k in N - 1)/sum(exp(x[k]) for k in N - 1)",
                                      ["nonzero sum(exp(x[k]) for k in N - 1) in dx"]),
    "two entries that are one": ("x[i]**2", "sum(2*x[i]*(x[k] - x[i])/(x[k] - x[i]) for k in N)/N",
                                 ["nonzero x[k] - x[i] in dx"]),
}  # fmt: skip


@pytest.mark.parametrize("case", VACUOUS)
def test_conditions_refuse_what_excludes_too_much(case):
    forward, backward, conditions = VACUOUS[case]
    adjoint = "2*x[i]" if forward == "x[i]**2" else "where((0 < x[i]), 1, 0)"
    with pytest.raises(Refused):
        check(small(forward, backward, adjoint=adjoint, conditions=[*conditions]))
    with pytest.raises(Refused):
        check(small(forward, backward, adjoint=adjoint, conditions=["steady x[i] in J", *conditions]))


BOTH = f"({RELU} + {RELU.replace('x', 'y')})"
GUARDED = f"where((0 < x[i]), {BOTH}/{BOTH}, 0)"


def test_denominators_that_may_be_0_elsewhere_are_not_multiplied_away():
    """Where neither x nor y is positive the backward pass is wrong by 1, and the denominator 0."""
    adjoint = f"{GUARDED} + x[i]*where((0 < x[i]), (0 < x[i])/{BOTH} - {BOTH}*(0 < x[i])/{BOTH}**2, 0)"
    given = ("input x[N] real", "input y[N] real")
    guarded = ("steady x[i]", "steady y[i]", f"nonzero {BOTH}")
    conditions = ["steady x[i] in J", *(f"{c} in J where (0 < x[i])" for c in guarded)]
    right = small(f"x[i]*{GUARDED}", adjoint, given=given, conditions=conditions)
    assert check(right).ended
    wrong = small(f"x[i]*{GUARDED}", "(0 < x[i]) + where((0 < x[i]), 0, 1)*where((0 < y[i]), 0, 1)", adjoint=adjoint,
                  given=given, conditions=conditions)  # fmt: skip
    with pytest.raises(Refused, match="does not follow"):
        check(wrong)
    assert certificate_numbers.refuted(wrong) is not None


def test_a_root_of_a_square_stays_one_where_an_index_is_put_in():
    """At i = 0 the root is that of x[0]**2, which is not x[0]."""
    forward, given = "(i == 0)*(x[i]**2 + i*y[i])**(1/2)", ("input x[N] real", "input y[N] real")
    wrong = small(forward, "(i == 0)*1", given=given, conditions=["positive x[i]**2 + i*y[i] in J"])
    with pytest.raises(Refused, match="chain rule"):
        check(wrong)
    assert certificate_numbers.refuted(wrong) is not None


@pytest.mark.parametrize(
    ("forward", "backward", "condition"),
    [
        ("x[i]**2/(i - 1)", "2*x[i]/(i - 1)", "nonzero i - 1 in J"),  # at the second entry of any x
        ("where((i < 2), x[i]/i, 0)", "where((i < 2), 1/i, 0)", "nonzero i in J where (i < 2)"),
        ("x[i]*log(1 - N)", "log(1 - N)", "positive 1 - N in J"),  # at all sizes
    ],
)
def test_conditions_that_never_hold_are_refused(forward, backward, condition):
    with pytest.raises(Refused, match="is 0 somewhere"):
        check(small(forward, backward, conditions=[condition]))


def test_what_is_0_or_1_is_no_denominator():
    """b*b/b would be 1 or b, as it is read; where b is 0 the cost is."""
    wrong = small("x[i]*where((0 < b[i]), 1/b[i], 0)", "1", given=("input x[N] real", "input b[N] bern"),
                  conditions=["steady b[i] in J"])  # fmt: skip
    with pytest.raises(Refused, match="under a negative exponent"):
        check(wrong)
    assert certificate_numbers.refuted(wrong) is not None


def test_what_no_entry_asks_for_is_no_condition():
    """At size 1 z has no entries, and y may be negative."""
    lines = [
        "proof 2", "title empty", "size N", "input x[N] real", "input y real", "forward z[i:N - 1] = log(y)",
        "forward J = sum(x[i]**2 for i in N) + sum(z[i] for i in N - 1)", "cost J",
        "adjoint x_bar of x[i:N] = 2*x[i] uses J", "backward dx[i:N] = 2*x[i]*exp(log(y))/y",
        "lemma dx[i] = x_bar[i] open x_bar", "claim x dx", "condition positive y in z",
    ]  # fmt: skip
    with pytest.raises(Refused, match="takes more for granted"):
        check(numbered(lines))
    assert check(numbered([line.replace("N - 1", "N") for line in lines])).ended


def test_entries_outside_their_boxes_are_0():
    text = small("x[i]*x[i + 1]", "x[i + 1] + x[i - 1]")
    assert check(text).ended
    assert certificate_numbers.refuted(text) is None


def test_functions_of_which_nothing_is_known():
    given = ("input x[N] real", "input y[N] real", "function loss 2")
    right = "2*x[i]*loss_prime1(x[i]**2, y[i])"
    text = small("loss(x[i]**2, y[i])", right, given=given)
    assert check(text).ended
    assert certificate_numbers.refuted(text) is None
    for wrong in (
        "2*x[i]*loss_prime2(x[i]**2, y[i])",
        "loss_prime1(x[i]**2, y[i])",
        "2*x[i]*loss_prime1(y[i], x[i]**2)",
        "2*x[i]*loss(x[i]**2, y[i])",
        "2*x[i]*loss_prime1(x[i]**2)",
        "2*x[i]*loss_prime(x[i]**2, y[i])",
    ):
        with pytest.raises(Refused):
            check(small("loss(x[i]**2, y[i])", wrong, given=given))
    for name in ("exp", "sum", "x", "i", "pi"):
        with pytest.raises(Refused):
            check(small("x[i]**2", "2*x[i]", given=("input x[N] real", f"function {name} 1")))


def test_places_of_maxima():
    forward = "x[argmax(x[k] for k in N)]"
    text = small(forward, "N*(i == argmax(x[k] for k in N))", conditions=["once argmax(x[k] for k in N) in J"])
    assert check(text).ended
    assert certificate_numbers.refuted(text) is None
    masked = small("max(x[k] for k in N)", "N*(x[i] == max(x[k] for k in N))",
                   adjoint="N*(i == argmax(x[k] for k in N))", conditions=["once max(x[k] for k in N) in J"])  # fmt: skip
    assert check(masked).ended
    with pytest.raises(Refused):
        check(masked.replace("lemma dx[i] = x_bar[i] open x_bar", "lemma dx[i] = x_bar[i]"))


ROW, ALL = "max(x[i,k] for k in M)", "max(max(x[p,k] for k in M) for p in N)"


def pooled(backward):
    """A file about the largest of the largest of each row."""
    lines = [
        "proof 2", "title pool", "size N M", "input x[N,M] real", f"forward J = {ALL}", "cost J",
        f"adjoint x_bar of x[i:N,j:M] = (i == arg{ALL})*(j == arg{ROW}) uses J", f"backward dx[i:N,j:M] = {backward}",
        "lemma dx[i,j] = x_bar[i,j] open x_bar", "claim x dx", f"condition once {ALL} in J",
        f"condition once {ROW.replace('i', 'p', 1)} in J",
    ]  # fmt: skip
    return numbered(lines)


@pytest.mark.parametrize("entry", ["x[i,j]", f"2*x[i,j] - {ROW}"])
def test_the_largest_of_largest_ones_is_the_largest_in_its_row(entry):
    text = pooled(f"({entry} == {ALL})")
    assert check(text).ended
    assert certificate_numbers.refuted(text) is None


@pytest.mark.parametrize("wrong", [f"(x[i,j] == {ROW})", f"({ROW} == {ALL})", f"(2*{ROW} - x[i,j] == {ALL})",
                                   f"(x[i,0] == {ALL})"])  # fmt: skip
def test_the_largest_of_largest_ones_is_nothing_else(wrong):
    """Twice the largest of a row less an entry is above it: that the sum of two gaps is 0 says nothing of each."""
    with pytest.raises(Refused):
        check(pooled(wrong))


def scan(**changes):
    """A linear recurrence h[t] = a h[t-1] + x[t], its adjoint and a backward pass that runs from the end."""
    lines = {
        "h": "forward h[t:T] = a*h[t - 1] + x[t] by t",
        "J": "forward J = sum(w[t]*h[t] for t in T)",
        "cost": "cost J",
        "h_bar": "adjoint h_bar of h[t:T] = w[t] + a*h_bar[t + 1] uses h J by -t",
        "x_bar": "adjoint x_bar of x[t:T] = h_bar[t] uses h",
        "g": "backward g[s:T] = a*g[s - 1] + w[T - 1 - s] by s",
        "dx": "backward dx[t:T] = g[T - 1 - t]",
        "about g": "lemma g[s] = h_bar[T - 1 - s] ahead h_bar",
        "about dx": "lemma dx[t] = x_bar[t] open x_bar",
    } | changes
    given = ["proof 2", "title a scan", "size T", "input a real", "input x[T] real", "input w[T] real"]
    return numbered([*given, *filter(None, lines.values()), "claim x dx"])


def test_recurrences_are_shown_by_induction():
    assert check(scan()).ended
    assert certificate_numbers.refuted(scan()) is None


RECURRENCES = {
    "no rank": {"h": "forward h[t:T] = a*h[t - 1] + x[t]"},
    "a rank that grows": {"h": "forward h[t:T] = a*h[t - 1] + x[t] by -t"},
    "a rank that stays": {"h": "forward h[t:T] = a*h[t - 1] + x[t] by 0"},
    "a rank of numbers": {"h": "forward h[t:T] = a*h[t - 1] + x[t] by x[t]"},
    "a rank that is no integer": {"h": "forward h[t:T] = a*h[t - 1] + x[t] by t/2"},
    "an entry by itself": {"h": "forward h[t:T] = a*h[t] + x[t] by t"},
    "all entries": {"h": "forward h[t:T] = a*sum(h[s] for s in T) + x[t] by t"},
    "an adjoint that loses a step": {"h_bar": "adjoint h_bar of h[t:T] = w[t] uses h J by -t"},
    "an adjoint that runs the wrong way": {"h_bar": "adjoint h_bar of h[t:T] = w[t] + a*h_bar[t - 1] uses h J by t"},
    "an adjoint without itself among its users": {"h_bar": "adjoint h_bar of h[t:T] = w[t] uses J"},
    "a step that is off by one": {"about g": "lemma g[s] = h_bar[T - s] ahead h_bar"},
    "a lemma by itself": {"about g": "lemma g[s] = g[s]"},
    "a lemma by earlier entries of its own": {"about g": "lemma g[s] = a*g[s - 1] + w[T - 1 - s]"},
    "a wrong step": {"g": "backward g[s:T] = a*g[s - 1] + 2*w[T - 1 - s] by s"},
    "a start that is wrong": {"g": "backward g[s:T] = a*g[s - 1] + w[T - 1 - s] + (s == 0)*w[0] by s"},
}  # fmt: skip


@pytest.mark.parametrize("changes", RECURRENCES.values(), ids=RECURRENCES)
def test_recurrences_refuse(changes):
    with pytest.raises(Refused):
        check(scan(**changes))


def test_lemmas_together_hold_of_entries_before_alone():
    """c[t] reads h[t - 1], and the lemma about h speaks of c at a later step: its own hypothesis says nothing there."""
    pair = "together 2\nbackward c[s:T] = h2[s - 1] by 2*s\nbackward h2[s:T] = c[s] + w[s] by 2*s + 1"
    about = "lemma h2[s] = c[s + 1] open c"
    with pytest.raises(Refused, match="does not stand before"):
        check(scan(g=pair, dx="backward dx[t:T] = h2[t]", **{"about g": about, "about dx": "lemma dx[t] = x_bar[t]"}))


def test_axes_are_taken_apart():
    """x of length A*B is read as a matrix, and its gradient comes back flat."""
    lines = [
        "proof 2", "title flat", "size A B", "split A*B by B", "input x[A*B] real", "input w[A,B] real",
        "forward m[a:A,b:B] = x[a*B + b]**2", "forward J = sum(sum(w[a,b]*m[a,b] for a in A) for b in B)", "cost J",
        "adjoint m_bar of m[a:A,b:B] = w[a,b] uses J", "adjoint x_bar of x[i:A*B] = 2*x[i]*m_bar[i//B,i%B] uses m",
        "backward dx[i:A*B] = 2*w[i//B,i%B]*x[i]", "lemma dx[i] = x_bar[i] open x_bar m_bar", "claim x dx",
    ]  # fmt: skip
    assert check(numbered(lines)).ended
    assert certificate_numbers.refuted(numbered(lines)) is None
    for old, new in (("split A*B by B", "split A*B by A"), ("dx[i:A*B] = 2*w[i//B,i%B]", "dx[i:A*B] = 2*w[i%A,i//A]")):
        with pytest.raises(Refused):
            check(numbered([line.replace(old, new) for line in lines]))


KINDS = {
    "pm1": ("given[i]**2*x[i]", "1", True), "bern": ("given[i]**2*x[i]", "given[i]", True),
    "real": ("given[i]**2*x[i]", "given[i]", False), "positive": ("(0 < given[i])*x[i]", "1", True),
    "prob": ("x[i]*(given[i] < 1)", "1", False),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_input_kinds_say_what_they_say(kind):
    forward, backward, right = KINDS[kind]
    conditions = [f"steady {c} in J" for c in ("given[i]",) if "0 <" in forward]
    text = small(forward, backward, given=("input x[N] real", f"input given[N] {kind}"), conditions=conditions)
    if right:
        assert check(text).ended
        assert certificate_numbers.refuted(text) is None
    else:
        with pytest.raises(Refused):
            check(text)


def test_entries_outside_their_boxes_are_no_positive_numbers():
    given = ("input x[N] real", "input given[N] positive")
    conditions = ["steady x[i] in J", "steady given[i + 1] in J"]
    wrong = small("(0 < x[i])*(0 < given[i + 1])*x[i]", "(0 < x[i])*1", given=given, conditions=conditions)
    with pytest.raises(Refused):
        check(wrong)
    assert certificate_numbers.refuted(wrong) is not None
