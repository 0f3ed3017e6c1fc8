"""Numbers: what a program's tensors are at one point.

In: a program, sizes and values of its inputs. Out: every entry, as floats, exact fractions, interval balls or dual
numbers (`exact`, slow and obvious), or as NumPy arrays (`arrays`, fast, for screening).

Door: `Evaluator` and `evaluate` in `exact`. Read first: `number_types`, then `exact`.
"""
