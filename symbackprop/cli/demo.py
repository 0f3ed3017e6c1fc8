"""Sub-command demo: the main job once through, with its figures.

Proves [3, 5, 5, 4] and any depth and writes the proofs, refutes a wrong formula and proves the right one, the same for
a NumPy layer, trains on the bundled digits, saves model, curve and code.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from symbackprop.cli import options
from symbackprop.cli.lazy import api, data, files, network, plot, storage, train
from symbackprop.cli.show import coloured
from symbackprop.errors import DataError, UnsupportedError

if TYPE_CHECKING:
    from symbackprop.checking.verdict import Verdict
    from symbackprop.frontends.network import Network
    from symbackprop.proofs.theorem import Proof
    from symbackprop.training.run import CompiledGradient

RIGHT = "delta2[n,i] = sum(j, W2[j,i]*delta3[n,j]) * f_prime(z2[n,i])"
WRONG = "delta2[n,i] = sum(j, W2[j,i]*delta3[n,j])"


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Where files are written.", metavar="FOLDER")] = Path(
        "symbackprop-demo"
    ),
) -> None:
    """Prove, refute, check, write the proof, train on the bundled digits, and export the code.

    Examples:
      symbackprop demo -o demo
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"cannot make the folder: {(error.strerror or str(error)).lower()}", where=str(output)
        ) from None
    small = network.Network([3, 5, 5, 4], activation="sigmoid", cost="cross_entropy", l2="lambda/(2*m)")
    expected = [_prove(small, output), _verify(small), _check()]
    _train(output)
    raise typer.Exit(0 if all(expected) else 1)


def _prove(small: Network, folder: Path) -> bool:
    """Theorems about one network and about all depths."""
    _title("Prove: the gradients of a 3-5-5-4 network, and of any depth")
    proofs = {"proof": api.prove(small), "any_depth": api.prove(network.Network(depth="L"))}
    for name, proof in proofs.items():
        _tell_proof(proof)
        for ending in ("html", "tex"):
            proof.save(folder / f"{name}.{ending}")
            typer.echo(f"  wrote {folder / f'{name}.{ending}'}")
    return all(proof.status == "PROVED" for proof in proofs.values())


def _tell_proof(proof: Proof) -> None:
    """Its title and its extent."""
    steps = sum(len(theorem.steps) for theorem in proof.theorems)
    typer.echo(coloured(f"{proof.status}  {proof.title}"))
    typer.echo(
        f"  {len(proof.theorems)} theorems, {steps} steps, each replayed by the kernel, for all sizes "
        f"({proof.seconds:.2f} s)"
    )


def _verify(small: Network) -> bool:
    """A formula with a missing factor, and the right one."""
    _title("Verify: two formulas for the hidden error, one without f'(z)")
    verdicts = [api.verify(small, claim) for claim in (WRONG, RIGHT)]
    return _expect(verdicts, ["REFUTED", "PROVED"])


def _check() -> bool:
    """A NumPy layer with a backward pass that forgets a sum, and with the right one."""
    _title("Check: a dense layer in NumPy, its bias gradient without and with the sum over the batch")
    shapes = {"x": ("N", "D"), "w": ("D", "M"), "b": ("M",)}
    verdicts = [api.check(forward, backward, shapes=shapes) for backward in (backward_without_sum, backward_with_sum)]
    return _expect(verdicts, ["REFUTED", "PROVED"])


def forward(x: Any, w: Any, b: Any) -> Any:
    """A dense layer."""
    return x @ w + b


def backward_without_sum(dout: Any, x: Any, w: Any, b: Any) -> dict[str, Any]:
    """Wrong: db keeps one example."""
    return {"x": dout @ w.T, "w": x.T @ dout, "b": dout[0]}


def backward_with_sum(dout: Any, x: Any, w: Any, b: Any) -> dict[str, Any]:
    """Right."""
    return {"x": dout @ w.T, "w": x.T @ dout, "b": dout.sum(axis=0)}


def _expect(verdicts: list[Verdict], statuses: list[str]) -> bool:
    """Print them; whether they are what they must be."""
    for verdict in verdicts:
        typer.echo(coloured(str(verdict)))
    return [v.status for v in verdicts] == statuses


def _train(folder: Path) -> None:
    """The digits, a model, a curve, and the code."""
    _title("Train: the proved gradient of a 64-30-10 network on 1797 handwritten digits")
    net = network.Network([64, 30, 10])
    start = time.perf_counter()
    model, _ = options.compiled(net, "numpy", "float64")
    typer.echo(f"  compiled to NumPy in {time.perf_counter() - start:.2f} s")
    result = train.train(cast("CompiledGradient", model), data.load_digits(), initial=net.init(seed=0), test=0.2)
    typer.echo(
        f"  {len(result.history)} epochs over {result.train_rows} images in {result.seconds:.2f} s; "
        f"on {result.test_rows} images that neither trained it nor chose the epoch: accuracy {result.test_score:.1%}"
    )
    storage.save_model(
        folder / "model.npz", result.params, {"layers": [64, 30, 10], "activation": "sigmoid", "cost": "cross_entropy"}
    )
    typer.echo(f"  wrote {folder / 'model.npz'}")
    try:
        plot.save_learning_curve(folder / "curve.png", result, title="digits, 64-30-10")
        typer.echo(f"  wrote {folder / 'curve.png'}")
    except UnsupportedError as error:
        typer.echo(f"  no picture of the learning curve: {error.what} ({error.help})")
    files.write_file(folder / "gradient.py", lambda stream: stream.write(model.source.encode()))
    typer.echo(f"  wrote {folder / 'gradient.py'}, {model.source.count(chr(10))} lines that import NumPy alone")


def _title(text: str) -> None:
    """A heading."""
    typer.secho(f"\n{text}", bold=True)
