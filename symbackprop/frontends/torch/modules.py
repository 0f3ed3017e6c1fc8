"""torch.nn.Module as traced code sees it: attributes, parameters and submodules of a copy, and `forward`."""

from __future__ import annotations

import math
import types
from collections.abc import Iterator
from typing import Any

from symbackprop.errors import TraceError
from symbackprop.frontends.numpy.opaque import Refused
from symbackprop.frontends.numpy.session import as_numpy, guarded
from symbackprop.frontends.torch.tensor import torch


class Module:
    """The base class that traced code sees."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        """The forward; hooks are refused."""
        hooks = [n for n in ("_forward_hooks", "_forward_pre_hooks") if vars(self).get(n)]
        if hooks:
            raise TraceError(f"hooks of a {type(self).__name__} cannot be traced")
        return self.forward(*args, **options)

    def __getattr__(self, name: str) -> Any:
        for kept in ("_parameters", "_buffers", "_modules"):
            found = vars(self).get(kept, {})
            if name in found:
                return found[name]
        raise as_numpy(AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'"))

    def __setattr__(self, name: str, value: Any) -> None:
        for kept in ("_parameters", "_buffers", "_modules"):
            found = vars(self).get(kept, {})
            if name in found:
                found[name] = value
                return
        object.__setattr__(self, name, value)

    def children(self) -> Iterator[Any]:
        """The modules inside, one level down."""
        return iter(vars(self)["_modules"].values())

    def named_children(self) -> Iterator[Any]:
        """The same, with their names."""
        return iter(vars(self)["_modules"].items())

    def parameters(self, recurse: bool = True) -> Iterator[Any]:
        """All parameters."""
        yield from (p for p in vars(self)["_parameters"].values() if p is not None)
        if recurse:
            for child in self.children():
                yield from child.parameters()


for _name in ("__getattr__", "__call__"):
    setattr(Module, _name, guarded(getattr(Module, _name)))

_NOT_REBUILT = {"__init__", "reset_parameters", "extra_repr", "__setstate__", "__getstate__", "__dir__", "__repr__",
                "_reset_parameters", "_load_from_state_dict", "__delitem__", "__dict__", "__weakref__"}  # fmt: skip


def rebuilt_layer(overlay: Any, kind: type, operation: Any) -> type:
    """The stand-in of one of torch's own layers: its methods run as a user's would.

    Args:
        operation: the function of torch of a name, for layers whose own code looks behind tensors.
    """
    bases = tuple(overlay.patch(b) for b in kind.__bases__)
    new = type(kind.__name__, tuple(b for b in bases if isinstance(b, type)) or (Module,), {})
    overlay.stands_for(kind, new)
    if kind.__name__ == "MultiheadAttention":
        new.forward = _attention(operation)  # type: ignore[attr-defined]
        return new
    for name, value in vars(kind).items():
        if name in _NOT_REBUILT or (name.startswith("__") and not callable(value)):
            continue
        try:
            setattr(new, name, _member(overlay, value, name))
        except TraceError as stop:
            setattr(new, name, Refused(f"{kind.__name__}.{name}", stop.what))
    return new


def _attention(operation: Any) -> Any:
    """MultiheadAttention.forward, as its documentation has it."""
    linear = operation("linear")

    def split(value: Any, heads: int) -> Any:
        batch, length, width = value.shape
        return value.reshape(batch, length, heads, width // heads).transpose(1, 2)

    def projected(self: Any, values: list[Any]) -> list[Any]:
        if self.in_proj_weight is None:
            weights = [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]
        else:
            weights = list(operation("chunk")(self.in_proj_weight, 3, 0))
        biases = [None] * 3 if self.in_proj_bias is None else operation("chunk")(self.in_proj_bias, 3, 0)
        return [linear(v, w, b) for v, w, b in zip(values, weights, biases, strict=True)]

    def forward(self: Any, query: Any, key: Any, value: Any, key_padding_mask: Any = None, need_weights: bool = True,
                attn_mask: Any = None, average_attn_weights: bool = True, is_causal: bool = False) -> Any:  # fmt: skip
        if key_padding_mask is not None or self.bias_k is not None or self.add_zero_attn or query.ndim != 3:
            raise TraceError("MultiheadAttention with key_padding_mask, bias_kv, add_zero_attn or without a batch")
        values = [v if self.batch_first else v.transpose(0, 1) for v in (query, key, value)]
        q, k, v = (split(p, self.num_heads) for p in projected(self, values))
        scores = q @ k.transpose(-2, -1) * self.head_dim**-0.5
        if attn_mask is not None:
            scores = scores.masked_fill(attn_mask, -math.inf) if attn_mask.kind == "bool" else scores + attn_mask
        weights = operation("dropout")(scores.softmax(-1), self.dropout, self.training)
        result = (weights @ v).transpose(1, 2).flatten(2)
        result = linear(result, self.out_proj.weight, self.out_proj.bias)
        result = result if self.batch_first else result.transpose(0, 1)
        return result, (weights.mean(1) if average_attn_weights else weights) if need_weights else None

    return guarded(forward)


def _member(overlay: Any, value: Any, name: str) -> Any:
    if isinstance(value, (staticmethod, classmethod)):
        return type(value)(overlay.patch(value.__func__))
    if isinstance(value, property):
        return property(overlay.patch(value.fget))
    if isinstance(value, types.FunctionType):
        return overlay.patch(value)
    return overlay.patch(value, name)


def is_module(value: Any) -> bool:
    """True for an instance of torch.nn.Module."""
    return isinstance(value, torch().nn.Module)
