"""NumPy code: array statements as the text of a Python module, in four forms.

In: a `Form`. Out: source text. `plain` is what one writes by hand; `buffered` the same with every array in a planned
buffer; `prebound` makes everything that stays the same once; `unrolled` is for tiny nets.

Door: `print_function` in `plain`. Read first: `expressions`, then `plain`.
"""
