"""Array statements as PyTorch text: a `torch.autograd.Function` with the derived backward pass.

In: the passes of `lowering.passes`. Out: the text of a module that imports torch alone, and its functions.

Door: `function` for programs, `network` for networks. Read first: `writer`.
"""
