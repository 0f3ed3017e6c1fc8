"""Theorems: what is proved about a subject, as a reader wants it.

In: a network or a program. Out: a `Proof`, its theorems with statement, scope, conditions and steps, every step
replayed by the kernel. A network's theorems are about error terms, for one depth or for all (`network`, `any_depth`);
a program's about its cotangents (`program`), made short by the room `shortening`. Both can be put into forms that
stay finite in floating point (`stable_logs`, `stable_functions`).

Door: `prove_network` in `network`. Read first: `theorem`, then `network`.
"""
