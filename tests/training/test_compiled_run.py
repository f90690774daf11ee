"""A compiled run: the numbers of one that isn't, to rounding; its code in its own folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from windtunnel.models import Family
from windtunnel.optimizers.classes.compiled import compiler_found
from windtunnel.scale import Run
from windtunnel.training.batches import Batches
from windtunnel.training.execution import Execution
from windtunnel.training.loop import train

pytestmark = pytest.mark.skipif(not compiler_found(), reason="there is no C++ compiler")


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").open()]


def test_a_compiled_run_is_the_run_to_rounding_and_resumes_to_the_bit(
    run: Run, family: Family, batches: Batches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    given = {"family": family, "batches": batches}
    train(run, **given, folder=tmp_path / "plain")  # type: ignore[arg-type]
    compiled = Execution(compile=True)
    done, seen = [0], []

    def stop() -> bool:
        seen.append((tmp_path / "stopped" / "compiled").is_dir())
        return done[0] == 9

    given |= {"execution": compiled}
    train(run, **given, folder=tmp_path / "whole")  # type: ignore[arg-type]
    result = train(
        run,
        **given,  # type: ignore[arg-type]
        folder=tmp_path / "stopped",
        should_stop=stop,
        on_progress=lambda step, steps, loss: done.__setitem__(0, step),
    )
    assert result is None
    assert seen[-1]
    result = train(run, **given, folder=tmp_path / "stopped")  # type: ignore[arg-type]
    assert result is not None
    assert result.exact
    assert result.environment["compiled"]
    assert losses(tmp_path / "whole") == pytest.approx(losses(tmp_path / "plain"), rel=1e-4)
    assert losses(tmp_path / "stopped") == losses(tmp_path / "whole")
    assert not (tmp_path / "stopped" / "compiled").exists()
