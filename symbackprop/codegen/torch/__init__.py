"""Array statements as PyTorch text: a `torch.autograd.Function` with the derived backward pass.

In: the passes of `lowering.passes`, or a form. Out: the text of a module that imports torch alone, and its functions.

Door: `passes_program` in `function`, `print_network` in `network`. Read first: `writer`.
"""
