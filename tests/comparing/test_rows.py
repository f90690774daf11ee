"""Runs from rows in memory: the same verdicts as from the typed table, and errors for people."""

from __future__ import annotations

import json
import math

import pytest

from windtunnel.comparing.compare_methods import compare_methods
from windtunnel.comparing.rows import runs_from_rows
from windtunnel.comparing.words import comparison_words
from windtunnel.errors import WindtunnelError

ROW = {"method": "adamw", "scale": {"width": 64}, "units": 1e6, "loss": 2.0, "seed": 0}


def rows_of(table):
    return [
        {
            "method": run.method,
            "scale": run.scale,
            "units": run.units,
            "loss": run.loss,
            "data_seed": int(run.seed),
            "init_seed": 7,
            "flops": run.flops,
            "seconds": run.seconds,
            "params": run.params,
            "state_bytes": None,
        }
        for run in table.runs
    ]


def test_rows_give_the_table_s_verdicts_as_json_and_as_words(made_up) -> None:
    table = made_up({"adamw": 1.0, "muon": 1.3}, widths=(64.0, 128.0, 256.0), noise=0.001)
    rows = json.loads(json.dumps(rows_of(table)))
    found = compare_methods(runs_from_rows(rows, unit="tokens"), "adamw", target=2e6)
    expected = compare_methods(table, "adamw", target=2e6).to_json()
    said = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert said["verdict"] == expected["verdict"] == "better"
    one, other = said["cells"][-1]["methods"][0], expected["cells"][-1]["methods"][0]
    assert one["p_holm"] == other["p_holm"]
    assert one["speed_up"][0]["value"] == other["speed_up"][0]["value"]
    words = comparison_words(found)
    assert any(line.startswith("muon is better than adamw at width 256") for line in words)


def test_both_seeds_pair_the_runs() -> None:
    row = {key: value for key, value in ROW.items() if key != "seed"}
    runs = runs_from_rows(
        [row | {"data_seed": 1, "init_seed": init} for init in (0, 1)], unit="tokens"
    ).runs
    assert [run.seed for run in runs] == ["1/0", "1/1"]


@pytest.mark.parametrize("loss", [None, math.nan, math.inf])
def test_a_run_without_a_loss_diverged(loss: float | None) -> None:
    (run,) = runs_from_rows([ROW | {"loss": loss}], unit="tokens").runs
    assert run.loss == math.inf


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": None}, "no seed, and seeds pair the runs"),
        ({"seed": None, "data_seed": 1}, "give seed, or data_seed and init_seed"),
        ({"method": None}, "row 1: method missing"),
        ({"loss": 0.0}, "loss is 0"),
        ({"loss": "2.1"}, "loss is '2.1', which is no number"),
        ({"loss": -math.inf}, "above 0 only"),
        ({"units": 0}, "units is 0"),
        ({"units": math.nan}, "units is nan"),
        ({"flops": -1.0}, "flops is -1"),
        ({"scale": 64}, "scale is 64; give values by name"),
        ({"settings": {"lr": "big"}}, "settings lr is 'big'"),
        ({"stage": "test"}, "'test' is no stage"),
        ({"wall_time": 3.0}, "no such key: wall_time"),
    ],
)
def test_what_is_no_row(change: dict[str, object], message: str) -> None:
    with pytest.raises(WindtunnelError, match=message):
        runs_from_rows([ROW | change], unit="tokens")


def test_a_method_without_state_has_a_size_of_it(made_up) -> None:
    rows = [
        row | {"state_bytes": 0 if row["method"] == "sgd" else 8.0}
        for row in rows_of(made_up({"adamw": 1.0, "sgd": 0.8}))
    ]
    for baseline, ratio in (("adamw", 0.0), ("sgd", None)):
        found = compare_methods(runs_from_rows(rows, unit="tokens"), baseline)
        assert [one.state for _, one in found.headlines] == [ratio]


def test_no_rows() -> None:
    with pytest.raises(WindtunnelError, match="rows: no run"):
        runs_from_rows([], unit="tokens")
