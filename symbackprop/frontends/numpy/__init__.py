"""NumPy functions as programs: run on symbolic arrays of symbolic sizes; every line that assigns becomes an equation.

In: a user's function, the shapes of its arguments, assumptions. Out: a `Program`, or a forward and its backward as
`Traced`. The user's function is rebuilt over stand-ins for the modules that it sees (`rebind`, `namespace`); each
operation of NumPy is a row of `registry`.

Door: `trace` and `trace_pair` in `traced`. Read first: `array`, then `traced` and `tracer`.
"""
