"""Derives a neural network's gradients symbolically, proves them for every size, checks yours, and runs them fast."""
