"""The JAX functions under jit, vmap and shard_map: the regulariser is added once, not once for each device."""

import os
import subprocess
import sys

import pytest

CODE = """
import jax, jax.numpy as jnp, numpy as np
import symbackprop as sb
net = sb.Network([5, 4, 3], cost="cross_entropy", l2="lambda/(2*m)")
functions, plain = sb.compile(net, "jax").functions, sb.compile(net)
random = np.random.default_rng(0)
X, Y = random.normal(size=(8, 5)), np.eye(3)[random.integers(0, 3, 8)]
params = net.init(0)
w = list(params.values())
J, gradients = plain(params, X, Y, lam=0.7)

# two devices with half of the rows each
assert len(jax.devices()) == 2
mesh, split = jax.sharding.Mesh(np.array(jax.devices()), ("rows",)), jax.sharding.PartitionSpec
def mean(x, y, *w):
    parts = functions["data_cost_and_gradient"](x, y, *w)
    return tuple(jax.lax.pmean(part, "rows") for part in parts)
shard_map = jax.shard_map if hasattr(jax, "shard_map") else jax.experimental.shard_map.shard_map
specs = (split("rows"), split("rows"), *[split()] * 4)
data = jax.jit(shard_map(mean, mesh=mesh, in_specs=specs, out_specs=split()))(X, Y, *w)
penalty = functions["penalty_and_gradient"](*w, 0.7, 8)
for part, extra, expected in zip(data, penalty, [J, *gradients.values()], strict=True):
    np.testing.assert_allclose(part + extra, expected, rtol=1e-12, atol=1e-15)
assert abs(float(sum(jnp.abs(p).sum() for p in penalty))) > 0.1  # the test would see it twice

# several sets of parameters at once, and the gradients of single examples
both = [jnp.stack([p, 2 * p]) for p in w]
costs = jax.jit(jax.vmap(functions["cost"], in_axes=(None, None, 0, 0, 0, 0, None)))(X, Y, *both, 0.7)
expected = [plain.cost({n: k * p for n, p in params.items()}, X, Y, lam=0.7) for k in (1, 2)]
np.testing.assert_allclose(costs, expected, rtol=1e-12)
single = jax.vmap(functions["gradient"], in_axes=(0, 0, *[None] * 5))(X[:, None], Y[:, None], *w, 0.0)
whole = functions["gradient"](X, Y, *w, 0.0)
for one, all_rows in zip(single, whole, strict=True):
    np.testing.assert_allclose(one.mean(axis=0), all_rows, rtol=1e-10, atol=1e-15)
print("all right")
"""


def test_jit_vmap_and_shard_map():
    pytest.importorskip("jax")
    flags = "--xla_force_host_platform_device_count=2"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_ENABLE_X64": "1", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", CODE]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert result.stdout.strip() == "all right", result.stderr
