"""Many models of one shape as one: their parameters stacked, their losses side by side."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from windtunnel.errors import WindtunnelError
from windtunnel.models.family import Batch, Family
from windtunnel.scale import Scale

# By the names that they have in one model; all have the members as their first axis.
StackedParameters = Mapping[str, Tensor]


class Stacked(Protocol):
    """Members of one family at one scale, all of which see the same batch."""

    def losses(self, parameters: StackedParameters, batch: Batch) -> Tensor:
        """`Family.loss` of each member, shape (members,).

        No member's loss depends on another's parameters, so the gradient of their sum holds each
        member's own.
        """

    def sequence_losses(self, parameters: StackedParameters, batch: Batch) -> Tensor:
        """`Family.sequence_losses` of each member, shape (members, batch)."""


def stacked(family: Family, scale: Scale) -> Stacked:
    """The family's own stacked form if it has one, else its model under `torch.vmap`.

    Args:
        family: Any family. Its own form is what its method `stacked(scale)` returns.
        scale: The scale of all members.

    Raises:
        WindtunnelError: The model holds buffers, which members would share.
    """
    own = getattr(family, "stacked", None)
    if own is not None:
        form: Stacked = own(scale)
        return form
    return VmapStacked(family, scale)


class VmapStacked:
    """Any family's model under `torch.vmap`, as long as vmap has a rule for all it does.

    Where there is none, vmap takes the members one by one, silently but for a warning. That is
    slower than no stack at all, so the first call refuses it by name.
    """

    def __init__(self, family: Family, scale: Scale) -> None:
        """Build a skeleton without storage."""
        self._family = family
        with torch.device("meta"):
            model = family.build(scale)
        buffer = next((name for name, _ in model.named_buffers()), None)
        if buffer is not None:
            raise WindtunnelError(
                f"population: {buffer} is a buffer, and members of a population would share it; "
                "train these runs one at a time"
            )
        self._losses = _Measured(model, family.loss)
        self._sequence_losses = _Measured(model, family.sequence_losses)
        self._proven: set[_Measured] = set()

    def losses(self, parameters: StackedParameters, batch: Batch) -> Tensor:
        """See `Stacked`."""
        return self._mapped(self._losses, parameters, batch)

    def sequence_losses(self, parameters: StackedParameters, batch: Batch) -> Tensor:
        """See `Stacked`."""
        return self._mapped(self._sequence_losses, parameters, batch)

    def _mapped(self, measured: _Measured, parameters: StackedParameters, batch: Batch) -> Tensor:
        def one(values: dict[str, Tensor]) -> Tensor:
            result: Tensor = functional_call(measured, values, (batch,))
            return result

        values = {f"model.{name}": value for name, value in parameters.items()}
        if measured in self._proven:
            return vmap(one)(values)
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*performance drop.*")
            before = torch.is_warn_always_enabled()
            torch.set_warn_always(True)  # else torch tells of each operation once a process
            try:
                result = vmap(one)(values)
            except (UserWarning, RuntimeError) as error:
                raise WindtunnelError(
                    f"population: family '{self._family.name}' can't be stacked: "
                    f"{str(error).splitlines()[0]} Train these runs one at a time."
                ) from error
            finally:
                torch.set_warn_always(before)
        self._proven.add(measured)
        return result


class _Measured(nn.Module):
    """A model whose forward pass is its loss: what `functional_call` can call."""

    def __init__(self, model: nn.Module, measure: Any) -> None:
        super().__init__()
        self.model = model
        self.measure = measure

    def forward(self, batch: Batch) -> Tensor:
        result: Tensor = self.measure(self.model, batch)
        return result
