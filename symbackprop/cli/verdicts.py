"""Sub-commands about truth: prove, verify, check."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape

from symbackprop.cli import options
from symbackprop.cli.bar import CheckBar
from symbackprop.cli.lazy import api, theorems
from symbackprop.cli.show import check_documents, check_writable, coloured, finish, interrupted, print_json
from symbackprop.cli.user_file import read_user_file
from symbackprop.errors import MalformedError

if TYPE_CHECKING:
    from symbackprop.checking.verdict import Verdict
    from symbackprop.expression.program import Program

HANDOUT = "A handout"
FLOATS = "Floating point"
Documents = Annotated[
    list[Path] | None,
    typer.Option(
        "--output",
        "-o",
        help="Write the verdict as a document: .tex, .pdf, .html or .md; of several claims, one file for each.",
        metavar="FILE",
    ),
]
Seconds = Annotated[float | None, typer.Option(help="Time for each claim; then it is UNDECIDED.", min=0.1)]


def prove(
    layers: options.Layers = None,
    depth: options.Depth = None,
    activation: options.Activation = "sigmoid",
    cost: options.Cost = "cross-entropy",
    l2: options.L2 = None,
    l1: options.L1 = None,
    reduction: options.Reduction = "mean",
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            help="Write the proof: .tex, .pdf, .html, .md, .sbp or .v; may be repeated.",
            metavar="FILE",
        ),
    ] = None,
    detail: Annotated[Literal["brief", "full"], typer.Option(help="A page, or an answer to every why.")] = "full",
    notation: Annotated[str, typer.Option(help="weights, theta or nielsen.")] = "weights",
    paper: Annotated[Literal["a4", "letter"], typer.Option(help="Of .pdf and .tex.", rich_help_panel=HANDOUT)] = "a4",
    fragment: Annotated[
        bool,
        typer.Option(
            "--fragment", help=escape("A .tex without preamble, for \\input into your own."), rich_help_panel=HANDOUT
        ),
    ] = False,
    example: Annotated[
        bool,
        typer.Option(
            "--example", help="Add a 2-2-1 network with numbers: forward, backward, a step.", rich_help_panel=HANDOUT
        ),
    ] = False,
    exercises: Annotated[
        bool, typer.Option("--exercises", help="Add exercises, solutions last.", rich_help_panel=HANDOUT)
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Derive a network's gradients and prove them for every width and batch size.

    Examples:
      symbackprop prove --layers 3,5,5,4 --l2 "lambda/(2*m)" -o proof.html
      symbackprop prove --depth L --activation f --cost squared-error
      symbackprop prove --layers 3,5,4 --example --exercises -o handout.html
      symbackprop prove --layers 3,5,4 --paper letter --fragment -o section.tex
      symbackprop prove --layers 3,5,4 -o proof.v
    """
    files = output or []
    check_writable(*files)
    if not files and (fragment or example or exercises):
        raise MalformedError("--fragment, --example and --exercises are about a document", help="-o handout.html")
    proof = theorems.prove_network(options.describe(layers, activation, cost, l2, l1, reduction, depth))
    for path in files:
        proof.save(
            path,
            detail=detail,
            notation=notation,
            paper=paper,
            fragment=fragment,
            example=example,
            exercises=exercises,
        )
    if as_json:
        print_json(proof.to_dict() | {"files": [str(path) for path in files]})
    else:
        typer.echo(coloured(str(proof)))
        for path in files:
            typer.echo(f"wrote {path}")
    raise typer.Exit(0 if proof.status == "PROVED" else 1)


def verify(
    claims: Annotated[
        list[str], typer.Argument(help=escape("Equations: 'delta3[n,k] = (a3[n,k] - y[n,k])/m'."), metavar="CLAIM...")
    ],
    layers: options.Layers = None,
    depth: options.Depth = None,
    activation: options.Activation = "sigmoid",
    cost: options.Cost = "cross-entropy",
    l2: options.L2 = None,
    l1: options.L1 = None,
    reduction: options.Reduction = "mean",
    output: Documents = None,
    seconds: Seconds = None,
    as_json: options.Json = False,
) -> None:
    """Say whether hand-derived formulas are the network's gradients. Exit status 0 only if all are PROVED.

    Left side: delta2[n,i], dJ/dW1[i,j], dJ/db1[i], dJ/da2[n,i] or J. Right side: W1 b1 z2 a2 x y h m lam, f(...),
    f_prime(...), sum(index, ...), exp, log, tanh. W[i,j] leads from unit j to unit i, n counts the examples, and J
    holds the 1/m of a mean. Whole arrays, examples as rows, are read too: "dJ/dW2 = delta3.T @ a2".

    Examples:
      symbackprop verify --layers 3,5,4 "delta3[n,k] = (a3[n,k] - y[n,k])/m"
      symbackprop verify --layers 3,5,4 "dJ/db1[i] = sum(n, delta2[n,i])"
      symbackprop verify --layers 3,5,4 "dJ/dW2 = delta3.T @ a2"
    """
    documents = output or []
    check_documents(documents, len(claims))
    network = options.describe(layers, activation, cost, l2, l1, reduction, depth)
    limit: dict[str, Any] = {} if seconds is None else {"seconds": seconds}
    finish([api.verify(network, claim, **limit) for claim in claims], output=documents, as_json=as_json)


def check(
    files: Annotated[
        list[Path], typer.Argument(help="Python files with forward, backward and SHAPES.", metavar="FILE...")
    ],
    output: Documents = None,
    seconds: Seconds = None,
    certificate: Annotated[
        Path | None,
        typer.Option(help="Write the proof for check_proof.py (.sbp), or for Coq (.v).", metavar="FILE.sbp"),
    ] = None,
    complete: Annotated[bool, typer.Option("--complete", help="The gradient of every input must be returned.")] = False,
    precision: Annotated[
        bool,
        typer.Option("--precision", help="Search for inputs at which floating point fails.", rich_help_panel=FLOATS),
    ] = False,
    ranges: Annotated[
        list[str] | None,
        typer.Option(
            "--range",
            help="Of an input: x=-100,100; by default -1e4,1e4.",
            metavar="NAME=LOW,HIGH",
            rich_help_panel=FLOATS,
        ),
    ] = None,
    dtype: Annotated[str, typer.Option(help="float64 or float32.", rich_help_panel=FLOATS)] = "float64",
    as_json: options.Json = False,
) -> None:
    """Say whether a backward pass is the gradient of its forward pass. Exit status 0 only if all are PROVED.

    This runs FILE, as python or pytest would: use it on code that you trust. FILE defines forward(**inputs),
    backward(dout, **inputs), which returns {name: gradient}, and SHAPES = {"x": ("N", "D"), ...}; where needed
    ASSUME = {"y": "labels:C"}, WHERE = "N >= 2", FIXED = {"eps": 1e-6} and RANGES = {"x": (-100, 100)}. FUNCTION, a
    torch.autograd.Function or a jax.custom_vjp function, stands for both. With --precision a file may have a forward
    alone: exit status 0 only if nothing was found in it.

    Examples:
      symbackprop check layernorm.py
      symbackprop check layernorm.py -o verdict.html --seconds 60
      symbackprop check layernorm.py --certificate layernorm.sbp
      symbackprop check layernorm.py --precision --range x=-100,100
    """
    documents = [*(output or []), *([certificate] if certificate is not None else [])]
    if certificate is not None and certificate.suffix.lower() not in (".sbp", ".v"):
        raise MalformedError(
            f"a certificate is a .sbp or a .v file, not {certificate.name}", help="--certificate proof.sbp"
        )
    check_documents(documents, len(files))
    limit: dict[str, Any] = {} if seconds is None else {"seconds": seconds}
    stated = dict(map(_range, ranges or []))
    floats: dict[str, Any] = {"precision": precision or bool(stated), "dtype": dtype}
    cases = [read_user_file(path, alone=floats["precision"]) for path in files]
    verdicts: list[Verdict] = []
    alone: list[Program] = []
    for path, case in zip(files, cases, strict=True):
        if documents and "backward" not in case:
            raise MalformedError("documents are written of verdicts, and the file has no backward", where=str(path))
    try:
        with CheckBar() as bar:
            for case in cases:
                own = {**case, **floats, "ranges": {**(case["ranges"] or {}), **stated} or None, **limit}
                if "backward" in own:
                    verdicts.append(api.check(**own, complete=complete, observer=bar))
                    continue
                forward, fixed = own.pop("forward"), own.pop("fixed") or {}
                alone.append(api.trace(functools.partial(forward, **fixed) if fixed else forward, **own))
    except KeyboardInterrupt as stop:
        interrupted(verdicts, str(stop))
    finish(verdicts, output=documents, as_json=as_json, alone=alone)


def _range(text: str) -> tuple[str, tuple[float, float]]:
    """The name and the two numbers of "x=-100,100"."""
    name, equals, numbers = text.partition("=")
    try:
        low, high = (float(n) for n in numbers.split(","))
    except ValueError:
        raise MalformedError(f"--range {text} is not a name and two numbers", help="--range x=-100,100") from None
    if not equals or not name.strip():
        raise MalformedError(f"--range {text} does not name an input", help="--range x=-100,100")
    return name.strip(), (low, high)
