"""What a table of runs holds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.laws.inspect import Inspection, inspect_table
from windtunnel.laws.reading import table_from_columns


def inspected(target: dict[str, float] | None = None, **changes: list[Any]) -> Inspection:
    columns: dict[str, list[Any]] = {
        "n_params": [1e8, 2e8, 4e8, 4e8],
        "tokens": [2e9, 4e9, 8e9, 8e9],
        "val_loss": [3.5, 3.2, 3.0, float("nan")],
        "width": [256, 512, 1024, 1024],
    }
    return inspect_table(table_from_columns(columns | changes), target)


def test_columns_cover_the_kept_rows() -> None:
    found = inspected({"params": 4e9, "tokens": 1e9})
    assert (found.rows, found.kept, found.runs) == (4, 3, 3)
    spans = {span.use.name: span for span in found.columns}
    assert (spans["params"].low, spans["params"].high, spans["params"].distinct) == (1e8, 4e8, 3)
    assert spans["params"].ratio == pytest.approx(10)
    assert spans["tokens"].ratio == pytest.approx(0.5)
    assert spans["flops"].target == pytest.approx(2.4e19)
    assert spans["flops"].ratio == pytest.approx(2.4e19 / 1.92e19)
    assert (spans["loss"].empty, spans["loss"].target, spans["loss"].ratio) == (1, None, None)
    assert found.others == {"width": 3}
    assert found.flops_ratio is None  # the flops were derived
    assert inspected(flops=[6e17, 2.4e18, 9.6e18, 9.6e18]).flops_ratio == pytest.approx(0.5)
    assert inspected({"params": 3e8}).columns[0].ratio == 1.0


def test_forms_that_the_columns_do_not_allow_say_why() -> None:
    forms = {form.name: form for form in inspected().forms}
    assert forms["chinchilla"].allowed
    one_size = {f.name: f for f in inspected(n_params=[1e8] * 4).forms}["chinchilla"]
    assert (one_size.allowed, one_size.reason) == (False, "needs 2 values of params; there is 1")
    table = table_from_columns({"params": [1e8, 2e8], "loss": [3.0, 2.9]})
    assert {f.name: f for f in inspect_table(table).forms}["chinchilla"].reason == "needs tokens"
    table = table_from_columns({"params": [1e8, 2e8], "tokens": [1e9, 2e9], "acc": [0.3, 0.4]})
    reason = {f.name: f for f in inspect_table(table).forms}["chinchilla"].reason
    assert reason == "predicts loss, not accuracy"


def test_json_holds_it_all() -> None:
    value = json.loads(json.dumps(inspected({"params": 4e9}).to_json(), allow_nan=False))
    assert value["columns"][0]["name"] == "params"
    assert value["columns"][0]["heading"] == "n_params"
    assert value["flags"][0]["rows"] == [4]
    assert value["metric"] == {"name": "val_loss", "kind": "loss", "unit": "nats"}


def test_a_target_on_a_column_that_is_not_there() -> None:
    with pytest.raises(WindtunnelError, match="the target gives experts, but the table has no"):
        inspected({"experts": 8})


def test_no_row_left() -> None:
    found = inspected({"params": 4e9}, val_loss=[float("nan"), -1.0, 0.0, float("inf")])
    assert found.kept == 0
    assert not any(form.allowed for form in found.forms)
    json.dumps(found.to_json(), allow_nan=False)
