"""Several optimizers as one: each takes the parameter groups of one method."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from windtunnel.errors import WindtunnelError
from windtunnel.optimizers.classes.precision import keep_precision


class SplitOptimizer(Optimizer):
    """One optimizer to schedulers, checkpoints and loops; its parts share its groups and state.

    Args:
        param_groups: Each with a `method`; their order is kept.
        builders: By method, what makes the part that takes those groups.

    Raises:
        WindtunnelError: A group has no method, or one that no part takes.
    """

    def __init__(
        self,
        param_groups: list[dict[str, Any]],
        builders: Mapping[str, Callable[[list[dict[str, Any]]], Optimizer]],
    ) -> None:
        """Build the parts that have groups, then gather what they own."""
        for group in param_groups:
            _refuse_stranger(group, builders)
        self.parts = {
            method: build(own)
            for method, build in builders.items()
            if (own := _of(method, param_groups))
        }
        super().__init__(param_groups, {})
        self._share()

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:  # type: ignore[override]
        """Let every part take its step; the closure's loss, if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self.parts.values():
            part.step()
        return loss

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group, to the part of its method too.

        Raises:
            WindtunnelError: No part takes it.
        """
        _refuse_stranger(param_group, self.parts)
        part = self.parts[param_group["method"]]
        if not any(param_group is own for own in part.param_groups):
            part.add_param_group(param_group)
        super().add_param_group(param_group)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the state as it was saved, in the precision it was saved in."""
        super().load_state_dict(state_dict)
        keep_precision(self, state_dict)

    def __getstate__(self) -> dict[str, Any]:
        """What copies and pickles hold: torch's own, and the parts."""
        return {**super().__getstate__(), "parts": self.parts}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take groups and state from a copy, a pickle or `load_state_dict`, for the parts too."""
        super().__setstate__(state)
        self._share()

    def _share(self) -> None:
        for method, part in self.parts.items():
            part.param_groups = _of(method, self.param_groups)
            part.state = self.state


def _of(method: str, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [group for group in groups if group["method"] == method]


def _refuse_stranger(group: dict[str, Any], known: Mapping[str, object]) -> None:
    method = group.get("method")
    if method not in known:
        raise WindtunnelError(
            f"optimizer: a parameter group has method {method!r}, and the parts take "
            f"{', '.join(known)}; make the groups with windtunnel.param_groups from a plan for "
            "this optimizer, whose model has parameters of each"
        )
