"""What a model's modules put out, and how that changes, over a few optimizer steps."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from windtunnel.models.family import Family
from windtunnel.optimizers import optimizer_method
from windtunnel.parametrization.apply import apply_
from windtunnel.parametrization.groups import param_groups
from windtunnel.parametrization.names import below
from windtunnel.parametrization.plan import Plan
from windtunnel.parametrization.slopes import Key
from windtunnel.scale import Recipe, Role

OUTPUT = "output"  # the whole model's output


def record(
    family: Family, plan: Plan, *, batch: Any, lr: float, seed: int, steps: int
) -> dict[Key, float]:
    """Train for a few steps on one batch and measure every module's output before each.

    Measured are modules that hold parameters themselves, the declared residual blocks, and the
    whole model's output. Weight decay and clipping are off, so that updates are the optimizer's.

    A module whose multiplier lies elsewhere in the rule's own gauge (a residual branch's after it,
    a tied head's in the final norm) is measured without it.

    Returns:
        Root mean squares: of the output ("activation", from step 0) and of its difference from
        step 0 ("update", from step 1). Zeros are left out.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = family.build(plan.target)
    apply_(model, plan, family=family, init_seed=seed)
    optimizer = optimizer_method(plan.optimizer).build(
        param_groups(model, plan, lr=lr), Recipe(lr=lr, batch_units=1, weight_decay=0.0)
    )
    outputs = _watch(model, family.declarations.blocks)
    gauge = _gauges(plan)
    first: dict[str, Tensor] = {}
    measured: dict[Key, float] = {}
    for step in range(steps + 1):
        outputs.clear()
        loss = family.loss(model, batch)
        for name, output in outputs.items():
            output = output / gauge.get(name, 1.0)
            measured[name, "activation", step] = _rms(output)
            if step == 0:
                first[name] = output
            elif name in first and first[name].shape == output.shape:
                measured[name, "update", step] = _rms(output - first[name])
        if step < steps:
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
    return {key: value for key, value in measured.items() if value > 0.0}


def _gauges(plan: Plan) -> dict[str, float]:
    """Multipliers in modules' weights that the rule has elsewhere; a readout's is its own."""
    moved = (entry for entry in plan if entry.gauge != 1.0 and entry.role is not Role.OUTPUT)
    return {entry.name.rpartition(".")[0]: entry.gauge for entry in moved}


def _watch(model: nn.Module, blocks: str | None) -> dict[str, Tensor]:
    """A dictionary that every forward pass fills with the modules' outputs."""
    pattern = None if blocks is None else below(blocks)
    outputs: dict[str, Tensor] = {}
    for name, module in model.named_modules():
        if not name or _is_watched(name, module, pattern):
            module.register_forward_hook(_keep(outputs, name or OUTPUT))
    return outputs


def _is_watched(name: str, module: nn.Module, blocks: re.Pattern[str] | None) -> bool:
    holds_parameters = next(module.parameters(recurse=False), None) is not None
    return holds_parameters or (blocks is not None and blocks.fullmatch(name) is not None)


def _keep(outputs: dict[str, Tensor], name: str) -> Callable[[nn.Module, Any, Any], None]:
    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        tensor = _tensor(output)
        if tensor is not None and tensor.numel() > 1:
            outputs[name] = tensor.detach().clone()

    return hook


def _tensor(output: Any) -> Tensor | None:
    """The tensor that matters in a module's output: itself, its logits, or its first tensor."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, Mapping):
        output = [output["logits"]] if "logits" in output else list(output.values())
    if isinstance(output, Sequence):
        return next((item for item in output if isinstance(item, Tensor)), None)
    return None


def _rms(tensor: Tensor) -> float:
    return float(tensor.double().square().mean().sqrt())
