"""Mathematics to be read: expressions as text, as a layout, and the layout as LaTeX or MathML.

In: expressions and a notation. Out: text in the syntax that users write (`text`), or a `Layout` (`math`) that `tex` and
`mathml` write out.

Door: `to_text` in `text`, `layout_of` in `math`. Read first: `layout`, then `math`.
"""
