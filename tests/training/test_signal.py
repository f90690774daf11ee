"""What Sophia is told, beside closed forms: drawn labels, and the Hessian's diagonal."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from windtunnel.models import Family
from windtunnel.optimizers.update_rule import Signal
from windtunnel.scale import Run
from windtunnel.training.batches import ArrayPair
from windtunnel.training.ranks import Ranks
from windtunnel.training.signal import make_gradients_the_signal, signal_of

ROWS, PLACES = 400, 50
PROBABLE = torch.tensor([0.0, 0.5, 0.1, 0.0, 0.4])  # two labels can't be drawn


class Constant(nn.Module):
    """Predicts the same everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Parameter(PROBABLE.log())


class Predicting:
    """A family of it, and of a loss whose Hessian is diagonal."""

    steepness = torch.tensor([3.0, 1.0, -2.0, 0.5, 4.0])

    def logits(self, model: Constant, batch: Any) -> Tensor:
        return model.logits.expand(*batch[0].shape, -1)

    def loss(self, model: Constant, batch: Any) -> Tensor:
        """The rows' mean of a parabola, each of its own height."""
        heights = batch[0].float().mean(dim=1, keepdim=True)
        return (heights * 0.5 * self.steepness * model.logits**2).sum(dim=1).mean()


def signal_at(kind: str, run: Run, model: nn.Module, arrays: ArrayPair, parts: int = 1) -> Tensor:
    make_gradients_the_signal(
        Signal(cast(Any, kind), 10, lambda *_: {}),
        run,
        step=10,
        family=cast(Family, Predicting()),
        model=model,
        arrays=arrays,
        precision=nullcontext(),
        parts=parts,
        ranks=Ranks(torch.device("cpu")),
    )
    (parameter,) = model.parameters()
    assert parameter.grad is not None
    return parameter.grad.clone()


def a_batch() -> ArrayPair:
    inputs = np.random.default_rng(0).integers(1, 9, (ROWS, PLACES))
    return inputs, inputs.copy()


def test_labels_are_drawn_as_often_as_they_are_probable(run: Run) -> None:
    # The gradient of the mean loss is what is predicted less what was drawn.
    drawn = PROBABLE - signal_at("sampled-labels", run, Constant(), a_batch())
    assert drawn.sum().item() == pytest.approx(1.0, abs=1e-5)
    assert drawn[PROBABLE == 0].abs().max() < 1e-6
    error = (PROBABLE * (1 - PROBABLE) / (ROWS * PLACES)).sqrt()
    assert ((drawn - PROBABLE).abs() <= 4 * error + 1e-6).all()
    assert (drawn - PROBABLE).abs().max() > 1e-5  # drawn, not computed


def test_products_are_of_the_hessian(run: Run) -> None:
    model = Constant()
    nn.init.normal_(model.logits)
    arrays = a_batch()
    # v * (H v) of a diagonal H is v squared times its entries: one v, whatever the Hessian.
    squares = signal_at("hessian-vector", run, model, arrays) / (
        Predicting.steepness * float(arrays[0].mean())
    )
    assert (squares > 0).all()
    other = a_batch()[0] * 3, arrays[1]
    tripled = signal_at("hessian-vector", run, model, other)
    torch.testing.assert_close(tripled, 3 * signal_at("hessian-vector", run, model, arrays))
    next_run = run.replace(init_seed=run.init_seed + 1)
    again = [
        signal_at("hessian-vector", next_run.replace(init_seed=seed), model, arrays)
        for seed in range(400)
    ]
    mean = torch.stack(again).mean(dim=0) / float(arrays[0].mean())
    error = Predicting.steepness.abs() * (2 / 400) ** 0.5
    assert ((mean - Predicting.steepness).abs() <= 4 * error).all()


@pytest.mark.parametrize("kind", ["sampled-labels", "hessian-vector"])
def test_it_is_the_same_however_the_batch_is_cut(run: Run, kind: str) -> None:
    model = Constant()
    nn.init.normal_(model.logits)
    whole = signal_at(kind, run, model, a_batch())
    cut = signal_at(kind, run, model, a_batch(), parts=8)
    torch.testing.assert_close(cut, whole, rtol=1e-5, atol=1e-6)


def test_the_optimizers_ask_for_it(run: Run, family: Family) -> None:
    kinds = {
        name: getattr(signal_of(run.replace(optimizer=name), family), "kind", None)
        for name in ("adamw", "sophia-g", "sophia-h")
    }
    assert kinds == {"adamw": None, "sophia-g": "sampled-labels", "sophia-h": "hessian-vector"}
