"""Generated functions for PyTorch beside PyTorch's own differentiation, forward and backward together.

    python benchmarks/frameworks.py                     # this processor, one thread: the table of docs/speed.md
    python benchmarks/frameworks.py --device cuda       # an accelerator
    python benchmarks/frameworks.py --compile           # torch.compile of both as well

"eager" is the layer as one writes it in tensor operations, "library" torch's own fused function for it, where there is
one. Outputs and gradients are compared first. Then all contestants run in turn, round after round, and the least time
of each counts: CPU time of the process, on an accelerator the time until it has finished.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import symbackprop as sb

F = torch.nn.functional
Tensors = list[Any]


@dataclass(frozen=True)
class Layer:
    """One layer, written for NumPy to be traced and for torch to be timed."""

    name: str
    traced: Callable[..., Any]
    shapes: dict[str, tuple[Any, ...]]
    eager: Callable[..., Any]
    library: Callable[..., Any] | None
    sizes: tuple[dict[str, int], ...]
    assume: dict[str, str]


def rms_norm(x, w):
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + 1e-6) * w


def layer_norm(x, w, b):
    d = x - x.mean(axis=-1, keepdims=True)
    return d / np.sqrt((d * d).mean(axis=-1, keepdims=True) + 1e-5) * w + b


def swiglu(x, w, v):
    g = x @ w
    return g / (1 + np.exp(-g)) * (x @ v)


def cross_entropy(z, y):
    s = z - z.max(axis=1, keepdims=True)
    return (np.log(np.exp(s).sum(axis=1)) - s[np.arange(len(z)), y]).mean()


def eager_rms_norm(x, w):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * w


def eager_layer_norm(x, w, b):
    d = x - x.mean(-1, keepdim=True)
    return d * torch.rsqrt(d.pow(2).mean(-1, keepdim=True) + 1e-5) * w + b


def eager_cross_entropy(z, y):
    return -torch.log_softmax(z, 1)[torch.arange(len(z), device=z.device), y].mean()


ROWS = ({"N": 64, "D": 64}, {"N": 512, "D": 768})
PRODUCTS = ({"N": 32, "D": 32, "H": 64}, {"N": 256, "D": 256, "H": 512})
LAYERS = (
    Layer("RMSNorm", rms_norm, {"x": ("N", "D"), "w": ("D",)}, eager_rms_norm,
          lambda x, w: F.rms_norm(x, w.shape, w, 1e-6), ROWS, {}),
    Layer("LayerNorm", layer_norm, {"x": ("N", "D"), "w": ("D",), "b": ("D",)}, eager_layer_norm,
          lambda x, w, b: F.layer_norm(x, w.shape, w, b, 1e-5), ROWS, {}),
    Layer("SwiGLU", swiglu, {"x": ("N", "D"), "w": ("D", "H"), "v": ("D", "H")},
          lambda x, w, v: F.silu(x @ w) * (x @ v), None, PRODUCTS, {}),
    Layer("cross-entropy", cross_entropy, {"z": ("N", "C"), "y": ("N",)}, eager_cross_entropy,
          F.cross_entropy, ({"N": 64, "C": 10}, {"N": 256, "C": 1000}), {"y": "labels:C"}),
)  # fmt: skip


def tensors(layer: Layer, sizes: dict[str, int], dtype: Any, device: str) -> Tensors:
    torch.manual_seed(0)
    found = []
    for name, shape in layer.shapes.items():
        numbers = [sizes[s] for s in shape]
        if name in layer.assume:
            found.append(torch.randint(0, sizes["C"], numbers, device=device))
        else:
            scale = numbers[0] ** -0.5 if layer.name == "SwiGLU" and name != "x" else 1.0
            found.append((torch.randn(numbers, dtype=dtype, device=device) * scale).requires_grad_())
    return found


def both_passes(function: Callable[..., Any], given: Tensors) -> Callable[[], Tensors]:
    """Forward, and backward from an upstream gradient that is there already."""
    leaves = [t for t in given if t.requires_grad]
    upstream = torch.linspace(0.5, 1.5, function(*given).numel()).to(leaves[0]).reshape(function(*given).shape)

    def run() -> Tensors:
        out = function(*given)
        return [out, *torch.autograd.grad(out, leaves, upstream)]

    return run


def least(contestants: dict[str, Callable[[], Any]], device: str, rounds: int) -> dict[str, float]:
    """The least time of each, in microseconds; each is called often enough for 2 ms."""
    clock = time.process_time if device == "cpu" else time.perf_counter

    def timed(run: Callable[[], Any], calls: int) -> float:
        start = clock()
        for _ in range(calls):
            run()
        if device != "cpu":
            torch.cuda.synchronize()
        return (clock() - start) / calls

    calls = {name: max(1, int(2e-3 / timed(run, 3))) for name, run in contestants.items()}
    best = dict.fromkeys(contestants, float("inf"))
    for _ in range(rounds):
        for name, run in contestants.items():
            best[name] = min(best[name], timed(run, calls[name]))
    return {name: 1e6 * seconds for name, seconds in best.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    names = ["generated", "eager", "library"] + ["torch.compile of generated", "of eager"] * options.compile
    print(f"torch {torch.__version__}, {options.device}, microseconds for both passes\n")
    print("| layer | size | type | " + " | ".join(names) + " | eager / generated | library / generated |")
    print("|---" * (len(names) + 5) + "|")
    for layer in LAYERS:
        code = sb.compile(sb.trace(layer.traced, layer.shapes, layer.assume), backend="torch")
        for sizes in layer.sizes:
            for dtype in (torch.float64, torch.float32):
                given = tensors(layer, sizes, dtype, options.device)
                functions = {"generated": code.function, "eager": layer.eager, "library": layer.library}
                if options.compile:
                    torch.compiler.reset()
                    functions |= {"torch.compile of generated": torch.compile(code.kind.apply),
                                  "of eager": torch.compile(layer.eager)}  # fmt: skip
                runs = {name: both_passes(f, given) for name, f in functions.items() if f is not None}
                expected = runs["eager"]()
                for run in runs.values():
                    for one, other in zip(run(), expected, strict=True):
                        tolerance = 1e-10 if dtype == torch.float64 else 2e-4
                        torch.testing.assert_close(
                            one, other, rtol=tolerance, atol=tolerance * float(other.detach().abs().max())
                        )
                found = least(runs, options.device, options.rounds)
                shown = [f"{found[n]:.0f}" if n in found else "" for n in names]
                ratios = [f"{found[n] / found['generated']:.2f}" if n in found else "" for n in ("eager", "library")]
                size = "x".join(str(v) for v in sizes.values())
                kind = str(dtype).removeprefix("torch.")
                print(f"| {layer.name} | {size} | {kind} | " + " | ".join(shown + ratios) + " |", flush=True)


if __name__ == "__main__":
    main()
