from __future__ import annotations

import dataclasses
import math

import pytest

from windtunnel.comparing.cells import cells_of
from windtunnel.comparing.speed_up import speed_up


def cell_of(table):
    (cell,) = cells_of(table, "adamw")
    return cell


@pytest.mark.parametrize("factor", [1.4, 1.1, 1.0, 0.8])
def test_the_planted_speed_up_is_read_off_the_better_ones_runs(made_up, factor):
    cell = cell_of(made_up({"adamw": 1.0, "muon": factor}, slowness={"muon": 1.25}))
    found = speed_up(cell, "muon", "adamw", 4e6, "units")
    # The chord of a curve that flattens lies above it, so what is read is a little nearer to 1.
    assert found.estimate.value == pytest.approx(factor, rel=0.015)
    assert abs(math.log(found.estimate.value)) <= abs(math.log(factor)) + 1e-9
    assert found.read == ("muon" if factor > 1 else "adamw")
    seconds = speed_up(cell, "muon", "adamw", 4e6, "seconds")
    assert seconds.estimate.value == pytest.approx(found.estimate.value / 1.25)


def test_the_range_covers_and_is_paired(made_up):
    covered = 0
    for random in range(60):
        cell = cell_of(made_up({"adamw": 1.0, "muon": 1.2}, noise=0.005, seeds=8, random=random))
        low, high = speed_up(cell, "muon", "adamw", 4e6, "units").estimate.ci90
        covered += low < 1.2 < high
    assert covered >= 48


def test_one_length_of_the_method_goes_through_the_baselines(made_up):
    table = made_up({"adamw": 1.0, "muon": 1.2})
    runs = tuple(run for run in table.runs if run.method == "adamw" or run.units == 4e6)
    cell = cell_of(dataclasses.replace(table, runs=runs))
    found = speed_up(cell, "muon", "adamw", 4e6, "units")
    # Beyond the baseline's longest run its last two go on in a straight line.
    assert found.estimate.value == pytest.approx(1.2, rel=0.02) and found.read == "adamw"


def test_one_length_of_both_says_why_not(made_up):
    cell = cell_of(made_up({"adamw": 1.0, "muon": 1.2}, lengths=(4e6,)))
    found = speed_up(cell, "muon", "adamw", 4e6, "units")
    assert found.estimate is None and found.logs == {}
    assert "the middle of a run is no end of one; add runs of another length" in found.reason


def test_beyond_what_the_lengths_bracket_names_a_length(made_up):
    table = made_up({"adamw": 1.0, "muon": 9.0})
    found = speed_up(cell_of(table), "muon", "adamw", 4e6, "units")
    assert found.estimate is None
    assert "in 6 of 6 seeds adamw's final loss lies more than 1.5 times below" in found.reason
    assert "add runs of muon of length 4.44e+05" in found.reason


def test_a_diverged_run_and_a_missing_column(made_up):
    table = made_up({"adamw": 1.0, "muon": 1.2})
    runs = list(table.runs)
    runs[-1] = dataclasses.replace(runs[-1], loss=math.inf)
    cell = cell_of(dataclasses.replace(table, runs=tuple(runs)))
    assert "1 runs diverged" in speed_up(cell, "muon", "adamw", 4e6, "units").reason
    runs = tuple(dataclasses.replace(run, flops=None) for run in table.runs)
    cell = cell_of(dataclasses.replace(table, runs=runs))
    assert "no flops for" in speed_up(cell, "muon", "adamw", 4e6, "flops").reason
    assert speed_up(cell, "muon", "adamw", 4e6, "units").estimate is not None


def test_too_few_seeds(made_up):
    cell = cell_of(made_up({"adamw": 1.0, "muon": 1.2}, seeds=4))
    found = speed_up(cell, "muon", "adamw", 4e6, "units")
    assert "4 seeds are shared" in found.reason and "at least 5" in found.reason


@pytest.mark.parametrize(
    ("seconds", "says"),
    [(1.0, "a longer run of muon took no more seconds"), (0.0, "runs of muon that took 0 seconds")],
)
def test_times_that_tell_nothing_give_no_speed_up(made_up, seconds, says):
    table = made_up({"adamw": 1.0, "muon": 1.2})
    runs = tuple(dataclasses.replace(run, seconds=seconds) for run in table.runs)
    cell = cell_of(dataclasses.replace(table, runs=runs))
    found = speed_up(cell, "muon", "adamw", 4e6, "seconds")
    assert found.estimate is None
    assert says in found.reason
