"""What an optimizer is told now and then beside gradients: how curved the loss is."""

from __future__ import annotations

import functools
import hashlib
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.parallel import DistributedDataParallel

from windtunnel.errors import WindtunnelError
from windtunnel.models.family import Batch, Family
from windtunnel.optimizers import optimizer_method
from windtunnel.optimizers.update_rule import Signal
from windtunnel.scale import Run
from windtunnel.training.accumulate import add_gradients, weighted_parts
from windtunnel.training.batches import ArrayPair, to_device
from windtunnel.training.ranks import DATA, Ranks

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
    signal: Signal,
    run: Run,
    step: int,
    family: Family,
    model: nn.Module,
    arrays: ArrayPair,
    *,
    precision: AbstractContextManager[object],
    parts: int,
    ranks: Ranks,
) -> None:
    """Put the signal where gradients are.

    It is a function of the run and the step alone, however the batch is cut.

    Args:
        signal: What is asked for.
        run: The run.
        step: Its steps so far.
        family: The run's family.
        model: What a step calls; its gradients are replaced.
        arrays: A fresh batch, whole.
        precision: Autocast or nothing.
        parts: Passes of each process.
        ranks: The processes that train the run.
    """
    digest = hashlib.sha256(f"signal {run.init_seed} {run.data_seed} {step}".encode()).digest()
    seed = int.from_bytes(digest[:7], "big")
    model.zero_grad(set_to_none=True)
    if signal.kind == "sampled-labels":
        inputs, targets = arrays
        draws = np.random.default_rng(seed).random(targets.shape, dtype=np.float32)
        add_gradients(
            model,
            functools.partial(_loss_against_drawn_labels, family),
            (inputs, draws),
            device=ranks.device,
            precision=precision,
            parts=parts,
            rank=ranks.data_rank,
            ranks=ranks.data_count,
        )
    else:
        _hessian_vector(family, model, arrays, seed, precision, parts, ranks)


def _loss_against_drawn_labels(family: Any, model: nn.Module, batch: Batch) -> Tensor:
    """The mean loss against labels drawn from the model's own predictions.

    Args:
        family: It has logits.
        model: Its model.
        batch: Inputs and, of each prediction, where in [0, 1) its label lies when all labels
            stand side by side, each as wide as it is probable.
    """
    logits: Tensor = family.logits(model, batch).flatten(0, -2).float()
    bounds = logits.detach().softmax(-1).cumsum(-1)
    places = (1 - batch[1].reshape(-1, 1)) * bounds[:, -1:]  # none at 0: labels may have no width
    labels = torch.searchsorted(bounds, places).flatten()
    return nn.functional.cross_entropy(logits, labels)


def _hessian_vector(
    family: Family,
    model: nn.Module,
    arrays: ArrayPair,
    seed: int,
    precision: AbstractContextManager[object],
    parts: int,
    ranks: Ranks,
) -> None:
    """`v * (H v)` for normal v, of the mean loss; every process has a copy of the whole model."""
    if isinstance(model, DistributedDataParallel):
        model = model.module  # torch's DDP knows no second derivative
    parameters = [p for p in model.parameters() if p.requires_grad]
    generator = torch.Generator().manual_seed(seed)
    probes = [torch.randn(p.shape, generator=generator).to(p) for p in parameters]
    for part, share in weighted_parts(arrays, parts, ranks.data_rank, ranks.data_count):
        # Neither compiled code nor the faster kernels of attention can be differentiated twice.
        with precision, sdpa_kernel(SDPBackend.MATH), torch.compiler.set_stance("force_eager"):
            loss = family.loss(model, to_device(part, ranks.device)) * share
            gradients = torch.autograd.grad(loss, parameters, create_graph=True)
            along = sum((g * v).sum() for g, v in zip(gradients, probes, strict=True))
            products = torch.autograd.grad(along, parameters)  # type: ignore[arg-type]
        for parameter, probe, product in zip(parameters, probes, products, strict=True):
            found = probe * product
            parameter.grad = found if parameter.grad is None else parameter.grad + found
    if ranks.mesh is not None:
        for parameter in parameters:
            dist.all_reduce(parameter.grad, group=ranks.mesh[DATA].get_group())
