from __future__ import annotations

import dataclasses
import json
import math

import pytest

from windtunnel.comparing.compare_methods import compare_methods
from windtunnel.comparing.words import comparison_words, overall_sentence
from windtunnel.errors import WindtunnelError

WIDTHS = (64.0, 128.0, 256.0)
COPIES = {"adamw": 1.0, "copy": 1.0}


def only(found):
    ((_, one),) = found.headlines
    return one


def test_a_faster_method_is_better_and_how_much(made_up, true_loss):
    table = made_up({"adamw": 1.0, "muon": 1.3}, widths=WIDTHS, noise=0.002, slowness={"muon": 1.1})
    found = compare_methods(table, "adamw", along="width", target=512.0)
    one = only(found)
    truth = math.log(true_loss(256, 1.3 * 4e6) / true_loss(256, 4e6))
    assert one.verdict == "better" and found.overall == "better"
    assert one.difference.ci90[0] < truth < one.difference.ci90[1]
    assert one.speed_up("seconds").estimate.value == pytest.approx(1.3 / 1.1, rel=0.06)
    assert one.state == 0.5
    (said,) = found.trends.values()
    assert said.forecast.ci90[0] < 1.3 < said.forecast.ci90[1]
    words = " ".join(comparison_words(found))
    assert "muon is better than adamw at width 256 after 4e+06 tokens: -2." in words
    assert "times in wall time" in words and "At the smaller scales" in words
    assert "muon's state takes 0.50 times adamw's bytes" in words
    assert "at width 512 it is forecast to be 1.3" in words
    assert "whether adamw was tuned as well as the others can't be told" in words
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["verdict"] == "better"
    assert overall_sentence(found) == "Against adamw, better: muon."


def test_a_slower_one_is_worse(made_up):
    found = compare_methods(made_up({"adamw": 1.0, "sgd": 0.5}, noise=0.002), "adamw")
    assert only(found).verdict == "worse" and found.overall == "none better"
    assert only(found).speed_up("units").estimate.value == pytest.approx(0.5, rel=0.1)


def test_two_copies_show_no_difference_and_say_how_many_seeds_would(made_up):
    found = compare_methods(made_up(COPIES, noise=0.01, random=1), "adamw")
    one = only(found)
    assert (one.verdict, one.within, found.overall) == ("no difference shown", False, "cannot say")
    words = " ".join(comparison_words(found))
    assert "No difference between copy and adamw is shown" in words
    assert f"{one.needed.seeds - 6} more seeds would decide (" in words
    assert "that shows a difference of 0.5 % of the loss 80 % of the time" in words


def test_a_difference_that_is_too_small_to_matter_is_settled(made_up):
    found = compare_methods(made_up(COPIES, noise=0.0005, random=1), "adamw")
    assert only(found).within and found.overall == "none better"
    assert "Any is smaller than 0.5 % of the loss" in " ".join(comparison_words(found))


def test_a_difference_that_is_sure_but_small_is_called_so(made_up):
    found = compare_methods(made_up({"adamw": 1.0, "muon": 1.03}, noise=0.0002), "adamw")
    assert only(found).verdict == "better" and only(found).within
    assert "It is less than the 0.5 % asked about." in " ".join(comparison_words(found))


def test_several_methods_are_corrected_for(made_up):
    table = made_up({"adamw": 1.0, "a": 1.0, "b": 1.0, "c": 1.2}, noise=0.01)
    found = compare_methods(table, "adamw")
    plain = sorted(one.difference.p for _, one in found.headlines)
    corrected = sorted(one.p for _, one in found.headlines)
    assert corrected[0] == pytest.approx(min(1, 3 * plain[0]))
    assert "after Holm's correction over 3" in " ".join(comparison_words(found))


def test_fewer_than_five_seeds_are_refused_by_name(made_up):
    found = compare_methods(made_up({"adamw": 1.0, "muon": 1.3}, seeds=4), "adamw")
    one = only(found)
    assert (one.verdict, found.overall) == ("cannot say", "cannot say")
    assert one.reason.startswith("muon and adamw share 4 seeds at width 64, and at least 5")
    assert "Of muon nothing can be said: muon and adamw share 4" in " ".join(
        comparison_words(found)
    )


def test_diverged_runs_count(made_up):
    table = made_up({"adamw": 1.0, "muon": 1.3}, noise=0.001)
    runs = tuple(
        dataclasses.replace(run, loss=math.inf) if run.method == "muon" and run.seed != "0" else run
        for run in table.runs
    )
    found = compare_methods(dataclasses.replace(table, runs=runs), "adamw")
    one = only(found)
    assert one.difference.diverged == (5, 0)
    words = " ".join(comparison_words(found))
    assert "15 of them diverged" in words
    assert "5 of 6 runs of muon and 0 of adamw diverged, so the losses have no mean" in words
    assert one.verdict == "no difference shown"  # the one that ended was better: 5 against 1
    gone = tuple(
        dataclasses.replace(run, loss=math.inf) if run.method == "muon" else run for run in runs
    )
    found = compare_methods(dataclasses.replace(table, runs=gone), "adamw")
    assert only(found).verdict == "worse"
    json.dumps(found.to_json(), allow_nan=False)


def test_an_untuned_baseline_unsettles_a_win(made_up):
    table = made_up({"adamw": 1.0, "muon": 1.3}, noise=0.002)
    tuning = tuple(
        dataclasses.replace(
            table.runs[0],
            method=method,
            seed="0",
            loss=2 + 0.1 * (rate - best) ** 2,
            settings={"lr": 2.0**rate},
            stage="tuning",
        )
        for method, best in (("adamw", 0), ("muon", 2))
        for rate in range(5)
    )
    found = compare_methods(dataclasses.replace(table, runs=table.runs + tuning), "adamw")
    assert only(found).verdict == "better" and found.overall == "cannot say"
    words = " ".join(comparison_words(found))
    assert "But adamw may be untuned: adamw's best lr at width 64 is the least of 5 tried" in words


def test_workloads_have_verdicts_of_their_own(made_up):
    tables = [made_up({"adamw": 1.0, "muon": f}, noise=0.001) for f in (1.3, 0.7)]
    runs = tuple(
        dataclasses.replace(run, workload=name)
        for name, table in zip(("text", "images"), tables, strict=True)
        for run in table.runs
    )
    found = compare_methods(dataclasses.replace(tables[0], runs=runs), "adamw")
    assert [(c.cell.workload, one.verdict) for c, one in found.headlines] == [
        ("images", "worse"),
        ("text", "better"),
    ]
    assert overall_sentence(found) == "Against adamw, better: muon (text); worse: muon (images)."


def test_what_is_wrong_with_a_table(made_up):
    table = made_up({"adamw": 1.0, "muon": 1.3})
    with pytest.raises(
        WindtunnelError, match="no final run of the baseline 'sgd'; there are adamw"
    ):
        compare_methods(table, "sgd")
    alone = tuple(run for run in table.runs if run.method == "adamw")
    with pytest.raises(WindtunnelError, match="the only method is 'adamw'"):
        compare_methods(dataclasses.replace(table, runs=alone), "adamw")
    twice = (*table.runs, dataclasses.replace(table.runs[0], line=99))
    with pytest.raises(WindtunnelError, match="lines 2 and 99: two final runs of adamw"):
        compare_methods(dataclasses.replace(table, runs=twice), "adamw")
    with pytest.raises(WindtunnelError, match="have no depth; choose from width, params"):
        compare_methods(table, "adamw", along="depth")


def test_lengths_that_differ_by_a_batch_are_one(made_up):
    table = made_up({"adamw": 1.0, "muon": 1.3}, noise=0.001)
    runs = tuple(
        dataclasses.replace(run, units=run.units * 1.01) if run.method == "muon" else run
        for run in table.runs
    )
    found = compare_methods(dataclasses.replace(table, runs=runs), "adamw")
    assert only(found).length == 4e6
    far = tuple(
        dataclasses.replace(run, units=run.units * 1.5) if run.method == "muon" else run
        for run in table.runs
    )
    found = compare_methods(dataclasses.replace(table, runs=far), "adamw")
    assert only(found).reason == "muon and adamw share no training length at width 64"


def test_a_profile_over_scales(made_up):
    table = made_up({"adamw": 1.0, "muon": 1.3, "sgd": 0.5}, widths=WIDTHS, noise=0.0005)
    found = compare_methods(table, "adamw").profiles()
    assert found["muon"].score == 1 and set(found["muon"].ratios.values()) == {1.0}
    assert found["sgd"].score < found["adamw"].score < 1
    assert found["adamw"].share(1.4) == 1
    assert compare_methods(made_up({"adamw": 1.0, "muon": 1.3}), "adamw").profiles() == {}
