"""PyTorch code, unchanged: the verdict on gradients that people wrote, against torch's own differentiation."""

import contextlib
import io
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.errors import MalformedError, TraceError

torch = pytest.importorskip("torch")
from torch import empty_like as like  # noqa: E402
from torch_functions import CASES  # noqa: E402

DATA = ("labels", "bern")
SIZES = {
    "N": 3,
    "D": 4,
    "C": 4,
    "B": 2,
    "T": 3,
    "K": 5,
    "M": 2,
    "H": 3,
    "L": 3,
    "V": 4,
    "O": 2,
    "I": 3,
    "E": 2,
    "S": 5,
    "W": 2,
}


def name_of(case):
    return (case.subject[0] if isinstance(case.subject, tuple) else case.subject).__name__


def options(case):
    return {"shapes": case.shapes, "fixed": case.fixed, "assume": case.assume, "where": case.where}


def passes(case):
    return case.subject if isinstance(case.subject, tuple) else (case.subject,)


def length(axis):
    """3, "N" or "2*N" as a number."""
    factor, _, name = str(axis).rpartition("*")
    return int(factor or 1) * int(SIZES.get(name, name))


def sampled(case):
    """Tensors of small sizes, in double precision."""
    rng = np.random.default_rng(3)
    tensors = {}
    for name, shape in case.shapes.items():
        dims = tuple(length(n) for n in shape)
        kind = (case.assume or {}).get(name, "")
        if kind.startswith("labels"):
            tensors[name] = torch.tensor(rng.integers(0, SIZES[kind[7:]], dims))
        elif kind == "bern":
            tensors[name] = torch.tensor(1.0 * (rng.random(dims) < 0.5))
        else:
            tensors[name] = torch.tensor(rng.standard_normal(dims), requires_grad=True)
    return tensors


class Context:
    """A ctx for the forward alone, which torch differentiates itself."""

    def save_for_backward(self, *tensors):
        self.saved_tensors = tensors

    def mark_non_differentiable(self, *tensors):
        pass


def differ(case):
    """The inputs at which the gradients that were written are not those of the forward, by torch itself."""
    tensors, fixed = sampled(case), case.fixed or {}
    wanted = [n for n, t in tensors.items() if t.requires_grad]
    if isinstance(case.subject, tuple):
        forward, backward = case.subject
        outputs = [forward(**tensors, **fixed)]
    else:
        separate = case.subject.setup_context is not torch.autograd.Function.setup_context
        given = [*tensors.values(), *fixed.values()]
        forward = case.subject.forward
        result = forward(*given) if separate else forward(Context(), *given)
        outputs = [o for o in (result if isinstance(result, tuple) else (result,)) if o.is_floating_point()]
    upstream = [torch.linspace(0.5, 1.5, o.numel(), dtype=torch.float64).reshape(o.shape) for o in outputs]
    pairs = [(o, u) for o, u in zip(outputs, upstream, strict=True) if o.requires_grad]
    inputs = [tensors[n] for n in wanted]
    true = [None] * len(inputs)
    if pairs:
        true = torch.autograd.grad([o for o, _ in pairs], inputs, [u for _, u in pairs], allow_unused=True)
    if isinstance(case.subject, tuple):
        plain = {n: t.detach() for n, t in tensors.items()}
        returned = backward(**plain) if not outputs[0].shape else backward(upstream[0], **plain)
        scale = upstream[0] if not outputs[0].shape else 1.0
        found = [returned[n] * scale for n in wanted]
    else:
        applied = case.subject.apply(*given)
        applied = [o for o in (applied if isinstance(applied, tuple) else (applied,)) if o.requires_grad]
        found = torch.autograd.grad(applied, inputs, upstream, allow_unused=True)
    zeros = [torch.zeros_like(t) for t in inputs]
    rows = zip(wanted, true, found, zeros, strict=True)
    return {n for n, a, b, z in rows if not torch.allclose(z if a is None else a, z if b is None else b)}


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_check_agrees_with_torch(case):
    assert differ(case) == set(case.wrong)
    verdict = sb.check(*passes(case), **options(case))
    assert verdict.status == {"right": "PROVED", "wrong": "REFUTED"}[case.verdict], str(verdict)
    assert verdict.wrong == case.wrong
    if case.verdict == "right":
        assert verdict.scope.startswith("all sizes")


@pytest.mark.parametrize("case", [c for c in CASES if c.intended], ids=name_of)
def test_check_says_what_a_surrogate_is(case):
    verdict = sb.check(*passes(case), **options(case), intended="surrogate")
    assert verdict.status == "SURROGATE" and not verdict
    assert "surrogate" in str(verdict)
    assert "instead of it, d" in str(verdict)


def test_check_refuses_a_surrogate_that_is_the_gradient():
    case = next(c for c in CASES if name_of(c) == "Swish")
    verdict = sb.check(case.subject, **options(case), intended="surrogate")
    assert verdict.status == "MALFORMED"
    assert "it is the gradient itself" in verdict.reason


Function = torch.autograd.Function
ROWS = {"x": ("N", "D")}


class Twice(Function):
    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, g):
        return 2 * g, g


class Unsaved(Function):
    @staticmethod
    def forward(ctx, x):
        return x * x

    @staticmethod
    def backward(ctx, g):
        return 2 * ctx.x * g


class Elsewhere(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.cuda() * x

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 2 * x * g


class Turned(Function):
    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return x @ w

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        return g @ w.t(), g.t() @ x


class Detached(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x.detach()

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 2 * x * g


class Drawn(Function):
    @staticmethod
    def forward(ctx, x):
        mask = torch.rand_like(x) > 0.5
        ctx.save_for_backward(mask)
        return x * mask

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0]


class Frozen(Function):
    """The two places of needs_input_grad are interchanged, which shows where one input alone needs a gradient."""

    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return x * w

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        return g * w if ctx.needs_input_grad[1] else None, g * x if ctx.needs_input_grad[0] else None


class Backwardless(Function):
    @staticmethod
    def forward(ctx, x):
        return x


@pytest.mark.parametrize(
    ("subject", "shapes", "status", "text"),
    [
        (Twice, ROWS, "MALFORMED", "returns 2 gradients for 1 argument of its forward"),
        (Unsaved, ROWS, "MALFORMED", "has no attribute 'x'"),
        (Elsewhere, ROWS, "UNDECIDED", "torch could not be asked whether Elsewhere"),
        (Turned, {"x": ("N", "D"), "w": ("D", "M")}, "MALFORMED", "a gradient of shape (M, D) for w"),
        (Detached, ROWS, "UNDECIDED", "Read as a constant, the backward is not the gradient"),
        (Drawn, ROWS, "UNDECIDED", "random numbers cannot be traced"),
        (Frozen, {"x": ("N", "D"), "w": ("N", "D")}, "MALFORMED", "where x alone needs a gradient"),
        (Backwardless, ROWS, "MALFORMED", "has no backward"),
        (Turned, {"x": ("N", "D"), "v": ("D", "M")}, "MALFORMED", "names 'v', which is no input"),
        (Turned, {"x": ("N", "D")}, "MALFORMED", "of which neither shapes nor fixed says anything"),
    ],
)
def test_check_tells_what_is_wrong_with_a_function(subject, shapes, status, text):
    verdict = sb.check(subject, shapes=shapes)
    assert verdict.status == status, str(verdict)
    assert text in verdict.reason


@pytest.mark.parametrize(
    "numbers",
    [
        lambda x: torch.arange(x.shape[0], dtype=torch.uint8),
        lambda x: torch.arange(x.shape[0]).to(torch.int16),
        lambda x: (x > 0).cumsum(0, dtype=torch.int8),
        lambda x: (x > 0).byte().sum(0, dtype=torch.uint8),
        lambda x: (x > 0).byte() - 1,
        lambda x: torch.where(torch.arange(x.shape[0]) ** 3 < 10**6, 1, 100).char() * torch.tensor(3),
    ],
    ids=["arange", "to", "cumsum", "sum", "below", "scalar"],
)
def test_integers_that_may_wrap_around_are_refused(numbers):
    """They do at sizes at which nobody runs the code to see."""

    class Wrapped(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * numbers(x)

        @staticmethod
        def backward(ctx, g):
            return g * numbers(ctx.saved_tensors[0])

    verdict = sb.check(Wrapped, shapes={"x": ("N",)})
    assert verdict.status == "UNDECIDED" and "wrap around" in verdict.reason, str(verdict)


class Straight(Function):
    @staticmethod
    def forward(ctx, x):
        return x.round()

    @staticmethod
    def backward(ctx, g):
        return g


class Around(Function):
    @staticmethod
    def forward(ctx, x):
        return Twofold.apply(x) + 1

    @staticmethod
    def backward(ctx, g):
        return 2 * g


class Twofold(Function):
    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, g):
        return 2 * g


def through_a_rule(x):
    return Straight.apply(x)


def through_a_rule_backward(dout, x):
    return {"x": dout}


def test_a_function_inside_another_counts_by_its_formula_where_nothing_differentiates_it():
    verdict = sb.check(Around, shapes=ROWS)
    assert verdict
    assert "the derivative rule of Twofold is that of its formula" in verdict.conditions
    verdict = sb.check(through_a_rule, through_a_rule_backward, shapes=ROWS)
    assert verdict.status == "UNDECIDED"
    assert "the derivative rule of Straight is that of its formula was not shown" in verdict.reason


def test_check_tells_rounded_constants():
    class Gelu(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * 0.5 * (1.0 + torch.tanh(0.79788456 * x * (1 + 0.044715 * x * x)))

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            t = torch.tanh(0.79788456 * x * (1 + 0.044715 * x * x))
            return g * (0.5 * x * ((1 - t * t) * (0.79788456 + 0.1070322243 * x * x)) + 0.5 * (1 + t))

    verdict = sb.check(Gelu, shapes={"x": ("N",)})
    assert verdict.status == "REFUTED"
    assert "0.1070322243 stands for" in verdict.diagnosis


def test_casts_are_a_condition():
    class Halved(Function):
        @staticmethod
        def forward(ctx, x):
            return (x.float() / 2).to(x.dtype)

        @staticmethod
        def backward(ctx, g):
            return g.float() * 0.5

    verdict = sb.check(Halved, shapes=ROWS)
    assert verdict
    assert any(".float()" in c for c in verdict.conditions)
    assert not any("65504" in c for c in verdict.conditions)


def test_a_cast_to_float16_asks_for_what_it_can_hold():
    class Narrow(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return (2 * g.half()).double()

    verdict = sb.check(Narrow, shapes=ROWS)
    assert verdict and any("65504" in c for c in verdict.conditions)


class Scale(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x * self.weight


class Shifted(Scale):
    def __init__(self, width):
        super().__init__(width)
        self.register_buffer("shift", torch.full((width,), 0.5))
        self.norm = torch.nn.LayerNorm(width)
        self.layers = torch.nn.ModuleList([torch.nn.Linear(width, width) for _ in range(2)])

    def forward(self, x):
        x = self.norm(super().forward(x) + self.shift)
        for layer in self.layers:
            x = torch.nn.functional.silu(layer(x))
        return x


SQUARE = {f"layers.{k}.{n}": ("D", "D") if n == "weight" else ("D",) for k in (0, 1) for n in ("weight", "bias")}
MODULES = {
    "own": (Shifted(3), {"x": ("N", "D"), "weight": ("D",), "norm.weight": ("D",), "norm.bias": ("D",),
                         "shift": ("D",), **SQUARE}, None),
    "embedding": (torch.nn.Embedding(5, 3), {"input": ("N",), "weight": ("V", "D")}, {"input": "labels:V"}),
    "batch_norm": (torch.nn.BatchNorm1d(3), {"input": ("N", 3)}, None),
    "batch_norm_eval": (torch.nn.BatchNorm1d(3).eval(), {"input": ("N", 3)}, None),
    "conv": (torch.nn.Conv1d(2, 2, 3, padding=1), {"input": ("N", 2, "L")}, None),
    "attention": (torch.nn.MultiheadAttention(4, 2, batch_first=True), {"query": ("B", "T", 4), "key": ("B", "T", 4),
                                                                        "value": ("B", "T", 4)}, None),
    "cross_entropy": (torch.nn.CrossEntropyLoss(label_smoothing=0.1), {"input": ("N", "C"), "target": ("N",)},
                      {"target": "labels:C"}),
    "gru": (torch.nn.GRUCell(2, 3), {"input": ("N", 2), "hx": ("N", 3)}, None),
}  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_prove_a_module(name):
    """The equations of a module are what torch computes, at sizes at which its parameters have been made anew."""
    module, shapes, assume = MODULES[name]
    program = sb.trace(module, shapes, assume)
    assert not any("could not be asked" in c for c in program.conditions)
    assert {n for n, _ in module.named_parameters()} <= {t.name for t in program.inputs}
    assert sb.prove(program).status == "PROVED"


def test_trace_refuses_dropout_in_training():
    with pytest.raises(TraceError, match="random numbers"):
        sb.trace(torch.nn.Dropout(0.1), {"input": ("N", "D")})


def test_trace_refuses_hooks():
    layer = torch.nn.Linear(2, 2)
    layer.register_forward_hook(lambda *_: None)
    with pytest.raises(TraceError, match="hooks of a Linear"):
        sb.trace(layer, {"input": ("N", 2)})


def test_trace_keeps_names_and_lines():
    program = sb.trace(MODULES["own"][0], MODULES["own"][1])
    assert "x" in {t.name for t in program.inputs}
    assert any(e.tensor.name.startswith("x") for e in program.equations)


# --- the table of functions against torch itself ------------------------------------------------------------------


UNARY = ["exp", "log", "sqrt", "tanh", "sin", "cos", "tan", "abs", "neg", "sign", "square", "reciprocal", "log1p",
         "expm1", "log2", "log10", "exp2", "erf", "erfc", "sigmoid", "sinh", "cosh", "rsqrt", "floor", "ceil", "round",
         "trunc", "relu", "relu6", "hardtanh", "hardsigmoid", "hardswish", "leaky_relu", "elu", "celu", "selu", "silu",
         "logsigmoid", "softplus", "softsign", "tanhshrink", "softshrink", "hardshrink", "mish", "gelu", "logit"]  # fmt: skip
ONLY_F = torch.nn.functional


@pytest.mark.parametrize("name", UNARY)
def test_functions_entry_by_entry(name):
    function = getattr(torch, name, None) or getattr(ONLY_F, name)
    assume = {"x": "prob"} if name in ("log", "sqrt", "log1p", "log2", "log10", "rsqrt", "logit") else None
    program = sb.trace(lambda x: function(x), {"x": ("N", 3)}, assume)
    assert not any("could not be asked" in c for c in program.conditions)


ROW_FUNCTIONS = {
    "softmax": lambda x: ONLY_F.softmax(x, dim=-1),
    "log_softmax": lambda x: ONLY_F.log_softmax(x, dim=0),
    "softmin": lambda x: ONLY_F.softmin(x, dim=1),
    "logsumexp": lambda x: x.logsumexp(1, keepdim=True),
    "var": lambda x: x.var(1),
    "std": lambda x: x.std(dim=1, unbiased=False),
    "var_mean": lambda x: torch.var_mean(x, 1),
    "norm": lambda x: x.norm(dim=1),
    "norm_of_all": lambda x: x.norm(),
    "normalize": lambda x: ONLY_F.normalize(x, dim=1),
    "cumsum": lambda x: x.cumsum(1),
    "amax": lambda x: x.amax(1),
    "max": lambda x: x.max(1).values,
    "sort": lambda x: torch.sort(x, 1, descending=True)[0],
    "glu": lambda x: ONLY_F.glu(x, 1),
    "layer_norm": lambda x: ONLY_F.layer_norm(x, x.shape[-1:]),
    "rms_norm": lambda x: ONLY_F.rms_norm(x, (x.shape[-1],), eps=1e-5),
    "flip": lambda x: x.flip(1),
    "roll": lambda x: x.roll(1, 1),
    "tril": lambda x: x @ x.t() + (x @ x.t()).tril(-1),
    "chunk": lambda x: torch.cat(x.chunk(2, 1)[::-1], 1),
    "split": lambda x: x.split([1, 3], dim=1)[1],
    "unbind": lambda x: torch.stack(x.unbind(1), 1),
    "unfold": lambda x: x.unfold(1, 2, 1),
    "pad": lambda x: ONLY_F.pad(x, (1, 2)),
    "expand": lambda x: x.unsqueeze(1).expand(-1, 2, -1),
    "repeat": lambda x: x.repeat(2, 1),
    "repeat_interleave": lambda x: x.repeat_interleave(2, dim=1),
    "flatten": lambda x: x.unsqueeze(-1).flatten(1),
    "lerp": lambda x: torch.lerp(x, x.exp(), 0.25),
    "addcdiv": lambda x: torch.addcdiv(x, x, x.exp(), value=0.5),
    "masked_fill": lambda x: x.masked_fill(x > 0, 0.5),
    "clamp": lambda x: x.clamp(min=-0.5, max=0.5),
    "one_hot": lambda x: x * ONLY_F.one_hot(torch.arange(4), 4).sum(0),
    "pairs": lambda x: torch.einsum("ni, mi -> nm", x, x),
    "diag": lambda x: torch.diag_embed(x) + torch.eye(4),
    "max_pool": lambda x: ONLY_F.max_pool1d(x.unsqueeze(1), 2),
    "avg_pool": lambda x: ONLY_F.avg_pool1d(x.unsqueeze(1), 2, 1),
    "conv_transpose": lambda x: ONLY_F.conv_transpose1d(x[:, None], x.new_ones(1, 2, 3).cumsum(-1), x[0, :2], 2, 1, 1),
    "conv_input": lambda x: torch.nn.grad.conv1d_input(
        (x.shape[0], 1, 4), x.new_ones(1, 1, 3).cumsum(-1), x[:, None, :2]
    ),
    "conv_weight": lambda x: torch.nn.grad.conv1d_weight(x[:, None], (1, 1, 2), x[:, None, :2], stride=2),
    "grouped_transpose": lambda x: ONLY_F.conv_transpose1d(
        x.view(-1, 2, 2), x.new_ones(2, 3, 2).cumsum(-1), stride=2, padding=1, groups=2, dilation=2
    ),
    "grouped_input": lambda x: torch.nn.grad.conv1d_input(
        (x.shape[0], 4, 5), x.new_ones(2, 2, 2).cumsum(-1), x.view(-1, 2, 2), stride=2, dilation=2, groups=2
    ),
    "grouped_weight": lambda x: torch.nn.grad.conv1d_weight(x.view(-1, 2, 2), (4, 1, 2), x.view(-1, 4, 1), groups=2),
    "same": lambda x: ONLY_F.conv1d(x[:, None], x.new_ones(1, 1, 2).cumsum(-1), padding="same", dilation=3),
    "full": lambda x: torch.full_like(x, 0.5) + x.new_full((4,), 2.0) + x.new_ones(4),
    "huber": lambda x: ONLY_F.huber_loss(x, x.exp(), delta=0.75),
    "smooth_l1": lambda x: ONLY_F.smooth_l1_loss(x, x.exp(), reduction="sum", beta=0.5),
    "kl_div": lambda x: ONLY_F.kl_div(x, x.exp() + 1, reduction="batchmean"),
    "bce": lambda x: ONLY_F.binary_cross_entropy_with_logits(x, x.sigmoid(), pos_weight=torch.tensor(2.0)),
    "cosine": lambda x: ONLY_F.cosine_similarity(x, x.exp(), dim=1),
    "attention": lambda x: ONLY_F.scaled_dot_product_attention(x[None], x[None], x[None], is_causal=True),
    "cumprod": lambda x: x.cumprod(1),
    "logcumsumexp": lambda x: torch.logcumsumexp(x, dim=0) + x.logcumsumexp(-1),
    "cummax": lambda x: x.cummax(1).values,
    "topk": lambda x: torch.topk(x, 2, dim=-1).values,
    "topk_smallest": lambda x: torch.zeros_like(x).scatter(0, x.topk(1, 0, largest=False)[1], 1.0),
    "diff": lambda x: torch.diff(x, dim=1),
    "cross": lambda x: torch.cross(x[:, :3], x[:, 1:], dim=1),
    "vecdot": lambda x: torch.linalg.vecdot(x, x.exp(), dim=0),
    "multi_dot": lambda x: torch.linalg.multi_dot([x.t(), x, x.t()]),
    "matrix_power": lambda x: torch.matrix_power(x.t() @ x, 3),
    "pinverse": lambda x: torch.linalg.pinv(x[:, :1]),
    "select_scatter": lambda x: torch.select_scatter(x, x[:, 1], 1, 0),
    "slice_scatter": lambda x: torch.slice_scatter(x, x[:, :2], 1, 0, 4, 2),
    "fill_diagonal": lambda x: (x @ x.t()).fill_diagonal_(0.5),
    "flips": lambda x: torch.fliplr(x) + torch.flipud(x) + torch.rot90(x[:, :2].t() @ x[:, :2])[0, 0],
    "diagflat": lambda x: torch.diagflat(x[0, :2], 1),
    "special": lambda x: torch.special.ndtr(x) + torch.special.entr(x.exp()) + torch.special.xlog1py(x, x.exp()),
    "pairwise_distance": lambda x: ONLY_F.pairwise_distance(x, x.exp(), keepdim=True),
    "triplet": lambda x: ONLY_F.triplet_margin_loss(x, x.exp(), x.sin(), swap=True),
    "ranking": lambda x: ONLY_F.margin_ranking_loss(x, x.exp(), x.sign(), margin=0.5),
    "hinge_embedding": lambda x: ONLY_F.hinge_embedding_loss(x, torch.sign(x), margin=2.0, reduction="sum"),
    "soft_margin": lambda x: ONLY_F.soft_margin_loss(x, x.exp()),
    "poisson": lambda x: ONLY_F.poisson_nll_loss(x, x.exp(), log_input=True),
    "embedding_bag": lambda x: ONLY_F.embedding_bag(torch.tensor([[0, 0], [0, 0]]), x, mode="sum"),
    "dilated": lambda x: ONLY_F.conv1d(x[:, None], x.new_ones(1, 1, 2).cumsum(-1), dilation=2),
    "padded_max_pool": lambda x: ONLY_F.max_pool1d(x[:, None], 3, 2, padding=1),
    "adaptive_pool": lambda x: ONLY_F.adaptive_avg_pool1d(x[:, None], 1),
    "pixel_shuffle": lambda x: ONLY_F.pixel_shuffle(x[:, :, None, None] + x[0, :2], 2),
    "pixel_unshuffle": lambda x: ONLY_F.pixel_unshuffle(x[:, None, None].expand(-1, 1, 2, 4), 2),
    "channel_shuffle": lambda x: ONLY_F.channel_shuffle(x[:, :, None, None], 2),
    "interpolate": lambda x: ONLY_F.interpolate(x[:, None], scale_factor=2),
    "columns": lambda x: ONLY_F.unfold(x[:, None, None] + x[0, :3, None], (2, 2), padding=1, stride=2),
    "fold": lambda x: ONLY_F.fold(x[:, :, None].expand(-1, 4, 6), (3, 4), 2),
    "fold_strided": lambda x: ONLY_F.fold(x[:, :, None].expand(-1, 4, 6), (4, 6), 2, stride=2),
}


@pytest.mark.parametrize("name", ROW_FUNCTIONS)
def test_functions_of_rows(name):
    program = sb.trace(ROW_FUNCTIONS[name], {"x": ("N", 4)})
    assert not any("could not be asked" in c for c in program.conditions)


REFUSED = {
    "linalg.svd": lambda x: torch.linalg.svd(x)[1],
    "adaptive_avg_pool1d": lambda x: ONLY_F.adaptive_avg_pool1d(x[None], 2),
    "nonzero": lambda x: x.nonzero(),
    "rand": lambda x: x * torch.rand(3),
}


@pytest.mark.parametrize("name", REFUSED)
def test_functions_that_are_missing_are_named(name):
    with pytest.raises((TraceError, MalformedError), match=r"cannot be traced|random"):
        sb.trace(REFUSED[name], {"x": (3, 3)})


def test_the_page_about_torch_prints_what_it_shows(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "check.md").read_text(encoding="utf-8")
    parts = re.findall(r"^```(py|output)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    code = tmp_path / "page.py"
    code.write_text("".join(text for kind, text in parts if kind == "py"), encoding="utf-8")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        runpy.run_path(str(code))
    assert printed.getvalue() == "".join(text for kind, text in parts if kind == "output")


class GaussianEnergy(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, cov):
        ctx.save_for_backward(x, cov)
        return _energy(x, cov)

    @staticmethod
    def backward(ctx, grad):
        x, cov = ctx.saved_tensors
        precision = torch.linalg.inv(cov)
        solved = x @ precision
        return grad * solved, grad * (precision - solved.t() @ solved / 2)


def _energy(x, cov):
    factor = torch.linalg.cholesky(cov)
    out = torch.linalg.solve_triangular(factor, x.t(), upper=False)
    return (out * out).sum() / 2 + torch.logdet(cov)


class Rectified(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.mark_dirty(x)
        x.clamp_(min=0)
        ctx.save_for_backward(x)
        return x

    @staticmethod
    def backward(ctx, grad):
        (y,) = ctx.saved_tensors
        return grad * (y > 0).to(grad.dtype)


class OfAnExtension(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return torch.ops.my_extension.relu(x)

    @staticmethod
    def backward(ctx, grad):
        return grad


def test_factors_and_inverses_of_matrices_meet():
    verdict = sb.check(GaussianEnergy, shapes={"x": ("N", "D"), "cov": ("D", "D")}, assume={"cov": "spd"})
    assert (verdict.status, verdict.scope) == ("PROVED", "all sizes"), verdict


def test_a_forward_that_writes_into_its_argument_is_run():
    verdict = sb.check(Rectified, shapes={"x": ("N", "D")})
    assert (verdict.status, verdict.scope) == ("PROVED", "all sizes"), verdict


def test_a_compiled_extension_is_refused_whatever_its_functions_are_called():
    verdict = sb.check(OfAnExtension, shapes={"x": ("N",)})
    assert verdict.status == "UNDECIDED"
    assert "torch.ops.my_extension.relu cannot be traced" in verdict.reason


def test_a_version_that_is_not_followed_is_said(monkeypatch):
    monkeypatch.setattr(torch, "__version__", "2.1.0")
    verdict = sb.check(Rectified, shapes={"x": ("N", "D")})
    assert verdict.status == "UNDECIDED"
    assert "torch 2.1.0 is not followed: versions from 2.3 on" in verdict.reason


def test_a_gradient_of_what_is_detached_is_told_in_plain_words():
    def distance(p, z):
        return ((p - z.detach()) ** 2).sum()

    def both(p, z):
        return {"p": 2 * (p - z), "z": 2 * (z - p)}

    verdict = sb.check(distance, both, shapes={"p": ("N",), "z": ("N",)})
    assert (verdict.wrong, verdict.diagnosis) == (("z",), "z: the forward pass detaches it, so its gradient is 0")


@pytest.mark.parametrize(("options", "divisor"), [
    ({"count_include_pad": False}, [2.0, 3, 3, 3, 2]), ({"divisor_override": 2}, [2.0] * 5), ({}, [3.0] * 5),
])  # fmt: skip
def test_an_average_of_windows_is_over_what_its_options_say(options, divisor):
    def forward(x):
        return torch.nn.functional.avg_pool1d(x, 3, 1, 1, **options)

    def forward2d(x):
        return torch.nn.functional.avg_pool2d(x, (1, 3), 1, (0, 1), **options)

    def backward(dout, x):
        wide = torch.nn.functional.pad(dout / torch.tensor(divisor), (1, 1))
        return {"x": wide[..., :-2] + wide[..., 1:-1] + wide[..., 2:]}

    of_images = "divisor_override" in options
    verdict = sb.check(forward2d if of_images else forward, backward,
                       shapes={"x": ("N", "C", 1, 5) if of_images else ("N", "C", 5)})  # fmt: skip
    assert verdict.status == "PROVED"


class Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return torch.nn.functional.conv1d(x, w, padding="same", groups=x.shape[1])

    @staticmethod
    def backward(ctx, grad):
        x, w = ctx.saved_tensors
        of_x = torch.nn.grad.conv1d_input(x.shape, w, grad, padding=1, groups=x.shape[1])
        return of_x, torch.nn.grad.conv1d_weight(x, w.shape, grad, padding=1, groups=x.shape[1])


def test_a_depthwise_convolution_is_proved_for_any_number_of_channels():
    verdict = sb.check(Depthwise, shapes={"x": ("N", "C", "L"), "w": ("C", 1, 3)})
    assert (verdict.status, verdict.scope) == ("PROVED", "all sizes of N, C, L, the others as given")


def test_a_module_is_searched_for_what_floating_point_loses():
    found = sb.trace(lambda x: torch.log(1 + torch.exp(x)), {"x": ("N",)}, precision=True).precision
    assert (found.safe, found.worst) == (False, float("inf"))
    module = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Softmax(dim=1))
    assert sb.trace(module, {"input": ("N", 2)}, precision=True).precision.safe is True


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return w * x * x

    @staticmethod
    def backward(ctx, grad):
        x, w = ctx.saved_tensors
        return 2 * grad * x * w


class WithoutContext(Square):
    @staticmethod
    def forward(x, w):
        return w * x * x


class ForgetsToReturn(Square):
    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)

    @staticmethod
    def backward(ctx, grad):
        pass


class GivesNothingBack(ForgetsToReturn):
    forward = Square.forward


@pytest.mark.parametrize(("kind", "told"), [
    (Square, "the backward of Square returns 1 gradient for 2 arguments of its forward"),
    (WithoutContext, "the forward of WithoutContext takes x where torch hands it the ctx"),
    (ForgetsToReturn, "the forward of ForgetsToReturn returns None"),
    (GivesNothingBack, "the backward of GivesNothingBack returns nothing"),
])  # fmt: skip
def test_slips_in_the_form_of_a_function_are_told(kind, told):
    verdict = sb.check(kind, shapes={"x": ("N",), "w": ("N",)})
    assert (verdict.status, verdict.diagnosis) == ("MALFORMED", told)


def test_a_function_that_stands_in_the_place_of_torchs_is_refused(monkeypatch):
    monkeypatch.setattr(torch, "tanh", lambda x: 2 * x)
    verdict = sb.check(lambda x: torch.tanh(x), lambda dout, x: {"x": 2 * dout}, shapes={"x": ("N",)})
    assert (verdict.status, "torch.tanh is not the library's own" in verdict.reason) == ("UNDECIDED", True)


def test_modules_that_cannot_be_asked_are_told_what_to_do():
    verdict = sb.check(torch.nn.LazyLinear(3), lambda dout, input: {"input": dout}, shapes={"input": ("N", 3)})
    assert verdict.diagnosis == "LazyLinear has not made its weight, bias yet"
    assert sb.check(torch.nn.Linear(2, 3), shapes={"input": ("N", 2)}).reason.endswith("prove(trace(module, shapes))")


def test_a_transposed_convolution_with_a_stride_is_compiled():
    """The places of its kernel are told apart one by one: as they are in a proof, the kernel is handed them so."""

    def spread(x, w):
        return torch.nn.functional.conv_transpose1d(x, w, stride=2, padding=1)

    compiled = sb.compile(sb.trace(spread, shapes={"x": (1, 1, "L"), "w": (1, 1, 4)}))
    x, w, dout = (np.random.default_rng(5).normal(size=(1, 1, n)) for n in (3, 4, 6))
    given = [torch.tensor(a, requires_grad=True) for a in (x, w)]
    spread(*given).backward(torch.tensor(dout))
    found = compiled(x=x, w=w, dout=dout)
    assert np.allclose(found["x_bar"], given[0].grad) and np.allclose(found["w_bar"], given[1].grad)


class OfOneMachine(Square):
    @staticmethod
    def forward(ctx, x, w):
        assert x.is_cuda
        ctx.save_for_backward(x, w)
        return w * x * x


def test_code_that_asks_for_a_gpu_is_no_fault_but_not_followed():
    verdict = sb.check(OfOneMachine, shapes={"x": ("N",), "w": ("N",)})
    assert (verdict.status, "it asks for a GPU" in verdict.reason) == ("UNDECIDED", True)


class _Unwritten(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 2.0 * x

    @staticmethod
    def backward(ctx, dout):
        return 2.0 * dout + 0.0 * like(dout)


def test_zero_times_what_torch_left_unwritten_is_no_zero_whatever_its_name():
    answer = sb.check(_Unwritten, shapes={"x": ("N", "D")})
    assert answer.status == "MALFORMED" and "np.empty" in str(answer)
