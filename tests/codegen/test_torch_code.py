"""Code for PyTorch: a torch.autograd.Function with the derived backward pass. What is printed is read without torch."""

from __future__ import annotations

import ast
import importlib
import pickle
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import symbackprop as sb
from symbackprop.checking import generated_code
from symbackprop.cli import app
from symbackprop.codegen.program import passes_of
from symbackprop.codegen.torch import function as torch_function
from symbackprop.codegen.torch.function import CONTEXT, print_class
from symbackprop.codegen.torch.plain import module_text
from symbackprop.errors import GeneratedCodeError, UnsupportedError
from symbackprop.proofs.program import proved_gradient


def layer_norm(x, w, b, eps=1e-5):
    mean = x.mean(axis=-1, keepdims=True)
    var = ((x - mean) ** 2).mean(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(var + eps) * w + b


def rms_norm(x, w, eps=1e-6):
    return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + eps) * w


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def swiglu(x, w, v):
    g = x @ w
    return g / (1 + np.exp(-g)) * (x @ v)


def cross_entropy(z, y):
    s = z - z.max(axis=1, keepdims=True)
    logp = s - np.log(np.exp(s).sum(axis=1, keepdims=True))
    return -logp[np.arange(len(z)), y].mean()


def attention(q, k, v):
    s = q @ k.T / np.sqrt(q.shape[1])
    e = np.exp(s - s.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True) @ v


def kept_axis(z):
    e = np.exp(z)
    return e / e.sum(axis=1, keepdims=True), np.log(e.sum(axis=1, keepdims=True))


def two_outputs(x, w):
    h = np.tanh(x @ w)
    return h, h.sum(axis=0)


def smooth(x):
    return (x[:, 2:] + 2 * x[:, 1:-1] + x[:, :-2]) / 4


def conv(x, w):
    return np.lib.stride_tricks.sliding_window_view(x, 3, axis=1) @ w


def solve(a, b):
    return np.linalg.solve(a, b)


def log_det(a):
    return np.linalg.slogdet(a)[1]


def cholesky(a):
    return np.linalg.cholesky(a)


def embedding(table, i):
    return table[i]


def elman(x, h, w, u):
    for t in range(len(x)):
        h = np.tanh(x[t] @ w + h @ u)
    return h


def clipped(x, w):
    return np.maximum(np.minimum(x, w), -1.0).sum()


ND, NAMES = ("N", "D"), {"y": "labels:C", "i": "labels:V"}
LAYERS = {  # function, shapes, what holds
    "layer_norm": (layer_norm, {"x": ND, "w": ("D",), "b": ("D",)}, {}),
    "rms_norm": (rms_norm, {"x": ND, "w": ("D",)}, {}),
    "gelu": (gelu, {"x": ND}, {}),
    "swiglu": (swiglu, {"x": ND, "w": ("D", "H"), "v": ("D", "H")}, {}),
    "cross_entropy": (cross_entropy, {"z": ("N", "C"), "y": ("N",)}, {}),
    "attention": (attention, {"q": ND, "k": ("M", "D"), "v": ("M", "E")}, {}),
    "kept_axis": (kept_axis, {"z": ND}, {}),
    "two_outputs": (two_outputs, {"x": ND, "w": ("D", "H")}, {}),
    "smooth": (smooth, {"x": ND}, {"where": "D >= 3"}),
    "conv": (conv, {"x": ND, "w": (3, "F")}, {"where": "D >= 3"}),
    "solve": (solve, {"a": ("N", "N"), "b": ("N", "K")}, {}),
    "log_det": (log_det, {"a": ("N", "N")}, {}),
    "cholesky": (cholesky, {"a": ("N", "N")}, {"assume": {"a": "spd"}}),
    "embedding": (embedding, {"table": ("V", "D"), "i": ("N",)}, {}),
    "clipped": (clipped, {"x": ND, "w": ND}, {}),
    "elman": (elman, {"x": ("T", "N", "D"), "h": ("N", "H"), "w": ("D", "H"), "u": ("H", "H")}, {}),
}
SIZES = {"N": 3, "D": 4, "H": 5, "C": 6, "M": 2, "E": 3, "K": 2, "V": 7, "T": 3, "W": 4, "F": 2}


def given(name):
    """(shapes, what is assumed, further options) of a layer."""
    _, shapes, options = LAYERS[name]
    assume = {**{n: NAMES[n] for n in shapes if n in NAMES}, **options.get("assume", {})}
    return shapes, assume, {k: v for k, v in options.items() if k != "assume"}


def traced(name):
    shapes, assume, options = given(name)
    return sb.trace(LAYERS[name][0], shapes, assume, **options)


def passes(program):
    proved = proved_gradient(program).short
    return passes_of(proved.gradient, program.outputs, proved.upstream)


def printed(program, name):
    return module_text("A module.", print_class(name, passes(program), program.assumptions))


# What is printed


@pytest.mark.parametrize("name", ["layer_norm", "rms_norm", "gelu", "swiglu", "cross_entropy", "attention", "conv"])
def test_a_layer_is_a_short_class_that_one_can_read(name):
    text = printed(traced(name), name)
    tree = ast.parse(text)
    (kind,) = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    assert kind.name == "".join(part.capitalize() for part in name.split("_"))
    assert [node.name for node in kind.body if isinstance(node, ast.FunctionDef)] == ["forward", "backward"]
    lines = [line for line in ast.unparse(kind).splitlines() if line.strip()]  # without comments
    assert 15 <= len(lines) <= 45
    assert all(len(line) <= 120 for line in text.splitlines())
    imported = [a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names]
    assert set(imported) <= {"torch", "math"}


def test_sums_and_functions_are_kept_and_what_is_cheap_is_computed_again():
    found = {name: passes(traced(name)) for name in ("layer_norm", "gelu", "cross_entropy", "two_outputs")}
    kept = {name: [t for t in p.kept if t not in p.inputs] for name, p in found.items()}
    assert all(len(t.shape) == 1 for t in kept["layer_norm"])  # row sums: x - mean is computed again
    assert [len(t.shape) for t in kept["gelu"]] == [2]  # the tanh
    assert sorted(len(t.shape) for t in kept["cross_entropy"]) == [1, 2]  # exp and its row sums
    assert [t.name for t in found["cross_entropy"].kept if t in found["cross_entropy"].inputs] == ["y"]
    assert [t.name for t in kept["two_outputs"]] == ["h"]  # an output, which is there anyway


def test_what_one_gradient_alone_needs_stands_under_its_question():
    text = printed(traced("rms_norm"), "rms_norm")
    asked = text[text.index("if ctx.needs_input_grad[1]:") :].splitlines()
    assert any(line.startswith("            w_bar = ") for line in asked[:3])
    assert "needs_input_grad" not in printed(traced("gelu"), "gelu")  # or nobody would call it


def test_windows_are_views_and_what_lies_outside_is_padding():
    text = printed(traced("smooth"), "smooth")
    assert text.count("torch.nn.functional.pad(dout, ") == 3 and "torch.where" not in text
    text = printed(traced("conv"), "conv")
    assert "x.unfold(1, 3, 1)" in text and "arange" not in text and "torch.where" not in text


def test_the_gradient_of_a_look_up_adds_rows_up():
    text = printed(traced("embedding"), "embedding")
    assert "out = table[i]" in text
    assert ".index_put_((i,), dout, accumulate=True)" in text


def test_a_condition_on_what_is_not_summed_is_asked_once_for_the_sum():
    assert not re.search(r"(None, ){3}", printed(traced("cholesky"), "cholesky"))  # no array over five axes


def test_names_of_users_hide_no_name_of_the_module():
    program = sb.trace(
        lambda torch, ctx, math: np.sqrt(torch) * ctx + math, dict.fromkeys(("torch", "ctx", "math"), ND)
    )
    tree = ast.parse(printed(program, "mean"))
    arguments = {a.arg for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) for a in node.args.args[1:]}
    assert not arguments & {"torch", "math", "ctx", "mean", "Mean"}


def test_a_cost_is_met_by_its_upstream_gradient_once():
    text = printed(traced("cross_entropy"), "cross_entropy")
    (line,) = [line for line in text.splitlines() if re.match(r"\s*z_bar = ", line)]
    assert line.count("dout") == 1 and "dout / N" in line


def test_without_torch_the_message_says_how_to_get_it(monkeypatch):
    real = importlib.import_module

    def missing(name, *rest):
        if name == "torch":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(UnsupportedError, match="PyTorch, which is not installed") as error:
        sb.compile(sb.trace(lambda x: np.tanh(x) ** 3, {"x": ("N",)}), backend="torch")
    assert "symbackprop[torch]" in str(error.value)


# What it computes


def tensors(torch, name, dtype="float64"):
    shapes, assume, _ = given(name)
    torch.manual_seed(1)
    found = []
    for n, shape in shapes.items():
        sizes = [SIZES.get(s, s) for s in shape]
        if assume.get(n, "").startswith("labels"):
            found.append(torch.randint(0, SIZES[assume[n][-1]], sizes))
            continue
        made = torch.randn(sizes, dtype=getattr(torch, dtype))
        made = made @ made.T + 3 * torch.eye(sizes[0], dtype=made.dtype) if assume.get(n) == "spd" else made
        found.append(made.requires_grad_())
    return found


@pytest.mark.parametrize("name", LAYERS)
def test_gradcheck_passes(name):
    torch = pytest.importorskip("torch")
    layer = sb.compile(traced(name), backend="torch")

    def symmetric(*args):  # the factor reads one triangle
        return layer(*((a + a.T) / 2 for a in args))

    assert torch.autograd.gradcheck(symmetric if name == "cholesky" else layer, tensors(torch, name))


@pytest.mark.parametrize("name", sorted(LAYERS.keys() - {"elman"}))  # which it proves for stated sizes alone
def test_the_judge_proves_the_class(name):
    pytest.importorskip("torch")
    shapes, assume, options = given(name)
    verdict = sb.check(sb.compile(traced(name), backend="torch").kind, shapes=shapes, assume=assume, **options)
    assert verdict.status == "PROVED" and verdict.scope.startswith("all sizes"), str(verdict)


@pytest.mark.parametrize(
    "name", ["rms_norm", "cross_entropy", "kept_axis", "two_outputs", "elman", "embedding", "smooth"]
)
def test_types_devices_and_strides_are_those_of_the_tensors(name):
    torch = pytest.importorskip("torch")
    layer = sb.compile(traced(name), backend="torch")
    single = tensors(torch, name, "float32")
    turned = [t.detach().T.contiguous().T.requires_grad_() if t.ndim == 2 else t for t in single]
    for given_tensors in (single, turned):
        outputs = layer(*given_tensors)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        assert all(o.dtype == torch.float32 for o in outputs)
        real = [t for t in given_tensors if t.requires_grad]
        gradients = torch.autograd.grad(sum(o.sum() for o in outputs), real)
        assert [(g.dtype, g.shape) for g in gradients] == [(t.dtype, t.shape) for t in real]
    for straight, other in zip(
        layer_gradients(torch, layer, single), layer_gradients(torch, layer, turned), strict=True
    ):
        torch.testing.assert_close(straight, other)
    far = [
        t.detach().to("meta").requires_grad_(t.requires_grad) for t in single
    ]  # any tensor made elsewhere would clash
    assert all(g.device.type == "meta" for g in layer_gradients(torch, layer, far))


def layer_gradients(torch, layer, given_tensors):
    outputs = layer(*given_tensors)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return torch.autograd.grad(sum((o**2).sum() for o in outputs), [t for t in given_tensors if t.requires_grad])


def test_a_gradient_that_nobody_needs_is_not_computed():
    torch = pytest.importorskip("torch")
    layer = sb.compile(traced("swiglu"), backend="torch")
    x, w, v = tensors(torch, "swiglu")
    whole = torch.autograd.grad(layer(x, w, v).sum(), [w])[0]
    alone = torch.autograd.grad(layer(x.detach(), w, v.detach()).sum(), [w])[0]
    torch.testing.assert_close(whole, alone)
    out = layer(x.detach(), w, v.detach())
    with torch.no_grad():
        returned = layer.kind.backward(_Ctx(out.grad_fn.saved_tensors, (False, True, False)), torch.ones_like(out))
    assert [g is None for g in returned] == [True, False, True]


class _Ctx:
    def __init__(self, saved, needs):
        self.saved_tensors, self.needs_input_grad = saved, needs


def test_a_second_derivative_is_refused():
    torch = pytest.importorskip("torch")
    layer = sb.compile(traced("gelu"), backend="torch")
    (x,) = tensors(torch, "gelu")
    with pytest.raises(RuntimeError, match="gelu has no second derivative"):
        torch.autograd.grad(layer(x).sum(), x, create_graph=True)


def test_an_output_that_is_not_used_has_a_gradient_of_zeros():
    torch = pytest.importorskip("torch")
    layer = sb.compile(traced("two_outputs"), backend="torch")
    x, w = tensors(torch, "two_outputs")
    found = torch.autograd.grad(layer(x=x, w=w)[1].sum(), w)[0]
    torch.testing.assert_close(found, torch.autograd.grad(torch.tanh(x @ w).sum(), w)[0])


@pytest.mark.slow
def test_torch_compile_follows_the_function():
    torch = pytest.importorskip("torch", minversion="2.7", reason="2.6 does not follow classes as keys")
    layer = sb.compile(traced("rms_norm"), backend="torch")
    x, w = tensors(torch, "rms_norm")
    followed = torch.compile(lambda x, w: layer.kind.apply(x, w), backend="eager", fullgraph=True)
    for one, other in zip(layer_gradients(torch, followed, [x, w]), layer_gradients(torch, layer, [x, w]), strict=True):
        torch.testing.assert_close(one, other)


def test_code_that_computes_something_else_is_not_handed_out(monkeypatch):
    pytest.importorskip("torch")
    right = torch_function.print_class

    def wrong(*arguments):
        return [line.replace("u_bar = -0.5", "u_bar = 0.5") for line in right(*arguments)]

    monkeypatch.setattr(torch_function, "print_class", wrong)
    generated_code.examined_code.cache_clear()
    with pytest.raises(GeneratedCodeError, match="not what was proved"):
        sb.compile(traced("rms_norm"), backend="torch")
    monkeypatch.undo()
    assert sb.compile(traced("rms_norm"), backend="torch").backend == "torch"


def test_a_pickle_is_printed_again():
    torch = pytest.importorskip("torch")
    layer = sb.compile(traced("rms_norm"), backend="torch")
    again = pickle.loads(pickle.dumps(layer))
    assert again.source == layer.source
    torch.testing.assert_close(again(*tensors(torch, "rms_norm")), layer(*tensors(torch, "rms_norm")))


# What the documentation shows


PAGE = (Path(__file__).parents[2] / "docs" / "frameworks.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```py\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_class_on_the_page_is_what_is_printed():
    def rms_norm(x, w):
        return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + 1e-6) * w

    text = printed(sb.trace(rms_norm, {"x": ND, "w": ("D",)}), "rms_norm")
    assert text.endswith(f"import torch\n\n\n{BLOCKS[1]}")


def test_the_code_of_the_page_runs(tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "page.py").write_text("\n".join([BLOCKS[0], *BLOCKS[2:]]), encoding="utf-8")
    runpy.run_path(str(tmp_path / "page.py"))


# Networks


def test_a_network_is_a_cost_with_the_gradients_of_all_parameters():
    torch = pytest.importorskip("torch")
    net = sb.Network([3, 5, 4], activation=["tanh", "sigmoid"], cost="cross_entropy", l2="lambda/(2*m)")
    code, plain, params = sb.compile(net, "torch"), sb.compile(net), net.init(0)
    random = np.random.default_rng(0)
    X, Y = random.normal(size=(6, 3)), np.eye(4)[random.integers(0, 4, 6)]
    J, gradients = code(params, X, Y, lam=0.7)
    expected, others = plain(params, X, Y, lam=0.7)
    assert pytest.approx(expected, rel=1e-13) == J
    leaves = [torch.tensor(p, requires_grad=True) for p in params.values()]
    x, y = torch.tensor(X), torch.tensor(Y)
    (3 * code.functions["cost"](x, y, *leaves, 0.7)).backward()
    for name, leaf in zip(params, leaves, strict=True):
        np.testing.assert_allclose(gradients[name], others[name], rtol=1e-11, atol=1e-15)
        np.testing.assert_allclose(leaf.grad.numpy(), 3 * others[name], rtol=1e-11, atol=1e-15)
    assert torch.autograd.gradcheck(lambda *p: code.functions["cost"](x, y, *p, 0.7), leaves)
    np.testing.assert_allclose(code.predict(params, X), plain.predict(params, X), rtol=1e-13)


def test_export_prints_the_class(tmp_path):
    pytest.importorskip("torch")
    file = tmp_path / "gradient.py"
    done = CliRunner().invoke(app, ["export", "--layers", "3,4,2", "--backend", "torch", "-o", str(file)])
    assert done.exit_code == 0, done.output
    assert "class Cost(torch.autograd.Function):" in file.read_text()


# JAX, from the same two passes


@pytest.mark.parametrize("name", ["two_outputs", "cross_entropy"])
def test_jax_takes_the_derived_backward_pass_under_jit_grad_and_vmap(name):
    jax = pytest.importorskip("jax")
    torch = pytest.importorskip("torch")
    layer = sb.compile(traced(name), backend="jax")
    assert f"{name}.defvjp({name}_fwd, {name}_bwd)" in layer.source
    ours = tensors(torch, name)
    arrays = [t.detach().numpy() for t in ours]
    real = [k for k, t in enumerate(ours) if t.requires_grad]

    def cost(*values):
        outputs = layer.function(*(values[real.index(k)] if k in real else a for k, a in enumerate(arrays)))
        return sum((o**2).sum() for o in (outputs if isinstance(outputs, tuple) else (outputs,)))

    with jax.enable_x64(True):
        slopes = jax.jit(jax.vmap(jax.grad(cost, argnums=range(len(real)))))
        found = slopes(*(np.stack([arrays[k], arrays[k]]) for k in real))
    expected = layer_gradients(torch, sb.compile(traced(name), backend="torch"), ours)
    for both, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(both[1], other, rtol=1e-10, atol=1e-13)


def test_the_judge_proves_the_rule():
    pytest.importorskip("jax")
    shapes, assume, options = given("cross_entropy")
    layer = sb.compile(traced("cross_entropy"), backend="jax")
    verdict = sb.check(layer.function, shapes=shapes, assume=assume, **options)
    assert (verdict.status, verdict.scope) == ("PROVED", "all sizes"), str(verdict)


def test_compile_keeps_names_that_the_generated_class_needs_itself():
    """The number of rows is told to the backward pass by an attribute of the context, which has others."""
    torch = pytest.importorskip("torch")
    own = dir(torch.autograd.function.BackwardCFunction)
    assert {name for name in own if not name.startswith("_")} <= CONTEXT

    def mean(ctx, math):
        return ctx.mean(axis=0) * math

    code = sb.compile(sb.trace(mean, {"ctx": ("saved_tensors", "K"), "math": ("K",)}), backend="torch")
    ctx = torch.ones((2, 3), dtype=torch.float64, requires_grad=True)
    math = torch.full((3,), 2.0, dtype=torch.float64)
    code(math=math, ctx=ctx).sum().backward()
    assert ctx.grad.tolist() == [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
