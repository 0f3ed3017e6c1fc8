"""One step and one epoch of training, against the recurrences of the papers in plain numbers."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
from handwritten import HandWritten

from symbackprop.training.data import classification, split
from symbackprop.training.loop import train
from symbackprop.training.optimizers import RULES, SCHEDULES
from symbackprop.training.parameters import flatten, weight_mask

RANDOM = np.random.default_rng(7)
CLOUD = classification(RANDOM.normal(size=(90, 3)), np.arange(90) % 3, name="cloud")


@pytest.mark.parametrize("name", RULES)
def test_rule_minimises_a_quadratic(name):
    theta, target = np.zeros(3), np.array([1.0, -2.0, 0.5])
    rule = RULES[name]
    state = rule.start(theta, momentum=0.9, decay=np.zeros(3))
    for _ in range(2000):
        state.steps += 1
        rule.step(theta, theta - target, state, 0.05)
    assert np.allclose(theta, target, atol=1e-3)


def by_recurrence(name, theta, gradients, rate, mu, decay):
    """One weight through the recurrences of the papers, in plain numbers."""
    v, m, s, w = 0.0, 0.0, 0.0, theta
    for t, g in enumerate(gradients, start=1):
        v = mu * v + g
        m, s = 0.9 * m + 0.1 * g, 0.999 * s + 0.001 * g * g
        adam = rate * (m / (1 - 0.9**t)) / (math.sqrt(s / (1 - 0.999**t)) + 1e-8)
        w -= {
            "sgd": rate * g,
            "momentum": rate * v,
            "nesterov": rate * (g + mu * v),
            "adam": adam,
            "adamw": adam + rate * decay * w,
        }[name]
    return w


@pytest.mark.parametrize("name", RULES)
def test_rule_takes_the_steps_of_its_paper(name):
    rng = np.random.default_rng(5)
    start, gradients, decay = rng.normal(size=4), rng.normal(size=(5, 4)), np.array([0.3, 0.3, 0.0, 0.0])
    theta, rule = start.copy(), RULES[name]
    state = rule.start(theta, momentum=0.8, decay=decay)
    for gradient in gradients:
        state.steps += 1
        rule.step(theta, gradient.copy(), state, 0.07)
    wanted = [by_recurrence(name, start[k], gradients[:, k], 0.07, 0.8, decay[k]) for k in range(4)]
    assert np.allclose(theta, wanted, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_starts_at_one_and_never_rises(name):
    factors = [SCHEDULES[name](done / 100) for done in range(100)]
    assert factors[0] == 1 and min(factors) >= 0 and all(a >= b for a, b in itertools.pairwise(factors))


SHARES = (0.0, 0.25, 0.49, 0.5, 0.74, 0.75, 0.99)


@pytest.mark.parametrize(
    ("name", "factors"),
    [
        ("constant", (1, 1, 1, 1, 1, 1, 1)),
        ("linear", (1, 0.75, 0.51, 0.5, 0.26, 0.25, 0.01)),
        ("step", (1, 1, 1, 0.1, 0.1, 0.01, 0.01)),
        ("exponential", (1, 10**-0.5, 10**-0.98, 0.1, 10**-1.48, 10**-1.5, 10**-1.98)),
        ("cosine", (1, (2 + 2**0.5) / 4, 0.5157053795, 0.5, 0.1577263950, (2 - 2**0.5) / 4, 0.0002467198)),
    ],
)
def test_schedule_has_these_factors(name, factors):
    assert [SCHEDULES[name](done) for done in SHARES] == pytest.approx(factors, rel=1e-6)


def test_weight_mask_spares_the_biases():
    mask = weight_mask({"W1": (2, 3), "b1": (2,), "W2": (1, 2), "b2": (1,)})
    assert mask.tolist() == [1] * 6 + [0] * 2 + [1] * 2 + [0]


def recorder(seen):
    """A model that takes note of what it is shown; its cost is the first input of the batch."""
    network = HandWritten([3, 4, 3])

    def flat(theta, X, Y):
        seen.append(X.copy())
        return float(X[0, 0] ** 2), np.full_like(theta, 1e-3)

    return SimpleNamespace(flat=flat, predict=network.predict), network.init(1)


def test_train_sees_the_kept_rows_once_an_epoch_in_a_new_order():
    seen = []
    model, initial = recorder(seen)
    train(model, CLOUD, initial=initial, epochs=3, batch_size=16, optimizer="momentum")
    kept, held = split(CLOUD, 0.2, 0)
    assert len(kept) + len(held) == len(CLOUD.X) and not set(kept) & set(held)
    epochs = np.concatenate(seen).reshape(3, len(kept), 3)
    for rows in epochs:
        assert sorted(map(tuple, rows)) == sorted(map(tuple, CLOUD.X[kept]))
        assert (rows != CLOUD.X[kept]).any()
    assert (epochs[0] != epochs[1]).any()


def test_train_begins_with_the_whole_rate_and_averages_the_cost_over_rows():
    seen = []
    model, initial = recorder(seen)
    options = {"epochs": 4, "batch_size": 50, "optimizer": "momentum", "schedule": "linear", "learning_rate": 0.1}
    result = train(model, CLOUD, initial=initial, holdout=0, **options)
    assert [record.learning_rate for record in result.history] == pytest.approx([0.1, 0.075, 0.05, 0.025])
    first, second = seen[:2]
    assert (len(first), len(second)) == (50, 40)
    assert result.history[0].cost == pytest.approx((50 * first[0, 0] ** 2 + 40 * second[0, 0] ** 2) / 90)


def test_train_gives_the_parameters_of_the_best_epoch_though_it_went_on():
    """Held-out scores of the epochs: the first is the best, and the steps go on from there."""
    scores = iter([0.9, 0.5, 0.4])
    network, seen = HandWritten([3, 4, 3]), []

    def predict(params, X):
        share = next(scores)
        right = CLOUD.Y[split(CLOUD, 0.2, 0)[1]].copy()
        wrong = int((1 - share) * len(right))
        right[:wrong] = np.roll(right[:wrong], 1, axis=1)
        return right[: len(X)]

    model = SimpleNamespace(flat=lambda theta, X, Y: (1.0, np.ones_like(theta)), predict=predict)
    initial = network.init(1)
    options = {"optimizer": "momentum", "schedule": "constant", "learning_rate": 0.01, "momentum": 0.0}
    result = train(model, CLOUD, initial=initial, epochs=3, batch_size=100, observer=None, **options)
    assert result.best.epoch == 1 and not seen
    assert np.allclose(flatten(result.params), flatten(initial) - 0.01)


@pytest.mark.parametrize(("rows", "wanted"), [((7, 7, 6), 5), ((3, 3, 3), 2), ((10, 1, 1), 3)])
def test_split_holds_out_as_many_rows_as_asked_though_no_class_gives_a_whole_number(rows, wanted):
    labels = np.repeat(np.arange(3), rows)
    kept, held = split(classification(np.zeros((len(labels), 1)), labels), 0.25, 0)
    assert len(held) == wanted and sorted([*kept, *held]) == list(range(len(labels)))


def test_momentum_is_not_forgotten_at_a_checkpoint(tmp_path):
    path, network = tmp_path / "run.npz", HandWritten([3, 4, 3])
    options = {"initial": network.init(1), "optimizer": "momentum", "schedule": "constant", "batch_size": 30}
    train(network, CLOUD, epochs=2, checkpoint=path, **options)
    resumed = train(network, CLOUD, epochs=3, checkpoint=path, resume=True, **options)
    unbroken = train(network, CLOUD, epochs=3, **options)
    assert resumed.history[-1].cost == unbroken.history[-1].cost
