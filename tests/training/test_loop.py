from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from windtunnel.errors import WindtunnelError
from windtunnel.models import Family
from windtunnel.parametrization.groups import clip_gradients_
from windtunnel.scale import Run
from windtunnel.schedules import schedule_multiplier
from windtunnel.training import environment as environment_module
from windtunnel.training import outcome, session
from windtunnel.training.assemble import assemble
from windtunnel.training.batches import Batches
from windtunnel.training.evaluation import validate
from windtunnel.training.loop import train
from windtunnel.training.result import RunResult


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in metrics(folder)]


def stop_at(step: int) -> dict[str, Callable[..., Any]]:
    """Arguments of `train` that stop it once `step` steps are done."""
    done = [0]
    return {
        "on_progress": lambda now, steps, loss: done.__setitem__(0, now),
        "should_stop": lambda: done[0] >= step,
    }


def same_but_for_time(left: RunResult | None, right: RunResult | None) -> bool:
    assert left is not None
    assert right is not None
    times = {"seconds": 0, "utilisation": None}
    return left.to_json() | times == right.to_json() | times


@pytest.fixture
def undisturbed(
    run: Run, family: Family, batches: Batches, tmp_path: Path
) -> tuple[RunResult, Path]:
    folder = tmp_path / "undisturbed"
    result = train(run, family=family, batches=batches, folder=folder)
    assert result is not None
    return result, folder


def test_a_run_learns_and_counts_what_it_did(
    undisturbed: tuple[RunResult, Path], run: Run, family: Family
) -> None:
    result, folder = undisturbed
    assert result.status == "finished"
    assert result.key == run.key
    assert (result.steps, result.units) == (25, 25 * 64)
    assert result.flops == family.flops_per_unit(run.scale, 16) * 25 * 64
    assert result.params == family.parameter_count(run.scale).total
    assert result.params_non_embedding == family.parameter_count(run.scale).non_embedding
    assert result.exact
    assert result.environment["threads"] == 1
    first = losses(folder)[0]
    assert first == pytest.approx(math.log(32), abs=1e-5)  # the readout starts at zero
    assert result.loss is not None
    assert result.loss < first - 0.5
    assert result.loss_se is not None
    assert 0 < result.loss_se < 0.2
    assert [line["step"] for line in metrics(folder)] == list(range(25))
    assert metrics(folder)[-1]["units"] == 25 * 64
    assert not (folder / "checkpoint.safetensors").exists()


def test_the_same_run_gives_the_same_losses_twice(
    undisturbed: tuple[RunResult, Path],
    run: Run,
    family: Family,
    batches: Batches,
    tmp_path: Path,
) -> None:
    again = train(run, family=family, batches=batches, folder=tmp_path / "again")
    assert same_but_for_time(again, undisturbed[0])
    assert losses(tmp_path / "again") == losses(undisturbed[1])


@pytest.mark.parametrize("rule", ["mup", "sp"])
def test_agrees_bit_for_bit_with_a_loop_written_by_hand(
    rule: str, run: Run, family: Family, batches: Batches, tmp_path: Path
) -> None:
    """At base a plan changes nothing, so plain PyTorch must give the very same numbers."""
    recipe = run.recipe.replace(clip_norm=0.2)  # low enough to clip
    run = run.replace(rule=rule, recipe=recipe, scale=run.base.replace(units=run.scale.units))
    torch.manual_seed(run.init_seed)
    model = family.build(run.base)
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}],
        lr=recipe.lr,
        betas=(0.9, 0.95),
        eps=1e-8,
        weight_decay=0.1,
        fused=True,
    )
    by_hand = []
    for step in range(25):
        inputs, targets = batches.training(step, run.data_seed, 4)
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr * schedule_multiplier(
                "wsd", step, 25, warmup_fraction=0.1, decay_fraction=0.3
            )
        loss = family.loss(model, (torch.from_numpy(inputs), torch.from_numpy(targets)))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        by_hand.append(loss.item())
    train(run, family=family, batches=batches, folder=tmp_path)
    assert losses(tmp_path) == by_hand


@pytest.mark.parametrize("stops", [(1,), (7, 8), (3, 13, 24), (25,)])
def test_a_stopped_run_goes_on_bit_for_bit(
    stops: tuple[int, ...],
    undisturbed: tuple[RunResult, Path],
    run: Run,
    family: Family,
    batches: Batches,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "stopped"
    for step in stops:
        with torch.random.fork_rng():  # another process has another random state
            torch.manual_seed(step)
            stopped = train(run, family=family, batches=batches, folder=folder, **stop_at(step))
        assert stopped is None
        assert len(losses(folder)) == step
    resumed = train(run, family=family, batches=batches, folder=folder)
    assert same_but_for_time(resumed, undisturbed[0])
    assert losses(folder) == losses(undisturbed[1])


class WithDropout:
    """The family with dropout on its logits: its losses depend on the random state."""

    def __init__(self, family: Family) -> None:
        self._family = family

    def __getattr__(self, name: str) -> Any:
        return getattr(self._family, name)

    def loss(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return self._family.loss(model, batch) * nn.functional.dropout(torch.ones(1)).sum()


def test_random_numbers_go_on_where_they_were(
    run: Run, family: Family, batches: Batches, tmp_path: Path
) -> None:
    noisy: Any = WithDropout(family)
    train(run, family=noisy, batches=batches, folder=tmp_path / "a")
    assert len({loss == 0 for loss in losses(tmp_path / "a")}) == 2
    train(run, family=noisy, batches=batches, folder=tmp_path / "b", **stop_at(10))
    torch.manual_seed(99)
    train(run, family=noisy, batches=batches, folder=tmp_path / "b")
    assert losses(tmp_path / "b") == losses(tmp_path / "a")


KILLED = """
import json, os, signal, sys
from pathlib import Path
import conftest
from windtunnel.scale import Run
from windtunnel.training.loop import train
family = conftest.family.__wrapped__()
batches = conftest.batches.__wrapped__()
run = Run.from_json(json.loads(sys.argv[1]))
def progress(step, steps, loss):
    if step == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
train(run, family=family, batches=batches, folder=Path(sys.argv[2]), on_progress=progress,
      checkpoint_seconds=float(sys.argv[4]))
"""


def test_a_killed_process_loses_nothing_that_was_checkpointed(
    undisturbed: tuple[RunResult, Path],
    run: Run,
    family: Family,
    batches: Batches,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "killed"
    arguments = [json.dumps(run.to_json()), str(folder)]
    here = str(Path(__file__).parent)
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, here])}
    process = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments, "17", "0.0"], env=variables, check=False
    )
    assert process.returncode == -signal.SIGKILL
    assert (folder / "checkpoint.safetensors").exists()
    seen: list[int] = []
    resumed = train(
        run,
        family=family,
        batches=batches,
        folder=folder,
        on_progress=lambda step, steps, loss: seen.append(step),
    )
    assert seen[0] == 17  # step 17 was done but not yet checkpointed when the process was killed
    assert same_but_for_time(resumed, undisturbed[0])
    assert losses(folder) == losses(undisturbed[1])


def test_a_finished_run_is_not_trained_again(
    undisturbed: tuple[RunResult, Path], run: Run, batches: Batches
) -> None:
    class Untouchable:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"asked the family for {name}")

    family: Any = Untouchable()
    again = train(run, family=family, batches=batches, folder=undisturbed[1])
    assert again == undisturbed[0]


def test_going_on_under_other_circumstances_is_said(
    run: Run,
    family: Family,
    batches: Batches,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    train(run, family=family, batches=batches, folder=tmp_path, **stop_at(5))
    monkeypatch.setattr(environment_module, "cpu_model", lambda: "another CPU")
    train(run, family=family, batches=batches, folder=tmp_path, **stop_at(10))
    assert "not bit for bit" in caplog.text
    assert "-> another CPU" in caplog.text
    caplog.clear()
    result = train(run, family=family, batches=batches, folder=tmp_path)
    assert result is not None
    assert not result.exact  # once inexact, always inexact
    assert caplog.text == ""


def test_an_absurd_rate_ends_as_diverged(
    run: Run, family: Family, batches: Batches, tmp_path: Path
) -> None:
    run = run.replace(recipe=run.recipe.replace(lr=1e30, clip_norm=0.0))
    result = train(run, family=family, batches=batches, folder=tmp_path)
    assert result is not None
    assert result.status == "diverged"
    assert result.loss is None
    assert result.loss_se is None
    assert 0 < result.steps < 25
    assert result.units == result.steps * 64
    assert losses(tmp_path)[-1] is None
    assert len(losses(tmp_path)) == result.steps
    assert train(run, family=family, batches=batches, folder=tmp_path) == result


def test_a_validation_loss_that_is_not_finite_is_diverged_too(
    run: Run, family: Family, batches: Batches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcome, "validate", lambda *args, **options: (math.inf, math.nan))
    result = train(run, family=family, batches=batches, folder=tmp_path)
    assert result is not None
    assert (result.status, result.loss, result.loss_se) == ("diverged", None, None)


def test_the_schedule_is_applied_to_every_group(
    run: Run, family: Family, batches: Batches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[list[float]] = []
    step = torch.optim.AdamW.step

    def recorded(self: torch.optim.AdamW, closure: None = None) -> Any:
        rates.append([group["lr"] for group in self.param_groups])
        return step(self, closure)

    monkeypatch.setattr(torch.optim.AdamW, "step", recorded)
    train(run, family=family, batches=batches, folder=tmp_path)
    peak = assemble(run, family, torch.device("cpu")).peak_rates
    assert len(set(peak)) > 1  # the width is not the base's: rates differ
    expected = [
        schedule_multiplier("wsd", k, 25, warmup_fraction=0.1, decay_fraction=0.3)
        for k in range(25)
    ]
    assert rates == [[rate * multiplier for rate in peak] for multiplier in expected]
    assert [line["lr"] for line in metrics(tmp_path)] == [0.01 * m for m in expected]


def test_gradients_are_clipped_in_the_rules_gauge(
    run: Run, family: Family, batches: Batches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    norms: list[float] = []

    def recorded(model: nn.Module, plan: Any, max_norm: float) -> Tensor:
        before = clip_gradients_(model, plan, max_norm)
        norms.append(clip_gradients_(model, plan, 0.0).item())
        return before

    monkeypatch.setattr(session, "clip_gradients_", recorded)
    run = run.replace(recipe=run.recipe.replace(clip_norm=0.05))
    train(run, family=family, batches=batches, folder=tmp_path)
    assert max(norms) <= 0.05 * (1 + 1e-5)
    assert max(line["grad_norm"] for line in metrics(tmp_path)) > 0.05


def test_bf16_trains_close_to_fp32(
    undisturbed: tuple[RunResult, Path],
    run: Run,
    family: Family,
    batches: Batches,
    tmp_path: Path,
) -> None:
    seen: list[torch.dtype] = []

    class Watched(WithDropout):
        def loss(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
            seen.append(model(batch[0]).dtype)
            return self._family.loss(model, batch)

    watched: Any = Watched(family)
    result = train(
        run.replace(precision="bf16"), family=watched, batches=batches, folder=tmp_path / "bf16"
    )
    assert set(seen) == {torch.bfloat16}
    assert result is not None
    assert result.loss != undisturbed[0].loss
    assert result.loss == pytest.approx(undisturbed[0].loss, rel=0.05)


def test_a_worker_that_lost_its_claim_writes_nothing(
    run: Run, family: Family, batches: Batches, tmp_path: Path
) -> None:
    class ClaimLostError(Exception):
        pass

    train(run, family=family, batches=batches, folder=tmp_path, **stop_at(5))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for lost_at in (8, 26):  # while training, and while validating
        asked = iter(range(6, 100))

        def should_stop(asked: Any = asked, lost_at: int = lost_at) -> bool:
            if next(asked) == lost_at:
                raise ClaimLostError
            return False

        with pytest.raises(ClaimLostError):
            train(
                run,
                family=family,
                batches=batches,
                folder=tmp_path,
                should_stop=should_stop,
                checkpoint_seconds=60.0,
            )
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_batch_that_is_no_whole_number_of_sequences_is_refused(
    run: Run, family: Family, batches: Batches, tmp_path: Path
) -> None:
    run = run.replace(recipe=run.recipe.replace(batch_units=60))
    with pytest.raises(WindtunnelError, match=r"recipe\.batch: 60 is no whole number"):
        train(run, family=family, batches=batches, folder=tmp_path)


def test_threads_are_set_for_the_run_and_put_back(
    run: Run, family: Family, batches: Batches, tmp_path: Path
) -> None:
    before = torch.get_num_threads()
    inside: list[int] = []
    result = train(
        run,
        family=family,
        batches=batches,
        folder=tmp_path,
        threads=2,
        on_progress=lambda step, steps, loss: inside.append(torch.get_num_threads()),
    )
    assert set(inside) == {2}
    assert torch.get_num_threads() == before
    assert result is not None
    assert result.environment["threads"] == 2


def test_kept_weights_are_the_model_that_was_validated(
    run: Run, family: Family, batches: Batches, tmp_path: Path
) -> None:
    plain = train(run, family=family, batches=batches, folder=tmp_path / "plain")
    kept = train(run, family=family, batches=batches, folder=tmp_path / "kept", keep_weights=True)
    assert same_but_for_time(plain, kept) and kept is not None
    assert not (tmp_path / "plain" / "model.safetensors").exists()
    model = family.build(run.scale)
    model.load_state_dict(load_file(tmp_path / "kept" / "model.safetensors"))
    loss, _ = validate(model, family=family, batches=batches, sequences=40, precision=nullcontext())
    assert loss == kept.loss


class Recording:
    """A tracker that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def start(self, run: Run, folder: Path, step: int, /) -> None:
        self.told.append(("start", run.key, step))

    def log(self, step: int, numbers: Mapping[str, float], /) -> None:
        self.told.append((step, dict(numbers)))

    def finish(self, result: Mapping[str, Any] | None, /) -> None:
        self.told.append(("finish", None if result is None else result["loss"]))


def test_trackers_are_told_what_the_log_says_and_where_it_goes_on(
    run: Run, family: Family, batches: Batches, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"family": family, "batches": batches, "folder": tmp_path}
    first, second = Recording(), Recording()
    assert train(run, **given, trackers=[first], **stop_at(10)) is None
    result = train(run, **given, trackers=[second])
    assert result is not None
    assert first.told[0] == ("start", run.key, 0)
    assert first.told[-1] == ("finish", None)
    assert second.told[0] == ("start", run.key, 10)
    assert second.told[-1] == ("finish", result.loss)
    steps = [told for told in first.told + second.told if isinstance(told[0], int)]
    names = ("loss", "lr", "grad_norm")
    assert steps == [(row["step"], {n: row[n] for n in names}) for row in metrics(tmp_path)]
