"""How to do it again: the command that proves a network, the lines of Python that trace a user's function.

Main names: `command_for`, `arguments_of`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container

from symbackprop.errors import SymbackpropError
from symbackprop.expression.build import Symbol, Tensor, substitute, tensors_in
from symbackprop.expression.functions import FUNCTIONS, Function
from symbackprop.expression.program import UPSTREAM, Program
from symbackprop.expression.sympy_bridge import PLACES, definition
from symbackprop.frontends.network import Network
from symbackprop.frontends.network_options import read_activation, read_cost
from symbackprop.proofs.theorem import Proof
from symbackprop.rendering.text import to_text


def command_for(proof: Proof) -> str:
    """What to type to prove all of it again; "" for what cannot be said in a few lines."""
    return command_of(proof.network) if proof.network is not None else python_command(proof.program)


def command_of(network: Network | None) -> str:
    """What to type to prove all of it again; "" for what the command line cannot say."""
    if network is None:
        return ""
    names = [_activation_text(f) for f in _functions(network)]
    cost = _cost_text(network)
    if None in names or cost is None or ("," in "".join(n or "" for n in names)):
        return ""
    if network.cost_name == "softmax_cross_entropy" and len(set(names)) == 2:
        names = names[:-1]  # a softmax at the output is what this cost takes
    widths = ",".join(str(w) for w in network.widths)
    words = ["symbackprop prove", f"--depth {network.depth}" if network.depth else f"--layers {widths}"]
    activations = str(names[0]) if len(set(names)) == 1 else ",".join(n or "" for n in names)
    words += [f"--activation {_quoted(activations)}", f"--cost {_quoted(cost)}"]
    words += [f'--{kind} "{to_text(v)}"' for kind, v in (("l2", network.l2), ("l1", network.l1)) if v is not None]
    words += ["--reduction sum"] if network.reduction == "sum" else []
    return " ".join(words)


def _activation_text(function: Function | None) -> str | None:
    """How an activation is given on the command line; None where its formula is not read back as it is."""
    if function is None:
        return "softmax"
    if function.name == "f" or function is FUNCTIONS.get(function.name):
        return function.name
    meaning = definition(function)
    text = to_text(meaning) if meaning is not None else ""
    return text if text and _reads_back(lambda: read_activation(text), function) else None


def _cost_text(network: Network) -> str | None:
    """How a cost is given on the command line."""
    own = network.cost_function
    if own is None:
        return network.cost_name.replace("_", "-")
    meaning = definition(own)
    if meaning is None:
        return None
    text = to_text(substitute(meaning, {PLACES[0]: Symbol("h"), PLACES[1]: Symbol("y")}))
    return text if _reads_back(lambda: read_cost(text)[0], own) else None


def _reads_back(read: Callable[[], Function | None], function: Function) -> bool:
    try:
        return read() == function
    except SymbackpropError:
        return False


def _quoted(text: str) -> str:
    return text if re.fullmatch(r"[\w,-]+", text) else f'"{text}"'


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
