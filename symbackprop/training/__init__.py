"""Training: data in, trained parameters and the story of the run out.

In: a compiled gradient, a data set, settings. Out: the best parameters, a learning curve, models on disk.

Door: `train` in `loop`. Read first: `run` (settings and state), then `loop`.
"""
