"""Traced layers against hand-written NumPy, PyTorch and JAX: `python benchmarks/layers.py` writes
benchmarks/results/layers.md and .json.

Each layer's cost is J = sum(dout * out), or its own cost; what is measured is J and all gradients. Before the time of a
contestant counts, all that it computes is compared with PyTorch's in double precision, or with hand-written NumPy's.
`--only LAYER,LAYER` and `--seconds` measure less.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cases  # noqa: F401 - before NumPy: it sets the number of threads
import numpy as np
from hand_written import HAND_WRITTEN
from layer_peers import PEERS
from measure import agreeing, best_times
from processor import processor

import symbackprop as sb

Arrays = dict[str, np.ndarray]
RESULTS = Path(__file__).resolve().parent / "results"
WEIGHTS = ("Wg", "Wu", "Wd", "Wz", "Uz", "Wr", "Ur", "Wh", "Uh", "w")


def layer_norm(x, gamma, beta, eps=1e-5):
    mu = x.mean(axis=-1, keepdims=True)
    var = ((x - mu) ** 2).mean(axis=-1, keepdims=True)
    return gamma * (x - mu) / np.sqrt(var + eps) + beta


def rms_norm(x, gamma, eps=1e-6):
    return gamma * x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + eps)


def batch_norm(x, gamma, beta, eps=1e-5):
    mu = x.mean(axis=0)
    var = ((x - mu) ** 2).mean(axis=0)
    return gamma * (x - mu) / np.sqrt(var + eps) + beta


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def swiglu(x, Wg, Wu, Wd):
    g = x @ Wg
    return (g / (1 + np.exp(-g)) * (x @ Wu)) @ Wd


def softmax_cross_entropy(z, y):
    shifted = z - z.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -log_p[np.arange(len(y)), y].mean()


def attention(q, k, v):
    s = q @ k.T / np.sqrt(q.shape[1])
    e = np.exp(s - s.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    return p @ v


def gru_cell(x, h, Wz, Uz, bz, Wr, Ur, br, Wh, Uh, bh):
    z = 1 / (1 + np.exp(-(x @ Wz + h @ Uz + bz)))
    r = 1 / (1 + np.exp(-(x @ Wr + h @ Ur + br)))
    n = np.tanh(x @ Wh + r * (h @ Uh) + bh)
    return (1 - z) * n + z * h


def conv3x3(x, w, b):
    H, W = x.shape[2] - 2, x.shape[3] - 2
    out = b[None, :, None, None]
    for i in range(3):
        for j in range(3):
            out = out + np.einsum("nchw,fc->nfhw", x[:, :, i : i + H, j : j + W], w[:, :, i, j])
    return out


@dataclass(frozen=True)
class Layer:
    """A forward pass, its shapes by names of sizes, and the sizes at which it is measured; the first is the small one.

    Args:
        out: the shape of what it returns; None for a cost.
        fixed: axes whose sizes are part of the trace, by name.
    """

    forward: Callable[..., Any]
    shapes: Mapping[str, tuple[str, ...]]
    out: tuple[str, ...] | None
    sizes: tuple[Mapping[str, int], ...]
    fixed: tuple[str, ...] = ()
    labels: str | None = None

    def title(self, sizes: Mapping[str, int]) -> str:
        return "x".join(map(str, sizes.values()))

    def traced(self, sizes: Mapping[str, int]) -> Any:
        shapes = {
            n: tuple({**sizes, "K": 3}[s] if s in self.fixed else s for s in shape) for n, shape in self.shapes.items()
        }
        return sb.trace(self.forward, shapes=shapes, assume={"y": f"labels:{self.labels}"} if self.labels else None)

    def arrays(self, sizes: Mapping[str, int], dtype: str) -> Arrays:
        """Inputs, then `dout` for a layer that is no cost; weights are scaled as at the start of training."""
        random, every = np.random.default_rng(0), dict(self.shapes)
        if self.out is not None:
            every["dout"] = self.out
        known = {**sizes, "OH": sizes.get("H", 0) - 2, "OW": sizes.get("W", 0) - 2, "K": 3}
        found = {}
        for name, shape in every.items():
            dims = tuple(known[s] for s in shape)
            if name == "y":
                found[name] = random.integers(0, known[self.labels or ""], dims)
                continue
            scale = 1 / np.sqrt(np.prod(dims[1:]) if name == "w" else dims[0]) if name in WEIGHTS else 1.0
            found[name] = (scale * random.normal(size=dims)).astype(dtype)
        return found


GATE = {f"{kind}{g}": shape for g in "zrh" for kind, shape in (("W", ("D", "H")), ("U", ("H", "H")), ("b", ("H",)))}
NORM = {"x": ("N", "D"), "gamma": ("D",), "beta": ("D",)}
IMAGE = {"x": ("N", "C", "H", "W"), "w": ("F", "C", "K", "K"), "b": ("F",)}
SMALL, LARGE = {"N": 32, "D": 64}, {"N": 512, "D": 768}
LAYERS = {
    "LayerNorm": Layer(layer_norm, NORM, ("N", "D"), (SMALL, LARGE)),
    "RMSNorm": Layer(rms_norm, {"x": ("N", "D"), "gamma": ("D",)}, ("N", "D"), (SMALL, LARGE)),
    "BatchNorm": Layer(batch_norm, NORM, ("N", "D"), (SMALL, LARGE)),
    "GELU": Layer(gelu, {"x": ("N", "D")}, ("N", "D"), (SMALL, LARGE)),
    "SwiGLU": Layer(
        swiglu,
        {"x": ("N", "D"), "Wg": ("D", "H"), "Wu": ("D", "H"), "Wd": ("H", "D")},
        ("N", "D"),
        ({"N": 16, "D": 32, "H": 64}, {"N": 256, "D": 256, "H": 512}),
    ),
    "softmax cross-entropy": Layer(
        softmax_cross_entropy, {"z": ("N", "C"), "y": ("N",)}, None, ({"N": 32, "C": 10}, {"N": 256, "C": 1000}),
        labels="C",
    ),
    "attention": Layer(
        attention, {"q": ("T", "D"), "k": ("T", "D"), "v": ("T", "D")}, ("T", "D"),
        ({"T": 16, "D": 16}, {"T": 256, "D": 64}),
    ),
    "GRU cell": Layer(
        gru_cell, {"x": ("N", "D"), "h": ("N", "H"), **GATE}, ("N", "H"),
        ({"N": 8, "D": 16, "H": 16}, {"N": 64, "D": 128, "H": 256}),
    ),
    "conv 3x3": Layer(
        conv3x3, IMAGE, ("N", "F", "OH", "OW"),
        ({"N": 2, "C": 3, "H": 10, "W": 10, "F": 4}, {"N": 8, "C": 16, "H": 30, "W": 30, "F": 32}),
        ("K", "H", "W"),
    ),
}  # fmt: skip


def ours(backend: str, layer: Layer, sizes: Mapping[str, int], arrays: Arrays, dtype: str) -> Callable[[], object]:
    f = sb.compile(layer.traced(sizes), backend, dtype)
    assert f.backend == backend
    return lambda: f(**arrays)


def peer(make: Callable[..., Any], name: str, arrays: Arrays) -> Callable[[], object]:
    run: Callable[[], object] = make(name, arrays)
    return run


def by_hand(name: str, arrays: Arrays) -> Callable[[], object]:
    return partial(HAND_WRITTEN[name], **arrays)


def as_vector(names: list[str], result: Any) -> np.ndarray:
    """J and the gradients in order; the package names a gradient after its input."""
    parts = [result["J"] if "J" in result else next(iter(result.values()))]
    parts += [result[n] if n in result else result[f"{n}_bar"] for n in names]
    return np.concatenate([np.ravel(np.asarray(p, np.float64)) for p in parts])


def measured(name: str, layer: Layer, sizes: Mapping[str, int], dtype: str, seconds: float, but: set[str]) -> Any:
    """Microseconds by contestant."""
    arrays = layer.arrays(sizes, dtype)
    exact = HAND_WRITTEN[name](**{k: a.astype("float64") if a.dtype.kind == "f" else a for k, a in arrays.items()})
    gradients = [n for n in layer.shapes if n in exact]
    makers = {"by hand": partial(by_hand, name, arrays)}
    makers |= {b: partial(ours, b, layer, sizes, arrays, dtype) for b in ("numpy", "c")}
    makers |= {title: partial(peer, make, name, arrays) for title, make in PEERS.items()}
    makers = {k: m for k, m in makers.items() if k not in but}
    vector = partial(as_vector, gradients)
    runs = agreeing(makers, vector(exact), vector, 1e-10 if dtype == "float64" else 1e-3, required=("numpy", "by hand"))
    return best_times(runs, seconds)


def table(found: Mapping[str, Mapping[str, float]]) -> list[str]:
    names = list(dict.fromkeys(n for times in found.values() for n in times if n != "by hand"))
    lines = ["| layer | by hand µs | " + " | ".join(names) + " |", "|---|" + "---|" * (len(names) + 1)]
    for title, times in found.items():
        ratios = [f"{times['by hand'] / times[n]:.2f}" if n in times else "–" for n in names]
        lines.append(f"| {title} | {times['by hand']:.1f} | {' | '.join(ratios)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(LAYERS))
    parser.add_argument("--without", default="")
    parser.add_argument("--dtypes", default="float64,float32")
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--show", action="store_true", help="print the table and write nothing")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # one core, always the same
    facts: dict[str, dict[str, Mapping[str, float]]] = {}
    for dtype in options.dtypes.split(","):
        facts[dtype] = {}
        for name in options.only.split(","):
            layer = LAYERS[name]
            for sizes in layer.sizes:
                title = f"{name} {layer.title(sizes)}"
                but = set(options.without.split(","))
                times = facts[dtype][title] = measured(name, layer, sizes, dtype, options.seconds, but)
                ratios = {n: round(times["by hand"] / t, 2) for n, t in times.items()}
                print(dtype, title, round(times["by hand"], 1), ratios, file=sys.stderr, flush=True)
    lines = [
        "# Traced layers",
        "",
        "J and all gradients of one call: time of hand-written NumPy over that of each, so that more than 1 is faster",
        "than by hand. One thread, one process, interleaved, the minimum of CPU time.",
        "",
    ]
    for dtype, found in facts.items():
        lines += [f"## {dtype}", "", *table(found), ""]
    text = "\n".join([*lines, "## Where", "", processor()]) + "\n"
    if options.show:
        print(text)
        return
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "layers.md").write_text(text)
    (RESULTS / "layers.json").write_text(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
