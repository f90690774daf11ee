"""Rows picked out by rules."""

from __future__ import annotations

from typing import Any

import pytest

from windtunnel.laws.flags import Flag, flag_rows
from windtunnel.laws.reading import table_from_columns

NAN = float("nan")


def flags_of(columns: dict[str, list[Any]], given: dict[str, str] | None = None) -> dict[str, Flag]:
    table = table_from_columns(columns, columns=given)
    keep, flags = flag_rows(table)
    dropped = {row for flag in flags if flag.dropped for row in flag.rows}
    assert dropped == set(table.lines[~keep].tolist())  # nothing is dropped without a flag
    assert all(flag.sentence for flag in flags)
    found = {flag.rule: flag for flag in flags}
    assert len(found) == len(flags)
    return found


def ladder(**changes: list[Any]) -> dict[str, list[Any]]:
    return {
        "params": [1e8, 2e8, 3e8, 4e8, 5e8],
        "tokens": [3e9, 6e9, 9e9, 12e9, 15e9],
        "loss": [3.5, 3.3, 3.2, 3.1, 3.0],
    } | changes


def test_a_clean_ladder_has_no_flag() -> None:
    assert flags_of(ladder()) == {}


@pytest.mark.parametrize("loss", [NAN, None, float("inf"), float("-inf"), 13.0])
def test_diverged(loss: float | None) -> None:
    found = flags_of(ladder(loss=[3.5, loss, 3.2, 3.1, 3.0]))
    assert found.keys() == {"diverged"}
    assert found["diverged"].rows == (2,)
    assert "1 row (line 2)" in found["diverged"].sentence


def test_worse_than_guessing_depends_on_the_vocabulary_and_the_unit() -> None:
    losses = [3.5, 6.5, 3.2, 3.1, 3.0]
    assert flags_of(ladder(loss=losses)) == {}
    assert flags_of(ladder(loss=losses, vocab_size=[256] * 5))["diverged"].rows == (2,)
    bits = ladder(val_bpb=[1.1, 8.5, 1.0, 0.9, 0.9])
    del bits["loss"]
    assert flags_of(bits)["diverged"].rows == (2,)


def test_far_above_others_of_the_same_size() -> None:
    columns = {
        "params": [1e8] * 4 + [2e8] * 4,
        "tokens": [3e9] * 4 + [6e9] * 4,
        "loss": [3.0, 3.3, 3.1, 7.0, 2.8, 2.9, 3.0, 3.1],
        "lr": [1, 2, 0.5, 4, 1, 2, 0.5, 4],
    }
    assert flags_of(columns)["diverged"].rows == (4,)
    columns["data"] = ["text"] * 3 + ["code"] + ["text"] * 4  # a text column: another setting
    assert "diverged" not in flags_of(columns)


def test_a_small_run_s_large_loss_is_no_divergence() -> None:
    assert "diverged" not in flags_of(ladder(loss=[9.0, 3.3, 3.2, 3.1, 3.0]))


def test_impossible() -> None:
    assert flags_of(ladder(loss=[3.5, 0.0, -1.0, 3.1, 3.0]))["impossible"].rows == (2, 3)
    accuracy = ladder(acc=[0.5, 0.6, -0.1, 0.8, 0.9])
    del accuracy["loss"]
    assert flags_of(accuracy)["impossible"].rows == (3,)


@pytest.mark.parametrize("name", ["params", "tokens"])
def test_incomplete(name: str) -> None:
    column = [*ladder()[name][:4], None]
    assert flags_of(ladder(**{name: column}))["incomplete"].rows == (5,)


def test_nothing_trained_yet_is_incomplete() -> None:
    assert flags_of(ladder(tokens=[0, 6e9, 9e9, 12e9, 15e9]))["incomplete"].rows == (1,)


def test_duplicates_count_once_and_repeats_are_kept() -> None:
    doubled = {name: [*values, values[0], values[1]] for name, values in ladder().items()}
    assert flags_of(doubled)["duplicate"].rows == (6, 7)
    doubled["loss"][-1] = 3.31
    assert flags_of(doubled)["duplicate"].rows == (6,)
    doubled["seed"] = [0, 0, 0, 0, 0, 1, 1]
    assert flags_of(doubled) == {}


def test_unannealed() -> None:
    columns = ladder(run=["a", "a", "a", "b", "c"], params=[1e8] * 3 + [4e8, 5e8])
    found = flags_of(columns)
    assert found["unannealed"].rows == (1, 2)
    assert "1 run" in found["unannealed"].sentence


def test_under_trained() -> None:
    found = flags_of(ladder(tokens=[3e9, 6e9, 9e9, 12e9, 2e9]))
    assert found["under-trained"].rows == (5,)
    assert not found["under-trained"].dropped
    assert flags_of(ladder(tokens=[3e8, 6e8, 9e8, 12e8, 15e8])) == {}  # all alike


def test_edge_of_grid() -> None:
    columns = {
        "params": [1e8] * 3 + [2e8] * 3,
        "tokens": [3e9] * 3 + [6e9] * 3,
        "lr": [1e-3, 2e-3, 4e-3] * 2,
        "loss": [3.1, 3.0, 3.2, 2.9, 2.8, 2.7],
    }
    found = flags_of(columns)
    assert found["edge-of-grid"].rows == (6,)
    assert "1 of 2 sizes" in found["edge-of-grid"].sentence
    columns["acc"] = [1 - loss / 10 for loss in columns["loss"]]
    assert flags_of(columns, {"loss": "acc"})["edge-of-grid"].rows == (6,)
    columns["loss"][-1] = 3.3
    assert flags_of(columns) == {}


def test_inconsistent() -> None:
    flops = [6 * n * d for n, d in zip(ladder()["params"], ladder()["tokens"], strict=True)]
    flops[2] *= 10
    assert flags_of(ladder(flops=flops))["inconsistent"].rows == (3,)


def test_constant() -> None:
    found = flags_of(ladder(params=[1e8] * 5))
    assert found["constant"].sentence.startswith("params is 1e+08 in every row")
    assert "nothing to fit" in flags_of(ladder(loss=[3.0] * 5))["constant"].sentence


def test_mixed_settings() -> None:
    columns = {name: values * 2 for name, values in ladder().items()}
    columns["loss"] = [value + 0.01 * place for place, value in enumerate(columns["loss"])]
    columns["mix"] = ["c4", "pile"] * 5
    assert '--where "mix==c4"' in flags_of(columns)["mixed"].sentence
    columns["params"] = [1e8, 1e8, 3e8, 3e8, 5e8] * 2
    columns["mix"] = [f"{size / 1e6:g}M model" for size in columns["params"]]
    assert flags_of(columns) == {}


def test_all_rows_may_go() -> None:
    found = flags_of(ladder(loss=[NAN, 0.0, 3.2, 3.1, 3.0], params=[1e8, 2e8, None, 4e8, 5e8]))
    assert found["incomplete"].rows == (3,)
    assert found["diverged"].rows == (1,)
    assert found["impossible"].rows == (2,)
    gone = flags_of(ladder(loss=[NAN, 3.3, 3.2, 3.1, 3.0], tokens=[3e9, 0, 0, 0, 0]))
    assert gone.keys() == {"incomplete", "diverged"}
