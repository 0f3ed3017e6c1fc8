"""prove: theorems about the gradients of a network or of any Program, and their documents.

    proof = prove(Network([3, 5, 4], activation="tanh", cost="squared_error"))
    proof.save("proof.html")

For a Program (a traced NumPy function, say) every cotangent is derived and replayed; outputs that are arrays are
met by an upstream gradient `dout`, so that the cost is Sum(dout * out).
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Literal

from symbackprop.calculus.cotangents import with_cost
from symbackprop.calculus.derivation import Derivation, Gradient
from symbackprop.calculus.kernel import Kernel
from symbackprop.codegen.code_lines import code_lines
from symbackprop.codegen.program import compile_program
from symbackprop.document.any_depth_code import loop_lines
from symbackprop.document.html import fragment
from symbackprop.document.proof_document import proof_document
from symbackprop.document.reproduce import arguments_of
from symbackprop.document.save import save
from symbackprop.errors import UnsupportedError
from symbackprop.expression.build import Tensor
from symbackprop.expression.functions import FUNCTIONS, Function
from symbackprop.expression.program import Program
from symbackprop.frontends.equations import renamed
from symbackprop.frontends.network import Network
from symbackprop.proofs.network import ALL_SIZES, prove_network
from symbackprop.proofs.program import readable_gradient, tidied
from symbackprop.proofs.shortening.closed_forms import short_adjoint, shortened
from symbackprop.proofs.theorem import Proof, Theorem
from symbackprop.rendering.math import chain_latex
from symbackprop.rendering.notation import NOTATIONS
from symbackprop.rendering.text import to_text

Detail = Literal["brief", "full"]
MOST_EQUATIONS = 30  # a longer program is not printed as code


class ProofDocument(Proof):
    """A proof that can be saved and shown."""

    def save(self, path: str | Path, *, detail: Detail = "full", notation: str = "weights") -> Path:
        """Write the proof; the ending picks the format: .tex, .pdf, .html or .md.

        Args:
            detail: "full" answers every why, "brief" is a page.
            notation: "weights", "theta" or "nielsen".

        Raises:
            UnsupportedError: another ending, or .pdf without an installed LaTeX.
            DataError: the file cannot be written there.
        """
        if notation not in NOTATIONS:
            raise UnsupportedError(f"unknown notation {notation!r}", evidence=["known:  " + ", ".join(NOTATIONS)])
        chosen = NOTATIONS["names"] if self.network is None else NOTATIONS[notation]
        code = self.numpy_lines() if detail == "full" else {}
        return save(proof_document(self, detail=detail, notation=chosen, code=code, command=self.command), path)

    @property
    def command(self) -> str:
        """What to type to prove all of it again; "" for what cannot be said in a few lines."""
        return command_of(self.network) if self.network is not None else python_command(self.program)

    def numpy_lines(self) -> Mapping[Tensor, str]:
        """For each tensor the generated NumPy that computes it; none where no code can be generated."""
        if self.parts:
            return loop_lines(self)
        if self.gradient is None or len(self.program.equations) > MOST_EQUATIONS:
            return {}
        try:
            source = compile_program(self.gradient.adjoint).source
        except UnsupportedError:
            return {}
        return code_lines(source, [e.tensor for e in self.gradient.adjoint.equations])

    def _repr_html_(self) -> str:
        chosen = NOTATIONS["names"] if self.network is None else NOTATIONS["weights"]
        return fragment(proof_document(self, detail="brief", notation=chosen))

    def _repr_latex_(self) -> str:
        """The theorems below each other: what fits into the text of a notebook that is turned into LaTeX."""
        chosen = NOTATIONS["names"] if self.network is None else NOTATIONS["weights"]
        return chain_latex([(t.derivation.left, t.derivation.right) for t in self.theorems], chosen)


def prove(subject: Network | Program) -> ProofDocument:
    """Derive the gradients and have the kernel replay every step.

    Args:
        subject: a network (all widths and batch sizes; all depths if its depth is a symbol) or a Program.

    Raises:
        UnsupportedError: a Program holds something without a derivative rule.
        ProofError: the kernel refused a step: a fault of this package.

    Example:
        >>> proof = prove(Network([3, 5, 4], activation="sigmoid", cost="cross_entropy"))
        >>> proof.status, proof.theorems[1].text
        ('PROVED', 'delta3[n,k] = (a3[n,k] - y[n,k])/m')
    """
    proof = prove_network(subject) if isinstance(subject, Network) else prove_program(subject)
    return ProofDocument(**{f.name: getattr(proof, f.name) for f in fields(proof)})


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


def program_gradient(program: Program) -> tuple[Gradient, tuple[Tensor, ...]]:
    """The cotangents of every tensor of a program, derived; x_bar is the cotangent of x."""
    extended, upstream = with_cost(program)
    return readable_gradient(extended, upstream), upstream


def prove_program(program: Program) -> Proof:
    """Theorems about all cotangents of a program."""
    start = time.perf_counter()
    gradient, upstream = program_gradient(_with_users_names(program))
    kernel = Kernel(gradient.program)
    used: dict[Tensor, list[str]] = {}
    for tensor, derivation in gradient.derivations.items():
        used[tensor] = [*program.conditions, *kernel.replay(derivation)]
    tidy = {t: tidied(kernel, d) for t, d in gradient.derivations.items()}
    gradient = replace(gradient, derivations=shortened(replace(gradient, derivations=tidy), kernel))
    theorems = []
    for tensor, derivation in gradient.derivations.items():
        if tensor in upstream:
            continue
        conditions = tuple(dict.fromkeys((*used[tensor], *kernel.replay(derivation))))
        kind = "gradient with respect to" if tensor in program.inputs else "back to"
        named: Derivation = replace(derivation, name=f"{kind} {tensor.name}", conditions=conditions)
        theorems.append(Theorem(named.name, named, "PROVED", ALL_SIZES, conditions))
    gradient = replace(gradient, adjoint=short_adjoint(gradient))
    title = f"The backward pass of {program.name}" if program.name.isidentifier() else "A backward pass"
    cost = gradient.program.equations[-1].value
    seconds = time.perf_counter() - start
    return Proof(title, gradient.program, cost, tuple(theorems), gradient, None, (), seconds, program.conditions)


def _with_users_names(program: Program) -> Program:
    """The program with what it returns called as the user calls it, and a cost that has no name called J."""
    names = {t: _assigned(program, t) for t in program.outputs if t not in program.inputs}
    if [(t.name, t.shape) for t in program.outputs] == [("out", ())]:
        names = {t: name or "J" for t, name in names.items()}
    taken = {t.name for t in program.tensors}
    chosen = {t: name for t, name in names.items() if name and name not in taken}
    if len(set(chosen.values())) < len(chosen):
        return program
    return renamed(program, lambda t: chosen.get(t, t.name)) if chosen else program


def _assigned(program: Program, tensor: Tensor) -> str:
    """The name to which the user's line assigns the tensor; "" if it assigns several or none."""
    line = re.fullmatch(r"line (\d+)", program.by_tensor[tensor].note) if tensor in program.by_tensor else None
    assigned = re.match(r"(\w+) = (?!\w+ = )", program.lines.get(int(line[1]), "")) if line else None
    return assigned[1] if assigned else ""
