"""Code that does not do what a layer should, or does it by odd means: one message that says what, where, what to do."""

from typing import ClassVar

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.errors import TraceError

ROW = {"x": ("N",)}


class Registered(type):
    """A metaclass that keeps a registry and changes how objects are made."""

    registry: ClassVar[dict] = {}

    def __new__(mcs, name, bases, namespace):
        made = super().__new__(mcs, name, bases, namespace)
        mcs.registry[name.lower()] = made
        return made

    def __call__(cls, *args, **options):
        made = super().__call__(*args, **options)
        made.factor = cls.default
        return made

    @property
    def default(cls):
        return 3


class Base(metaclass=Registered):
    def __call__(self, x):
        return self.forward(x)


class Cube(Base):
    __slots__ = ("factor", "kept")

    def forward(self, x):
        self.kept = x
        return self.factor * x**3

    def backward(self, dout):
        return {"x": 9 * self.kept**2 * dout}


class WrongCube(Cube):
    def backward(self, dout):
        return {"x": 3 * self.kept**2 * dout}


def test_metaclasses_registries_and_slots():
    assert sb.check(Cube, shapes=ROW).for_all_sizes
    wrong = sb.check(lambda x: Registered.registry["wrongcube"]()(x), by_registry, shapes=ROW)
    assert wrong.status == "REFUTED" and "a factor 3 is missing" in str(wrong.diagnosis)


def by_registry(dout, x):
    layer = Registered.registry["wrongcube"]()
    layer(x)
    return layer.backward(dout)


class Named:
    """Attributes by __getattr__ and __setattr__."""

    def __init__(self, k):
        self.__dict__["held"] = {"k": k}

    def __getattr__(self, name):
        if name not in self.__dict__["held"]:
            raise AttributeError(name)
        return self.__dict__["held"][name]

    def __setattr__(self, name, value):
        self.held[name] = value

    def forward(self, x):
        self.x = x
        return self.k * x

    def backward(self, dout):
        self.dk = (dout * self.x).sum()
        return dout * self.k


class Counting:
    """A property that changes the object."""

    def __init__(self):
        self.asked = 0

    @property
    def scale(self):
        self.asked += 1
        return 1.0 + self.asked

    def forward(self, x):
        return self.scale * x

    def backward(self, dout):
        return self.scale * dout


def test_attributes_by_getattr_and_properties_with_effects():
    assert sb.check(Named, shapes={"x": ("N",), "k": ()}).for_all_sizes
    verdict = sb.check(Counting, shapes=ROW)  # asked for the second time, it is 3
    assert verdict.status == "REFUTED" and verdict.counterexample is not None


def remembered(dout, x):
    return {"x": Cube().backward(dout)["x"]}


def test_backward_before_forward():
    verdict = sb.check(lambda x: 3 * x**3, remembered, shapes=ROW)
    assert verdict.status == "MALFORMED" and "kept" in verdict.reason
    assert "Cube.forward sets it: call that first" in str(verdict)


class Stepping:
    """A layer that is given its optimizer."""

    def __init__(self, optimizer):
        self.optimizer = optimizer

    def forward(self, x):
        self.x = x
        return x * x

    def backward(self, dout):
        self.optimizer.step()
        return 2 * self.x * dout


class Silent:
    def step(self):
        pass


def test_a_constructor_that_wants_an_object():
    verdict = sb.check(Stepping, shapes=ROW)
    assert verdict.status == "UNDECIDED" and "optimizer of its constructor" in str(verdict)
    assert sb.check(Stepping, shapes=ROW, fixed={"optimizer": Silent()}).for_all_sizes
    assert sb.check(Stepping(Silent()), shapes=ROW).for_all_sizes


def test_numpy_with_other_functions_in_it(monkeypatch):
    monkeypatch.setattr(np, "tanh", lambda x: 1.0 * x)
    verdict = sb.check(lambda x: np.tanh(x), lambda dout, x: {"x": dout}, shapes=ROW)
    assert verdict.status == "UNDECIDED" and "np.tanh is not the library's own" in verdict.reason


def test_locals_as_a_cache():
    def forward(x, w):
        z = x @ w
        out = np.tanh(z)
        return out, locals()

    def backward(dout, cache):
        dz = dout * (1 - cache["out"] ** 2)
        return {"x": dz @ cache["w"].T, "w": cache["x"].T @ dz}

    assert sb.check(forward, backward, shapes={"x": ("N", "D"), "w": ("D", "M")}).for_all_sizes


SESSION = """
import numpy as np


class Half:
    def forward(self, x):
        self.x = x
        out = np.zeros_like(x)
        for i in range(len(x)):
            if x[i] > 0:
                out[i] = x[i]
        return out

    def backward(self, dout):
        return dout * (self.x > 0)
"""


def test_a_class_without_a_source():
    cell = {}
    exec(SESSION, cell)
    verdict = sb.check(cell["Half"], shapes=ROW)
    assert verdict.status == "UNDECIDED" and "put the code into a file" in str(verdict)


def test_a_library_that_is_not_installed():
    def forward(x):
        import no_such_library_of_kernels as kernels

        return kernels.relu(x)

    verdict = sb.check(forward, lambda dout, x: {"x": dout}, shapes=ROW)
    assert verdict.status == "UNDECIDED" and "imports no_such_library_of_kernels, which is not installed" in str(
        verdict
    )


# --- torch


def function(forward, backward):
    torch = pytest.importorskip("torch")
    members = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    return type("Product", (torch.autograd.Function,), members)


def product(ctx, x, w):
    ctx.save_for_backward(x, w)
    ctx.rate = 2
    return x * w


PAIR = {"x": ("N",), "w": ("N",)}


def test_a_ctx_without_the_attribute():
    verdict = sb.check(function(product, lambda ctx, grad: (ctx.scale * grad, grad)), shapes=PAIR)
    assert verdict.status == "MALFORMED"
    assert "ctx has no attribute 'scale': the forward does not set it; it keeps rate" in verdict.reason


@pytest.mark.parametrize("count", [1, 3])
def test_a_wrong_number_of_gradients(count):
    verdict = sb.check(function(product, lambda ctx, grad: (grad,) * count), shapes=PAIR)
    assert (
        verdict.status == "MALFORMED"
        and f"returns {count} gradient{'s' * (count > 1)} for 2 arguments" in verdict.reason
    )


def test_a_compiled_extension():
    from _struct import pack as fused  # any function in C that no table knows

    verdict = sb.check(function(lambda ctx, x, w: fused(x, w), lambda ctx, grad: (grad, grad)), shapes=PAIR)
    assert verdict.status in ("UNDECIDED", "MALFORMED") and str(verdict)
    torch = pytest.importorskip("torch")
    verdict = sb.check(function(lambda ctx, x, w: torch.ops.mine.fused(x, w), lambda ctx, g: (g, g)), shapes=PAIR)
    assert verdict.status == "UNDECIDED" and "compiled extension" in str(verdict)


def test_random_numbers_of_dropout():
    torch = pytest.importorskip("torch")
    layer = torch.nn.Dropout(0.5)
    with pytest.raises(TraceError, match="draws random numbers") as stop:
        sb.trace(layer, {"input": ("N",)})
    assert "eval()" in str(stop.value)
    assert sb.prove(sb.trace(layer.eval(), {"input": ("N",)})).status == "PROVED"


def test_a_version_of_torch_that_is_not_followed(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch, "__version__", "1.13.1+cu117")
    verdict = sb.check(function(product, lambda ctx, grad: (grad, grad)), shapes=PAIR)
    assert verdict.status == "UNDECIDED" and "versions from 2.3 on" in verdict.reason
