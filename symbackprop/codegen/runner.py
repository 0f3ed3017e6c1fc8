"""Printed functions in the `out=` form, with the workspaces of recent shapes.

Main name: `Runner`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from symbackprop.codegen.arguments import Array
from symbackprop.codegen.choice import block_rows, bound_form

WORKSPACES = 8  # arrays of that many different shapes keep their buffers


class Runner:
    """One printed function in its two forms, with the workspaces of recent batch sizes.

    A workspace is taken out while it is in use, so threads never share one.
    """

    def __init__(self, name: str, module: Mapping[str, Any]) -> None:
        self.name, self.module = name, module
        self.whole, self.whole_work = module[f"{name}_into"], module[f"{name}_into_work"]
        self.blocks: Callable[..., Any] | None = module.get(f"{name}_blocks")
        self.blocks_work: Callable[..., Any] = module.get(f"{name}_blocks_work", self.whole_work)
        self.idle: dict[tuple[tuple[int, ...], ...], tuple[Callable[..., Any], Any]] = {}

    def __call__(self, arrays: Sequence[Array], numbers: Sequence[float], out: Sequence[Array]) -> Any:
        """Run on these arrays, with a workspace for their shapes."""
        shape = tuple([a.shape for a in arrays])
        found = self.idle.pop(shape, None) or self.prepare(arrays)
        function, work = found
        result = function(*arrays, *numbers, out, work)
        if len(self.idle) >= WORKSPACES:
            self.idle.pop(next(iter(self.idle)), None)
        self.idle[shape] = found
        return result

    def prepare(self, arrays: Sequence[Array]) -> tuple[Callable[..., Any], Any]:
        """The form for arrays of these shapes, and its buffers."""
        if self.blocks is None:
            return self.whole, self.whole_work(*arrays)
        sizes = [a.size for a in arrays[2:]]
        rows = block_rows(len(arrays[0]), sum(sizes), max(sizes, default=1))
        if rows is None:
            return self.whole, self.whole_work(*arrays)
        return self.blocks, self.blocks_work(*arrays, rows)

    def bound(
        self, arrays: Sequence[Array], numbers: Sequence[float], out: Sequence[Array], theta: Array, gradient: Array
    ) -> Callable[[], float]:
        """A function without arguments, and a workspace of its own."""
        rows, widest = len(arrays[0]), max([len(a) for a in arrays[2:]], default=1)
        wanted = bound_form(rows, widest, theta.size)
        for form in ("unrolled", "bound") if wanted == "unrolled" else (wanted,):
            if f"{self.name}_{form}" in self.module and form != "into":
                run: Callable[[], float] = self.module[f"{self.name}_{form}"](*arrays, *numbers, out, theta, gradient)
                return run
        function, work = self.prepare(arrays)
        return partial(function, *arrays, *numbers, out, work)
