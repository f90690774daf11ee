"""Loaded state keeps its precision."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.optim import Optimizer


def keep_precision(optimizer: Optimizer, saved: dict[str, Any]) -> None:
    """Undo what `load_state_dict` does to state of another precision than its parameter's.

    torch casts it, and a bfloat16 parameter's eigenvectors in float32 would not come back as they
    were.

    Args:
        optimizer: It has just loaded.
        saved: What it loaded.
    """
    own = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    numbers = [number for group in saved["param_groups"] for number in group["params"]]
    for number, parameter in zip(numbers, own, strict=True):
        for name, value in saved["state"].get(number, {}).items():
            there = optimizer.state[parameter].get(name)
            tensors = isinstance(value, Tensor) and isinstance(there, Tensor)
            if tensors and there.dtype != value.dtype:
                optimizer.state[parameter][name] = value.to(device=there.device, copy=True)
