"""The torch optimizer around an update rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim import Optimizer

from windtunnel.errors import WindtunnelError
from windtunnel.optimizers.classes.compiled import compiler_found
from windtunnel.optimizers.classes.elementwise import Due, update_all
from windtunnel.optimizers.classes.precision import keep_precision
from windtunnel.optimizers.update_rule import At, Settings, UpdateRule
from windtunnel.shards import like_shard, local, whole, write

# Parameters from which compiling, 5 to 30 seconds, is repaid within a thousand steps or so.
WORTH_COMPILING = 10_000_000
_BESIDE = ("lr", "weight_decay")  # what every group holds, beside the rule's constants


class RuleOptimizer(Optimizer):
    """Any update rule over parameter groups, on one device or sharded by FSDP2.

    State is torch's: tensors by name, and `step`. Sharded parameters are updated where they lie
    if the rule is elementwise; for other rules each process gathers one parameter at a time, with
    its gradient and state, updates all of it and keeps its own part, so that the numbers are those
    of one process.

    Args:
        params: Parameters, or groups of them; a group may hold any of the settings.
        rule: How one parameter is updated.
        lr: Learning rate.
        weight_decay: Coupled with the rate, as torch's AdamW has it.
        members: Size of the population axis that leads every parameter; None for no population.
            Settings may then be tensors of that size. Parameters are float32 or float64: a
            decay of .999 is 1 in bfloat16.
        compiled: Whether large parameters on a CPU are updated by compiled code, where the rule is
            elementwise and there is no population; it rounds otherwise in the last digit. None
            for: where there is a C++ compiler, and 10 million parameters.
        settings: The rule's constants that shall be others than its defaults.

    Raises:
        WindtunnelError: A setting is none of the rule's.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        rule: UpdateRule,
        *,
        lr: float | Tensor = 1e-3,
        weight_decay: float | Tensor = 0.0,
        members: int | None = None,
        compiled: bool | None = None,
        **settings: float | Tensor,
    ) -> None:
        """Keep the defaults; state is made at the first step."""
        for name in settings:
            if name not in rule.constants:
                raise WindtunnelError(
                    f"optimizer: no setting '{name}'; this one has {', '.join(rule.constants)}"
                )
        self.rule, self.members, self.compiled = rule, members, compiled
        defaults = {"lr": lr, "weight_decay": weight_decay, **rule.constants, **settings}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:  # type: ignore[override]
        """Update every parameter that has a gradient; the closure's loss, if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        due = []
        for group, parameter, number in self._numbered():
            if parameter.grad is not None:
                due += self._step(parameter, parameter.grad, group, number)
        update_all(self.rule, due, compiled=self._compiles())
        return loss

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group.

        Raises:
            WindtunnelError: The rule can't update a parameter of that shape, or a population's is
                of low precision.
        """
        super().add_param_group(param_group)
        for parameter in self.param_groups[-1]["params"]:
            if self.members is not None and parameter.dtype.itemsize < 4:
                raise WindtunnelError(
                    f"optimizer: a population's parameters have to be float32, not "
                    f"{parameter.dtype}; train in bfloat16 by autocast"
                )
            self.rule.check(tuple(parameter.shape[self.members is not None :]))

    @torch.no_grad()
    def observe(self) -> None:
        """Take the signal that the rule asks for from the parameters' gradients.

        Raises:
            WindtunnelError: The rule asks for none.
        """
        if self.rule.signal is None:
            raise WindtunnelError("optimizer: this one takes no signal beside gradients")
        for group, parameter, _ in self._numbered():
            state = self.state[parameter]
            if parameter.grad is None or not state:
                continue
            settings = self._settings(group, parameter)
            held = {name: local(value) for name, value in state.items() if name != "step"}
            observed = self.rule.signal.observe(held, local(parameter.grad), settings)
            for name, value in observed.items():
                held[name].copy_(value)

    def _numbered(self) -> Iterable[tuple[dict[str, Any], Tensor, int]]:
        number = 0
        for group in self.param_groups:
            for parameter in group["params"]:
                yield group, parameter, number
                number += 1

    def _compiles(self) -> bool:
        if self.compiled is not None:
            return self.compiled
        size = sum(parameter.numel() for _, parameter, _ in self._numbered())
        return self.rule.elementwise and size >= WORTH_COMPILING and compiler_found()

    def _step(
        self,
        parameter: Tensor,
        gradient: Tensor,
        group: dict[str, Any],
        number: int,
    ) -> list[Due]:
        """Update a parameter now, or say how it is due to be with the others."""
        state = self.state[parameter]
        settings = self._settings(group, parameter)
        own = parameter.ndim - (self.members is not None)
        axes = tuple(range(-own, 0))
        view = local if self.rule.elementwise else whole
        if not state:
            # On the CPU wherever the parameter is: reading it doesn't wait for a GPU.
            state["step"] = torch.tensor(0.0)
            begun = self.rule.begin(view(parameter), settings, At(0, axes, number))
            for name, value in begun.items():
                # What has the parameter's shape is sharded as it is.
                alike = value.shape == view(parameter).shape
                state[name] = like_shard(value, parameter) if alike else value
        state["step"] += 1
        held = {name: view(value) for name, value in state.items() if name != "step"}
        at = At(int(state["step"].item()), axes, number)
        if self.rule.elementwise:
            return [Due(id(group), local(parameter), local(gradient), held, settings, at)]
        updated, after = self.rule.update(view(parameter), view(gradient), held, settings, at)
        for target, value in [(parameter, updated), *((state[n], v) for n, v in after.items())]:
            write(target, value)
        return []

    def _settings(self, group: dict[str, Any], parameter: Tensor) -> Settings:
        names = (*_BESIDE, *self.rule.constants)
        if self.members is None:
            return {name: group[name] for name in names}
        shape = (self.members, *(1 for _ in parameter.shape[1:]))
        return {
            # In the parameter's precision, or arithmetic would end in the wider of the two.
            name: value.reshape(shape).to(parameter)
            if isinstance(value, Tensor) and value.ndim
            else value
            for name in names
            for value in (cast(Any, group[name]),)
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the state as it was saved, in the precision it was saved in."""
        super().load_state_dict(state_dict)
        keep_precision(self, state_dict)

    def __getstate__(self) -> dict[str, Any]:
        """What copies and pickles hold: torch's own, and what was given beside settings."""
        own = {"rule": self.rule, "members": self.members, "compiled": self.compiled}
        return {**super().__getstate__(), **own}
