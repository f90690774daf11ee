"""Lightning's Trainer, as installed, with a tiny module."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("lightning")

import lightning.pytorch as lightning

import windtunnel as wt
from windtunnel.callbacks.lightning import WindtunnelCallback
from windtunnel.callbacks.planned import planned_optimizer
from windtunnel.errors import WindtunnelError
from windtunnel.schedules import recipe_multiplier

from .conftest import RECIPE, follows, planned, symbols

STEPS = 10


class Module(lightning.LightningModule):  # type: ignore[name-defined, misc]
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.model = inner
        self.rates: list[list[float]] = []
        self.norms: list[float] = []
        self.plan: Any = None

    def _loss(self, inputs: Tensor) -> Tensor:
        return nn.functional.cross_entropy(
            self.model(inputs).flatten(0, 1), follows(inputs).flatten()
        )

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        return self._loss(batch[0])

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        self.log("val_loss", self._loss(batch[0]))

    def configure_optimizers(self) -> None:
        raise AssertionError("the callback's stand in for these")

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        self.rates.append([group["lr"] for group in optimizer.param_groups])
        if self.plan is not None:
            self.norms.append(wt.clip_gradients_(self.model, self.plan, 0.0).item())


def loader(count: int) -> Any:
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(symbols(count)), batch_size=4)


def fitted(folder: Path, callback: WindtunnelCallback, module: Any, **options: Any) -> Any:
    path = options.pop("ckpt_path", None)
    trainer = lightning.Trainer(
        **{
            "max_steps": STEPS,
            "accelerator": "cpu",
            "default_root_dir": folder,
            "logger": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "enable_checkpointing": False,
            "callbacks": [callback],
            "val_check_interval": 1.0,
            **options,
        }
    )
    trainer.fit(module, loader(20), loader(8), ckpt_path=path)
    return trainer


def expected_rates(width: int) -> list[list[float]]:
    model, plan = planned(width)
    groups = planned_optimizer(model, plan, RECIPE).param_groups
    return [
        [group["lr"] * recipe_multiplier(RECIPE, step, STEPS) for group in groups]
        for step in range(STEPS)
    ]


@pytest.mark.parametrize("accumulation", [1, 2])
def test_every_group_has_its_rate_at_every_optimizer_step(
    tmp_path: Path, accumulation: int
) -> None:
    model, plan = planned(32)
    module = Module(model)
    fitted(tmp_path, WindtunnelCallback(plan, RECIPE), module, accumulate_grad_batches=accumulation)
    rates = expected_rates(32)
    assert len(set(rates[0])) > 1
    assert module.rates == [pytest.approx(found, rel=1e-12) for found in rates]


def test_gradients_are_clipped_in_the_rules_gauge(tmp_path: Path) -> None:
    found = []
    for norm in (1e9, 0.02):
        model, plan = planned(32)
        module = Module(model)
        module.plan = plan
        fitted(tmp_path, WindtunnelCallback(plan, RECIPE.replace(clip_norm=norm)), module)
        found.append(module.norms)
    assert min(found[0]) > 0.02
    assert found[1] == pytest.approx([0.02] * STEPS, rel=1e-3)


def test_a_resumed_run_goes_on_with_the_schedule(tmp_path: Path) -> None:
    model, plan = planned(32)
    whole = Module(model)
    trainer = fitted(tmp_path, WindtunnelCallback(plan, RECIPE), whole)
    half = Module(planned(32)[0])
    path = tmp_path / "half.ckpt"

    class SaveAtFive(lightning.Callback):  # type: ignore[name-defined, misc]
        def on_train_batch_end(self, trainer: Any, *rest: Any) -> None:
            if trainer.global_step == 5:
                trainer.save_checkpoint(path)

    fitted(
        tmp_path,
        WindtunnelCallback(plan, RECIPE),
        half,
        callbacks=[WindtunnelCallback(plan, RECIPE), SaveAtFive()],
    )
    again = Module(planned(32)[0])
    fitted(tmp_path, WindtunnelCallback(plan, RECIPE), again, ckpt_path=str(path))
    assert again.rates == [pytest.approx(found) for found in whole.rates[5:]]
    assert trainer.global_step == STEPS


def test_rows_and_the_verdict(tmp_path: Path, study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINDTUNNEL_RUN", str(tmp_path))
    model, plan = planned(32)
    callback = WindtunnelCallback(plan, RECIPE, study=study)
    fitted(tmp_path, callback, Module(model))
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [(row["step"], row["steps"]) for row in rows] == [(5, 10), (10, 10)]
    assert callback.verdict == (
        f"Reached loss {rows[-1]['loss']:.4f}: inside the forecast's 90 % range, 0.0000 to 9.0000."
    )


def test_what_would_train_otherwise_is_refused(tmp_path: Path) -> None:
    model, plan = planned(32)
    with pytest.raises(WindtunnelError, match="leave it out"):
        fitted(tmp_path, WindtunnelCallback(plan, RECIPE), Module(model), gradient_clip_val=1.0)
    with pytest.raises(WindtunnelError, match="no model called 'net'"):
        fitted(tmp_path, WindtunnelCallback(plan, RECIPE, model="net"), Module(model))
