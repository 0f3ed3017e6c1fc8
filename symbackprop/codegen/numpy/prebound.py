"""The form with the fewest calls: a function that makes the fast function for given arrays.

Where nets are small, time goes into the calls of NumPy and not into numbers. So everything that is the same at each
call (views, transposes, buffers, numbers) is made once, by the outer function; the inner one is a list of calls with
`out=`. It needs no argument, but may be given other data of the same shapes, by name. A penalty is put on the flat
vector of parameters, one call for all layers.

`print_step` also changes the parameters: its matrix products end in them, by `gemm` of BLAS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from symbackprop.codegen.lowering.form import Contract, Form, Map, Statement, reads
from symbackprop.codegen.lowering.penalty import DECAY, Penalty, without_penalty
from symbackprop.codegen.names import Names
from symbackprop.codegen.numpy.buffer_plan import Plan
from symbackprop.codegen.numpy.buffered import equation_comment
from symbackprop.codegen.numpy.expressions import ArrayWriter
from symbackprop.codegen.numpy.plain import docstring, names_of, size_lines
from symbackprop.expression.build import ZERO, Add, Apply, Expr, Tensor, add, children, rebuild
from symbackprop.expression.functions import FUNCTIONS
from symbackprop.proofs.stable_functions import TAIL

INDENT = "    "


def print_bound(name: str, form: Form, parameters: Sequence[Tensor], helpers: set[str]) -> str:
    """The function `name(arrays, numbers, out, theta, gradient)`; its result computes everything anew at each call.

    Args:
        parameters: the inputs that lie in theta, in order; the outputs with an array lie in gradient.
    """
    found = without_penalty(form, parameters) or Penalty(form, (), False)
    inner = replace(found.form, statements=tuple(_softplus(s) for s in found.form.statements))
    names = names_of(inner)
    data = [names[t] for t in form.inputs if t not in parameters]
    plan = Plan(inner, names, moving={*data}, small=True)
    shrink, penalty = names.fresh("shrink"), names.fresh("penalty")
    if found.factors:
        plan.lines.append(f"np.multiply(theta, {shrink}, {penalty})")
    if found.in_cost:
        plan.lines.append(f"{names[DECAY]} = {penalty}.dot(theta)")
    for position, statement in enumerate(inner.statements):
        plan.lines += equation_comment(plan, statement)
        plan.statement(statement, position)
    if found.factors:
        plan.lines.append(f"np.add(gradient, {penalty}, gradient)")
        plan.setup += _shrink(plan.writer, parameters, found, shrink, penalty)
    helpers |= plan.writer.helpers
    return _function(name, form, names, plan, ["out", "theta", "gradient"], data)


def print_step(name: str, form: Form, parameters: Sequence[Tensor], helpers: set[str]) -> str | None:
    """The function `name(arrays, numbers, out, rate, gemm)`; its result goes one step down the gradient.

    W := beta*W - rate*delta^T a is one matrix product, which reads and writes W once. `gemm` is BLAS's, as SciPy
    calls it. None if a parameter is read after it has changed.
    """
    found = without_penalty(form, parameters, cost=False) or Penalty(form, (ZERO,) * len(parameters), False)
    inner = replace(found.form, statements=tuple(_softplus(s) for s in found.form.statements))
    plan = Plan(inner, names_of(inner), moving=set(), small=True)
    homes = dict(zip((t for t in form.outputs if t.shape), parameters, strict=True))
    factors = dict(zip(parameters, found.factors, strict=True))
    changed: set[Tensor] = set()
    for position, statement in enumerate(inner.statements):
        if not changed.isdisjoint(reads(statement)):
            return None
        plan.lines += equation_comment(plan, statement)
        parameter = homes.get(statement.target.tensor)
        if parameter is not None:
            changed.add(parameter)
        if parameter is not None and isinstance(statement, Contract) and plan.is_matrix_product(statement):
            _product_step(plan, statement, parameter, factors[parameter])
            plan.release(statement, position)
            continue
        plan.statement(statement, position)
        if parameter is not None:
            gradient, rate = plan.names[statement.target.tensor], plan.once("np.array(rate, DTYPE)", "c")
            plan.lines += [f"np.multiply({gradient}, {rate}, {gradient})"]
            plan.lines += [f"np.subtract({plan.names[parameter]}, {gradient}, {plan.names[parameter]})"]
    helpers |= plan.writer.helpers
    return _function(name, form, plan.names, plan, ["out", "rate", "gemm"])


def _product_step(plan: Plan, statement: Contract, parameter: Tensor, factor: Expr) -> None:
    """parameter := beta * parameter - rate * product, seen by BLAS as its transpose: it is column-major."""
    first, second = plan.writer.statement(statement)[0].split(" @ ")
    sides, flags = [], []
    for text in (second, first):
        name = text.removesuffix(".T")
        sides.append(plan.once(f"{name}.T", f"{name}_T"))
        flags.append(int(text != name))
    target = plan.once(f"{plan.names[parameter]}.T", f"{plan.names[parameter]}_T")
    beta = "1.0" if factor is ZERO else f"1.0 - rate * ({plan.writer.value(factor, ())[0]})"
    down, keep = plan.once("-rate", "down"), plan.once(beta, "keep")
    plan.lines.append(f"gemm({down}, {sides[0]}, {sides[1]}, {keep}, {target}, {flags[0]}, {flags[1]}, 1)")


def _shrink(writer: ArrayWriter, parameters: Sequence[Tensor], found: Penalty, shrink: str, penalty: str) -> list[str]:
    """What theta is multiplied by: the factor of each parameter, along the flat vector."""
    parts = []
    for parameter, factor in zip(parameters, found.factors, strict=True):
        value = "0" if factor is ZERO else writer.value(factor, ())[0]
        parts.append(f"np.full({writer.names[parameter]}.size, {value}, DTYPE)")
    return [f"{shrink} = np.concatenate([{', '.join(parts)}])", f"{penalty} = np.empty_like(theta)"]


def _function(name: str, form: Form, names: Names, plan: Plan, more: list[str], data: Sequence[str] = ()) -> str:
    arguments = [names[t] for t in form.inputs] + [names[p] for p in form.parameters] + more
    outputs = [names[t] for t in form.outputs if t.shape]
    scalars = ", ".join(names[t] for t in form.outputs if not t.shape)
    buffers = []
    for buffer in plan.buffers:
        shape = ", ".join(map(plan.writer.size, buffer.shape)) + "," * (len(buffer.shape) == 1)
        buffers.append(f"{buffer.name} = np.{buffer.fill}(({shape}), DTYPE)")
    text = " ".join(line for line in [*plan.setup, *plan.lines] if not line.startswith("#"))
    outputs = [o if o in text else f"_{o}" for o in outputs]  # where gemm writes to the parameters
    setup = [f"{', '.join(outputs)}{',' * (len(outputs) == 1)} = out"] if outputs else []
    setup += [*buffers, *plan.setup]
    body = [*plan.lines, *([f"return {scalars}"] if scalars else [])]
    lines = [f"def {name}({', '.join(arguments)}):", *docstring(form, names)]
    lines += size_lines(form, names, plan.writer.mentioned)
    lines += [INDENT + line for line in setup]
    lines += [
        "",
        f"{INDENT}def run({by_name(data)}):",
        *(2 * INDENT + line for line in body),
        "",
        f"{INDENT}return run",
    ]
    return "\n".join(lines) + "\n"


def by_name(data: Sequence[str]) -> str:
    """Arguments for arrays that an inner function may be given anew: by name, so that nothing else is taken for one."""
    return ", ".join(["*", *(f"{name}={name}" for name in data)]) if data else ""


def _softplus(statement: Statement) -> Statement:
    """relu(u) + tail(u) as softplus(u), which is one function of NumPy's: slow for large arrays, one call for small."""
    return replace(statement, value=_joined(statement.value)) if isinstance(statement, Map) else statement


def _joined(expr: Expr) -> Expr:
    parts = tuple(_joined(c) for c in children(expr))
    expr = expr if parts == children(expr) else rebuild(expr, parts)
    if not isinstance(expr, Add):
        return expr
    terms = list(expr.terms)
    for term in expr.terms:
        if isinstance(term, Apply) and term.function is TAIL:
            relu = Apply(FUNCTIONS["relu"], term.arguments)
            if relu in terms:
                terms = [t for t in terms if t is not term and t is not relu]
                terms.append(Apply(FUNCTIONS["softplus"], term.arguments))
    return add(*terms)
