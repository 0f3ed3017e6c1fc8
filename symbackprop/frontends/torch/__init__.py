"""PyTorch code as programs: stand-ins for torch and its modules, built into the user's functions.

In: functions on tensors, `torch.autograd.Function` classes, modules. Out: what `frontends.numpy` can trace, and the
same code run by torch itself. torch is imported by the user's code alone; what is missing here is refused by name.

Door: `subjects`. Read first: `tensor`, then `namespace` and `autograd`.
"""
