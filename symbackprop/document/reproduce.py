"""How to do it again: the command that proves a network, the lines of Python that trace a user's function.

Main names: `command_for`, `arguments_of`.
"""

from __future__ import annotations

from collections.abc import Container

from symbackprop.calculus.rules import tensors_in
from symbackprop.expression.build import Tensor
from symbackprop.expression.functions import FUNCTIONS, Function
from symbackprop.expression.program import UPSTREAM, Program
from symbackprop.frontends.network import Network
from symbackprop.proofs.theorem import Proof
from symbackprop.rendering.text import to_text


def command_for(proof: Proof) -> str:
    """What to type to prove all of it again; "" for what cannot be said in a few lines."""
    return command_of(proof.network) if proof.network is not None else python_command(proof.program)


def command_of(network: Network | None) -> str:
    """What to type to prove all of it again; "" for what the command line cannot say."""
    if network is None:
        return ""
    own = [f for f in _functions(network) if f is not None and f.name != "f" and f is not FUNCTIONS.get(f.name)]
    if own or (network.softmax and len(set(_functions(network))) != 2):
        return ""
    if network.cost_name not in ("squared_error", "cross_entropy", "softmax_cross_entropy"):
        return ""
    widths = ",".join(str(w) for w in network.widths)
    words = ["symbackprop prove", f"--depth {network.depth}" if network.depth else f"--layers {widths}"]
    names = [f.name for f in _functions(network) if f is not None]
    words.append(f"--activation {names[0] if len(set(names)) == 1 else ','.join(names)}")
    words.append(f"--cost {network.cost_name.replace('_', '-')}")
    words += [f'--{kind} "{to_text(v)}"' for kind, v in (("l2", network.l2), ("l1", network.l1)) if v is not None]
    words += ["--reduction sum"] if network.reduction == "sum" else []
    return " ".join(words)


def python_command(program: Program) -> str:
    """The lines of Python that trace a user's function and prove it again; "" for a program without one."""
    if not program.name.isidentifier() or not program.lines:
        return ""
    return f"import symbackprop as sb\n\nprint(sb.prove(sb.trace({program.name}, {arguments_of(program)})))"


def _functions(network: Network) -> list[Function | None]:
    return [layer.function for layer in network.layers[1:]]


def arguments_of(program: Program, left_out: Container[Tensor] = ()) -> str:
    """The keywords `shapes`, `assume` and `where` as they stand in a call of `trace`, `check` or `assert_proved`.

    Args:
        left_out: inputs that are no arguments of the user's function.

    Example:
        >>> from symbackprop.expression.build import Symbol
        >>> n = Symbol("N", "size")
        >>> arguments_of(Program((Tensor("x", (n,)),), (), ()))
        'shapes={"x": ("N",)}'
    """
    inputs = [t for t in program.inputs if t not in left_out and t not in handed_in(program)]
    shapes = {t.name: tuple(to_text(n).replace(" ", "") for n in t.shape) for t in inputs}
    assume = {
        a.tensor.name: a.kind if a.size is None else f"{a.kind}:{to_text(a.size)}"
        for a in program.assumptions
        if a.tensor in inputs
    }
    words = [f"shapes={shapes}"]
    words += [f"assume={assume}"] if assume else []
    conditions = [to_text(c).removeprefix("where(").removesuffix(", 1, 0)") for c in program.domain]
    words += [f"where={', '.join(conditions)!r}"] if conditions else []
    return ", ".join(words).replace("'", '"')


def handed_in(program: Program) -> set[Tensor]:
    """The upstream gradients: inputs that only that cost reads which stands for what is computed later."""
    forward = [e for e in program.equations if not e.tensor.name.endswith("_bar")]
    last = {t for e in forward if e.note == UPSTREAM for t in tensors_in(e.value)}
    read = {t for e in forward if e.note != UPSTREAM for t in tensors_in(e.value)}
    return {t for t in program.inputs if t in last - read}
