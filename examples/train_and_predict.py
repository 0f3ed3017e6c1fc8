"""A table of numbers with words for labels: training, a model file, predictions.

The same on the command line:

    symbackprop train --data moons.csv --layers 2,12,2 --cost softmax-cross-entropy --standardize --test 0.2 \
        --report --save moons.npz
    symbackprop predict moons.npz moons.csv -o predictions.csv
"""

import csv
import subprocess
import sys

import numpy as np

import symbackprop as sb

random = np.random.default_rng(0)
angle, upper = random.uniform(0, np.pi, 400), random.integers(0, 2, 400)
X = np.column_stack([np.cos(angle) + upper, np.sin(angle) * np.where(upper, -1, 1) + 0.4 * upper])
X += random.normal(scale=0.1, size=X.shape)
names = np.array(["left", "right"])[upper]
with open("moons.csv", "w", newline="") as stream:
    table = csv.writer(stream)
    table.writerow(["across", "up", "moon"])
    table.writerows([*row, name] for row, name in zip(X, names, strict=True))

options = "--layers 2,12,2 --activation tanh,softmax --cost softmax-cross-entropy --standardize --test 0.2 --report"
command = [sys.executable, "-m", "symbackprop", "train", "--data", "moons.csv", "--save", "moons.npz"]
subprocess.run([*command, *options.split()], check=True)

model = sb.load("moons.npz")
print(model, model.predict([[0.0, 1.0], [1.0, -0.5]]), model.score(X, names))
assert model.predict([[0.0, 1.0], [1.0, -0.5]]).tolist() == ["left", "right"]
assert model.score(X, names) > 0.9
