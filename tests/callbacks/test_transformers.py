"""The Trainer, as installed, with a tiny model: rates, clipping, resumption, rows, verdict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("accelerate")
pytest.importorskip("transformers")

import transformers

import windtunnel as wt
from windtunnel.callbacks.planned import planned_optimizer, planned_schedule
from windtunnel.callbacks.transformers import WindtunnelCallback
from windtunnel.errors import WindtunnelError
from windtunnel.schedules import recipe_multiplier

from .conftest import RECIPE, follows, planned, symbols

STEPS = 10


class Model(nn.Module):
    """As the Trainer wants it: the loss comes with the logits."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.model = inner

    def forward(self, input_ids: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = self.model(input_ids)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        return {"loss": loss, "logits": logits}


class Rows(torch.utils.data.Dataset[dict[str, Tensor]]):
    def __init__(self, count: int) -> None:
        self.inputs = symbols(count)

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"input_ids": self.inputs[index], "labels": follows(self.inputs[index])}


class Recording(transformers.TrainerCallback):  # type: ignore[name-defined, misc]
    def __init__(self) -> None:
        self.rates: list[list[float]] = []
        self.norms: list[float] = []
        self.plan: Any = None

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        self.rates.append([group["lr"] for group in given["optimizer"].param_groups])
        self.norms.append(wt.clip_gradients_(given["model"], self.plan, 0.0).item())


def trainer(
    folder: Path, width: int, **changes: Any
) -> tuple[Any, WindtunnelCallback, Recording, Any]:
    inner, plan = planned(width)
    model = Model(inner)
    recipe = changes.pop("recipe", RECIPE)
    callback = WindtunnelCallback(plan, recipe, study=changes.pop("study", None))
    options: dict[str, Any] = {
        "max_steps": STEPS,
        "per_device_train_batch_size": 4,
        "max_grad_norm": 0,
        "report_to": [],
        "use_cpu": True,
        "eval_strategy": "steps",
        "eval_steps": 5,
        "save_steps": 5,
        "logging_steps": 1,
        "disable_tqdm": True,
        "seed": 0,
    } | changes
    recording = Recording()
    recording.plan = plan
    own = {"callbacks": [callback, recording]} if options.pop("own", False) else {}
    given = options.pop("optimizers", (None, None))
    made = transformers.Trainer(
        model,
        transformers.TrainingArguments(output_dir=str(folder), **options),
        train_dataset=Rows(64),
        eval_dataset=Rows(8),
        optimizers=given,
        **own,
    )
    if not own:
        callback.attach(made)
        made.add_callback(recording)
    return made, callback, recording, plan


@pytest.mark.parametrize("accumulation", [1, 2])
def test_every_group_has_its_rate_at_every_optimizer_step(
    tmp_path: Path, accumulation: int
) -> None:
    made, _, recording, plan = trainer(tmp_path, 32, gradient_accumulation_steps=accumulation)
    peaks = [group["lr"] for group in planned_optimizer(planned(32)[0], plan, RECIPE).param_groups]
    assert len(set(peaks)) > 1
    made.train()
    expected = [
        [peak * recipe_multiplier(RECIPE, step, STEPS) for peak in peaks] for step in range(STEPS)
    ]
    assert recording.rates == [pytest.approx(rates, rel=1e-12) for rates in expected]


def test_gradients_are_clipped_in_the_rules_gauge(tmp_path: Path) -> None:
    made, _, free, _ = trainer(tmp_path / "free", 32, recipe=RECIPE.replace(clip_norm=1e9))
    made.train()
    assert min(free.norms) > 0.02
    made, _, clipped, _ = trainer(tmp_path / "clipped", 32, recipe=RECIPE.replace(clip_norm=0.02))
    made.train()
    assert clipped.norms == pytest.approx([0.02] * STEPS, rel=1e-3)


def test_it_trains_as_a_loop_written_by_hand(tmp_path: Path) -> None:
    """The same parameters, once the order of the rows is the same: one batch is all of them."""
    made, _, _, plan = trainer(tmp_path, 32, per_device_train_batch_size=64, max_steps=STEPS)
    made.train()
    by_hand, _ = planned(32)
    optimizer = planned_optimizer(by_hand, plan, RECIPE)
    schedule = planned_schedule(optimizer, RECIPE, STEPS)
    inputs = symbols(64)
    for _ in range(STEPS):
        Model(by_hand)(inputs, follows(inputs))["loss"].backward()
        wt.clip_gradients_(by_hand, plan, RECIPE.clip_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    for left, right in zip(made.model.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-6)


def test_a_resumed_run_goes_on_with_the_schedule(tmp_path: Path) -> None:
    whole, _, rates, _ = trainer(tmp_path / "whole", 32)
    whole.train()
    made, _, again, _ = trainer(tmp_path / "again", 32)
    made.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-5"))
    assert again.rates == [pytest.approx(found) for found in rates.rates[5:]]
    for left, right in zip(whole.model.parameters(), made.model.parameters(), strict=True):
        torch.testing.assert_close(left, right)


def test_rows_and_the_verdict(tmp_path: Path, study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINDTUNNEL_RUN", str(tmp_path))
    made, callback, _, _ = trainer(tmp_path / "out", 32, study=study)
    made.train()
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [(row["step"], row["steps"]) for row in rows] == [(5, 10), (10, 10)]
    assert callback.verdict == (
        f"Reached loss {rows[-1]['loss']:.4f}: inside the forecast's 90 % range, 0.0000 to 9.0000."
    )


def test_a_trainer_that_would_train_otherwise_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WindtunnelError, match="give max_grad_norm=0"):
        trainer(tmp_path, 32, max_grad_norm=1.0)
    optimizer = torch.optim.SGD(planned(32)[0].parameters())
    with pytest.raises(WindtunnelError, match="leave `optimizers` out"):
        trainer(tmp_path, 32, optimizers=(optimizer, None))
    made, _, _, _ = trainer(tmp_path, 32, own=True)
    with pytest.raises(WindtunnelError, match=r"call callback.attach\(trainer\)"):
        made.train()


def test_an_accelerate_loop_keeps_the_groups_rates() -> None:
    import accelerate

    model, plan = planned(32)
    accelerator = accelerate.Accelerator(cpu=True)
    groups = wt.param_groups(model, plan, lr=0.02)
    optimizer = torch.optim.AdamW(groups)
    wt.guard_rates(optimizer)
    schedule = wt.lambda_lr(optimizer, "cosine", STEPS)
    peaks = [group["initial_lr"] for group in optimizer.param_groups]
    prepared, prepared_optimizer = accelerator.prepare(model, optimizer)
    inputs = symbols(4)
    for step in range(STEPS):
        rates = [group["lr"] for group in prepared_optimizer.param_groups]
        first = rates[0] / peaks[0]
        assert rates == pytest.approx([first * peak for peak in peaks]), step
        loss = nn.functional.cross_entropy(
            prepared(inputs).flatten(0, 1), follows(inputs).flatten()
        )
        accelerator.backward(loss)
        prepared_optimizer.step()
        schedule.step()
        prepared_optimizer.zero_grad()
    assert schedule.last_epoch == STEPS
