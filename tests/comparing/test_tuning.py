from __future__ import annotations

import dataclasses
import math

import pytest

from windtunnel.comparing.finished import FinishedRun, MethodRuns
from windtunnel.comparing.tuning import tuning_flags
from windtunnel.laws.table import Metric

RATES = (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2)


def tuned(method, best=4e-3, rates=RATES, **more):
    return [
        FinishedRun(
            2,
            method,
            {"width": 64.0},
            1e6,
            "0",
            3 + 0.1 * math.log2(rate / best) ** 2,
            flops=1e12,
            settings={"lr": rate, "weight_decay": 0.0},
            stage="tuning",
            **more,
        )
        for rate in rates
    ]


def final(method, width=64.0, lr=4e-3, losses=(2.0, 2.01, 1.99, 2.02, 2.0), stage="final"):
    return [
        FinishedRun(
            2, method, {"width": width}, 1e6, str(seed), loss, settings={"lr": lr}, stage=stage
        )
        for seed, loss in enumerate(losses)
    ]


def flags_of(*groups):
    runs = tuple(run for group in groups for run in group)
    return tuning_flags(MethodRuns("t", runs, "tokens", Metric("loss", "loss", "nats")))


def both():
    return [*final("adamw"), *final("muon"), *tuned("muon")]


def test_equal_tuning_has_no_flag():
    assert flags_of(both(), tuned("adamw")) == ()
    assert flags_of(final("adamw"), final("muon")) == ()  # nothing is known of it


@pytest.mark.parametrize(
    ("best", "said"), [(1e-3, "least of 5 tried, 0.001; try values below"), (1.6e-2, "above")]
)
def test_a_best_value_at_the_edge(best, said):
    (flag,) = flags_of(both(), tuned("adamw", best))
    assert (flag.method, flag.rule) == ("adamw", "edge")
    assert said in flag.sentence and "lr at width 64" in flag.sentence


def test_nothing_lies_below_no_decay():
    runs = [
        dataclasses.replace(
            run, settings={"lr": 4e-3, "weight_decay": 1e3 * run.settings["lr"] - 1}
        )
        for run in tuned("adamw", 1e-3)
    ]
    assert runs[0].settings["weight_decay"] == 0
    assert flags_of(both(), runs) == ()


def test_every_run_diverging_on_one_side_is_no_edge_on_the_other():
    runs = [
        dataclasses.replace(run, loss=math.inf) if run.settings["lr"] > 4e-3 else run
        for run in tuned("adamw")
    ]
    assert flags_of(both(), runs) == ()


def test_fewer_trials_or_flops_and_none():
    (flag,) = flags_of(both(), tuned("adamw", rates=RATES[1:4]))
    assert (flag.method, flag.rule) == ("adamw", "less tuned")
    assert "3 trials and 3e+12 FLOPs, muon with 5 and 5e+12" in flag.sentence
    cheap = [dataclasses.replace(run, flops=5e11) for run in tuned("adamw")]
    assert [flag.rule for flag in flags_of(both(), cheap)] == ["less tuned"]
    none = [flag for flag in flags_of(both()) if flag.method == "adamw"]
    assert [flag.rule for flag in none] == ["not tuned"]
    assert "no tuning run" in none[0].sentence
    one = [
        flag for flag in flags_of(both(), tuned("adamw", rates=RATES[:1])) if flag.method == "adamw"
    ]
    assert [flag.rule for flag in one] == ["not tuned"]


def test_a_spot_check_that_beats_the_transferred_setting():
    groups = (both(), tuned("adamw"), final("adamw", 256.0))
    worse = final("adamw", 256.0, 8e-3, (2.05,), "spot check")
    luck = final("adamw", 256.0, 8e-3, (1.985,), "spot check")
    ahead = final("adamw", 256.0, 8e-3, (1.9,), "spot check")
    assert flags_of(*groups, worse) == flags_of(*groups, luck) == ()
    (flag,) = flags_of(*groups, ahead)
    assert (flag.method, flag.rule) == ("adamw", "spot check")
    assert "at width 256 lr 0.008 beat adamw's transferred setting by 5.1 % of" in flag.sentence


def test_settings_that_know_their_workload():
    def on(workload, rates):
        return [
            dataclasses.replace(run, workload=workload)
            for method in ("adamw", "muon")
            for run in tuned(method, rates=rates if method == "muon" else RATES)
        ]

    finals = [*final("adamw"), *final("muon")]
    assert flags_of(finals, on("text", RATES), on("images", RATES)) == ()
    shifted = tuple(rate * 1.01 for rate in RATES)
    (flag,) = flags_of(finals, on("text", RATES), on("images", shifted))
    assert (flag.method, flag.rule) == ("muon", "fingerprint")
    assert "other settings on images than on text" in flag.sentence
