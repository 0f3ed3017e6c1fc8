"""Documents with equations, judged one by one.

In: Markdown, LaTeX or a notebook. Out: its formulas with their places, each as a presentation tree without meaning.

Door: `extract` in `extraction`, `parse` in `grammar`. Read first: `tree`, then `grammar`.
"""
