"""Data-parallel gradients on two devices of JAX: the rows are sharded, the data's part is averaged over the devices.

The regulariser is no mean over rows: it is added once, with the m of the whole batch. This script makes two devices of
one processor; on accelerators the same code runs without that line.
"""

import importlib.util
import os
import sys

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import numpy as np

import symbackprop as sb

if importlib.util.find_spec("jax") is None:
    print("this example needs JAX: pip install 'symbackprop[jax]'")
    sys.exit()

import jax

jax.config.update("jax_enable_x64", True)
LAM, ROWS = 0.7, 8

net = sb.Network([5, 4, 3], cost="cross_entropy", l2="lambda/(2*m)")
code = sb.compile(net, backend="jax").functions
random = np.random.default_rng(0)
X, Y = random.normal(size=(ROWS, 5)), np.eye(3)[random.integers(0, 3, ROWS)]
params = net.init(seed=0)

mesh, P = jax.sharding.Mesh(np.array(jax.devices()), ("rows",)), jax.sharding.PartitionSpec
shard_map = jax.shard_map if hasattr(jax, "shard_map") else jax.experimental.shard_map.shard_map


def mean_over_devices(x, y, *weights):
    """The data's part of the cost and of its gradients."""
    return tuple(jax.lax.pmean(part, "rows") for part in code["data_cost_and_gradient"](x, y, *weights))


specs = (P("rows"), P("rows"), *[P()] * len(params))
sharded = jax.jit(shard_map(mean_over_devices, mesh=mesh, in_specs=specs, out_specs=P()))
data = sharded(X, Y, *params.values())
penalty = code["penalty_and_gradient"](*params.values(), LAM, ROWS)  # once, for the whole batch

J, gradients = sb.compile(net)(params, X, Y, lam=LAM)
for part, extra, expected in zip(data, penalty, [J, *gradients.values()], strict=True):
    np.testing.assert_allclose(part + extra, expected, rtol=1e-12, atol=1e-15)
print(f"{len(jax.devices())} devices and one agree: J = {J:.6f}")
