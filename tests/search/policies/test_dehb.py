from __future__ import annotations

from collections.abc import Callable

import numpy as np

from windtunnel.search.policies.dehb import DehbPolicy, evolving_brackets, mutant
from windtunnel.search.policies.random import RandomPolicy
from windtunnel.search.space import Float, Space
from windtunnel.search.trial import Trial

SIX = Space({f"x{n}": Float(0.0, 1.0) for n in range(6)})


def sphere(trial: Trial) -> float:
    return sum((float(v) - 0.3) ** 2 for v in trial.values.values()) + 0.1 / (trial.fidelity or 1)


def test_the_brackets_of_81_as_in_their_code() -> None:
    found = [[r.trials for r in bracket] for bracket in evolving_brackets(1, 81, 3)]
    assert found == [[81, 27, 9, 3, 1], [27, 9, 3, 1], [9, 3, 1], [6, 2], [5]]
    assert sum(r.trials * r.fidelity for b in evolving_brackets(1, 81, 3) for r in b) == 1701


class Fixed:
    """A generator whose draws are known."""

    def __init__(self, crossed: list[float], always: int) -> None:
        self._crossed, self._always = np.array(crossed), always

    def choice(self, count: int, size: int, replace: bool) -> np.ndarray:
        return np.arange(size)

    def random(self, count: int) -> np.ndarray:
        return self._crossed

    def integers(self, count: int) -> int:
        return self._always


def test_a_mutant_by_hand() -> None:
    parents = np.array([[0.2, 0.2, 0.2], [0.6, 0.8, 0.2], [0.2, 0.4, 0.4]])
    target = np.array([0.9, 0.9, 0.9])
    generator = Fixed([0.49, 0.51, 0.7], 2)
    # p1 + .5 (p2 - p3) = (.4, .4, .1); crossed where below .5, and at place 2.
    found = mutant(parents, target, parents, generator)  # type: ignore[arg-type]
    np.testing.assert_allclose(found, [0.4, 0.9, 0.1])


def test_a_mutant_outside_is_drawn_anew_and_too_few_parents_get_company() -> None:
    generator = np.random.default_rng(0)
    corners = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 0.9]])
    for _ in range(50):
        found = mutant(corners, np.array([0.5, 0.5]), corners, generator)
        assert ((found >= 0) & (found <= 1)).all()
    everyone = np.random.default_rng(1).random((10, 2))
    assert mutant(everyone[:1], everyone[0], everyone, generator).shape == (2,)


def test_the_first_pass_promotes_and_later_ones_evolve(play: Callable) -> None:
    policy = DehbPolicy(SIX, least=1, most=9, passes=2)
    rows, _ = play(policy, sphere)
    one = sum(r.trials for b in evolving_brackets(1, 9, 3) for r in b)
    assert len(rows) == 2 * one
    assert any(row.run.continues is not None for row in rows[:one])
    assert all(row.run.continues is None for row in rows[one:])
    promoted = rows[9:12]
    best = sorted(rows[:9], key=lambda row: row.loss)[:3]
    assert [row.run.continues for row in promoted] == [row.number for row in best]


def test_it_evolves_below_random_search_at_equal_units(play: Callable, paid: Callable) -> None:
    better = 0
    for seed in range(10):
        ours, _ = play(DehbPolicy(SIX, least=1, most=9, passes=12), sphere, seed=seed)
        trials = int(paid(ours) / 9)
        theirs, _ = play(RandomPolicy(SIX, trials=trials, fidelity=9.0), sphere, seed=seed)
        at_most = [row.loss for row in ours if row.run.fidelity == 9]
        better += min(at_most) < min(row.loss for row in theirs)
    assert better >= 9
