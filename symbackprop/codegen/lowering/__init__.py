"""From equations to array statements: contractions of two arrays, elementwise maps, reductions.

In: a `Program`. Out: a `Form`, its statements in order, that every printer reads; on the way what is equal is shared.

Door: `lower` in `lower`. Read first: `form`.
"""
