"""What an optimizer is told now and then beside gradients: how curved the loss is."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from windtunnel.errors import WindtunnelError
from windtunnel.models.family import Batch, Family
from windtunnel.optimizers import optimizer_method
from windtunnel.optimizers.update_rule import Signal
from windtunnel.scale import Run

# Batches for a signal are those of another seed than any run's own.
_SEED_APART = 2**31


def signal_of(run: Run, family: Family) -> Signal | None:
    """The signal that the run's optimizer asks for.

    Raises:
        WindtunnelError: It asks for one that the family can't give.
    """
    rule = optimizer_method(run.optimizer).rule
    signal = None if rule is None else rule.signal
    if signal is not None and signal.kind == "sampled-labels" and not hasattr(family, "logits"):
        raise WindtunnelError(
            f"optimizer: {run.optimizer} draws labels from the model's own predictions, and the "
            f"family {family.name} gives no logits; use sophia-h, or another optimizer"
        )
    return signal


def signal_seed(run: Run) -> int:
    """The data seed of the batches that signals are made of."""
    return _SEED_APART + run.data_seed


def make_gradients_the_signal(
    signal: Signal, run: Run, step: int, family: Family, model: nn.Module, batch: Batch
) -> None:
    """Put the signal where gradients are; a function of the run and the step alone.

    Args:
        signal: What is asked for.
        run: The run.
        step: Its steps so far.
        family: The run's family.
        model: The model; its gradients are replaced.
        batch: A fresh one.
    """
    digest = hashlib.sha256(f"signal {run.init_seed} {run.data_seed} {step}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    model.zero_grad(set_to_none=True)
    if signal.kind == "sampled-labels":
        _sampled_labels(family, model, batch, generator)
    else:
        _hessian_vector(family, model, batch, generator)


def _sampled_labels(
    family: Any, model: nn.Module, batch: Batch, generator: torch.Generator
) -> None:
    """The gradient of the mean loss against labels drawn from the model's own predictions."""
    logits: Tensor = family.logits(model, batch).flatten(0, -2).float()
    probabilities = logits.detach().softmax(-1).cpu()
    labels = torch.multinomial(probabilities, 1, generator=generator).flatten()
    loss = nn.functional.cross_entropy(logits, labels.to(logits.device))
    loss.backward()  # type: ignore[no-untyped-call]


def _hessian_vector(
    family: Family, model: nn.Module, batch: Batch, generator: torch.Generator
) -> None:
    """`v * (H v)` for normal v, of the mean loss."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    with sdpa_kernel(SDPBackend.MATH):  # the others can't be differentiated twice
        loss = family.loss(model, batch)
        gradients = torch.autograd.grad(loss, parameters, create_graph=True)
        probes = [torch.randn(p.shape, generator=generator).to(p) for p in parameters]
        along = sum((g * v).sum() for g, v in zip(gradients, probes, strict=True))
        products = torch.autograd.grad(along, parameters)  # type: ignore[arg-type]
    for parameter, probe, product in zip(parameters, probes, products, strict=True):
        parameter.grad = probe * product
