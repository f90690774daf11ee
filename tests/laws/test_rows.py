from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from windtunnel.laws.forms import form_named
from windtunnel.laws.rows import Rows, from_space, to_space

CHINCHILLA = form_named("chinchilla")


def test_weights_have_mean_one_and_every_row_is_its_own_group(runs: Callable[..., dict]) -> None:
    columns = runs(2, 2)
    rows = Rows.of(CHINCHILLA, columns, columns["loss"], weights=np.array([1.0, 1.0, 2.0, 4.0]))
    assert rows.weights.tolist() == [0.5, 0.5, 1.0, 2.0]
    assert rows.groups.tolist() == [0, 1, 2, 3]
    assert set(rows.inputs) == {"params", "tokens"}  # the loss is no input


def test_taken_rows_keep_scaling_and_group(runs: Callable[..., dict]) -> None:
    columns = runs(2, 3)
    groups = np.array([7, 7, 8, 8, 9, 9])
    rows = Rows.of(CHINCHILLA, columns, columns["loss"], groups=groups)
    some = rows.take(np.array([5, 0]))
    assert len(some) == 2
    assert some.groups.tolist() == [9, 7]
    assert some.observed.tolist() == [rows.observed[5], rows.observed[0]]
    assert some.inputs["tokens"].tolist() == [rows.inputs["tokens"][5], rows.inputs["tokens"][0]]
    assert some.scaling == rows.scaling


@pytest.mark.parametrize("name", ["chinchilla", "routed", "downstream"])
def test_there_and_back_again(name: str) -> None:
    form, metric = form_named(name), np.array([0.3, 0.5, 0.8])
    inputs = {each: np.array([1.0, 2.0, 4.0]) for each in form.inputs}
    scaling = Rows.of(form, inputs, metric).scaling
    np.testing.assert_allclose(from_space(form, to_space(form, metric, scaling), scaling), metric)


def test_one_stray_metric_moves_no_other_row(runs: Callable[..., dict]) -> None:
    columns = runs(3, 3)
    stray = columns["loss"].copy()
    stray[columns["loss"].argmin()] = 1e-9
    plain = Rows.of(CHINCHILLA, columns, columns["loss"]).scaling
    assert Rows.of(CHINCHILLA, columns, stray).scaling == plain
