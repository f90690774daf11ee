from __future__ import annotations

import json
from pathlib import Path

import pytest

from windtunnel.models import Family
from windtunnel.optimizers import optimizer_names
from windtunnel.scale import Run
from windtunnel.training.batches import Batches
from windtunnel.training.loop import train


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").open()]


@pytest.mark.parametrize("optimizer", optimizer_names())
def test_a_run_stopped_and_gone_on_with_equals_an_undisturbed_one_bit_for_bit(
    optimizer: str, run: Run, family: Family, batches: Batches, tmp_path: Path
) -> None:
    run = run.replace(optimizer=optimizer, rule="sp")

    def stop_at_eleven() -> bool:
        asked.append(True)
        return len(asked) == 11

    asked: list[bool] = []
    undisturbed = train(run, family=family, batches=batches, folder=tmp_path / "whole")
    stopped = train(
        run, family=family, batches=batches, folder=tmp_path / "cut", should_stop=stop_at_eleven
    )
    assert stopped is None
    resumed = train(run, family=family, batches=batches, folder=tmp_path / "cut")
    assert undisturbed is not None and resumed is not None
    assert resumed.exact
    assert resumed.loss == undisturbed.loss
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    assert len(losses(tmp_path / "whole")) == run.steps == 25
    assert losses(tmp_path / "whole")[-1] < losses(tmp_path / "whole")[0]
