"""Backward passes as one would write them by hand: the same values, in fewer words.

In: a gradient with its derivations. Out: the same with further steps, each an equality that the kernel replays.

Door: `shortened` in `closed_forms`. Read first: `factor` and `collect` (one expression), then `rewrite` (by means of
tensors of the forward pass), then `closed_forms`.
"""
