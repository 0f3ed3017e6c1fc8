"""Data-parallel training in two processes: each has half of the rows, torch.distributed adds the gradients up.

The data's part of a mean cost is averaged over the processes. The regulariser is no mean over rows: each process adds
it once, after the averaging, with the m of the whole batch. So both hold the gradient that one process has of all rows.
"""

import importlib.util
import os
import sys
import tempfile

import numpy as np

import symbackprop as sb

if importlib.util.find_spec("torch") is None:
    print("this example needs PyTorch: pip install 'symbackprop[torch]'")
    sys.exit()

import torch
import torch.distributed as dist

LAM, RATE, STEPS, ROWS = 0.7, 0.5, 5, 8

net = sb.Network([5, 4, 3], cost="cross_entropy", l2="lambda/(2*m)")
random = np.random.default_rng(0)
X, Y = random.normal(size=(ROWS, 5)), np.eye(3)[random.integers(0, 3, ROWS)]


def worker(rank, folder):
    """One process: half of the rows, and the same parameters as the other."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    code = sb.compile(net, backend="torch").functions
    x, y = (torch.from_numpy(a[rank::2].copy()) for a in (X, Y))
    params = [torch.from_numpy(p) for p in net.init(seed=0).values()]
    for _ in range(STEPS):
        cost, *gradients = code["data_cost_and_gradient"](x, y, *params)
        for part in (cost, *gradients):
            dist.all_reduce(part)
            part /= 2  # the mean over processes with equally many rows
        penalty, *more = code["penalty_and_gradient"](*params, LAM, ROWS)  # once, for the whole batch
        params = [p - RATE * (g + extra) for p, g, extra in zip(params, gradients, more, strict=True)]
    if rank == 0:
        torch.save([cost + penalty, *params], f"{folder}/trained.pt")
    dist.destroy_process_group()


def main():
    """Train in two processes and in one, and compare."""
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # nothing leaves this machine
    with tempfile.TemporaryDirectory() as folder:
        start = "fork" if sys.platform == "linux" else "spawn"  # forked processes need not import everything again
        torch.multiprocessing.start_processes(worker, args=(folder,), nprocs=2, start_method=start)
        cost, *trained = torch.load(f"{folder}/trained.pt")
    f, params = sb.compile(net), net.init(seed=0)
    for _ in range(STEPS):
        J, gradients = f(params, X, Y, lam=LAM)
        params = {name: p - RATE * gradients[name] for name, p in params.items()}
    assert abs(J - float(cost)) < 1e-12
    for name, parameter in zip(params, trained, strict=True):
        np.testing.assert_allclose(parameter.numpy(), params[name], rtol=1e-11, atol=1e-14)
    print(f"two processes and one agree after {STEPS} steps: J = {J:.6f}")


if __name__ == "__main__":
    main()
