from __future__ import annotations

import numpy as np

from windtunnel.report.figures.classes import classes_of


def test_few_values_are_their_own_classes():
    found = classes_of(np.array([3e8, 1e7, 3e8, 2e9]))
    assert found.exact and found.centres.tolist() == [1e7, 3e8, 2e9]
    assert found.place.tolist() == [1, 0, 1, 2]


def test_many_values_fall_to_the_nearest_of_six_round_ones():
    values = np.geomspace(1.234e7, 9.876e9, 50)
    found = classes_of(values)
    assert not found.exact and found.centres.size == 6
    assert all(float(f"{each:.2g}") == each for each in found.centres)
    nearest = found.centres[found.place]
    assert np.abs(np.log(values / nearest)).max() < np.log(9.876e9 / 1.234e7) / 9
