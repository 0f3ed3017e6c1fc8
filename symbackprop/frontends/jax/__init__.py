"""JAX code as programs: stand-ins for jax.numpy, jax.nn and jax.lax, built into the user's functions.

In: functions on jax arrays, `jax.custom_vjp` functions. Out: what `frontends.numpy` can trace, and the same code run by
JAX itself. JAX is imported by the user's code alone; what is missing here is refused by name.

Door: `subjects`. Read first: `array`, then `namespace`.
"""
