"""Whether a multiplier can be moved into a norm's gain."""

from __future__ import annotations

import torch
from torch import nn

from windtunnel.errors import WindtunnelError
from windtunnel.models.family import Declarations
from windtunnel.parametrization.names import declares, named_parameters
from windtunnel.parametrization.provenance import Provenance


@torch.no_grad()
def refuse_hidden_gains(model: nn.Module, declarations: Declarations) -> None:
    """Refuse declared modules whose parameters can't take a multiplier of their own.

    Some norms multiply by `1 + weight` (Gemma's, Qwen3-Next's): a multiplier that is moved into
    such a weight, which starts at zero, would be lost without a sign. And one matrix for queries,
    keys and values would scale all three.

    Args:
        model: The model on the meta device: each declared norm is called there, on one vector.
        declarations: Whose tied head's gain, branch outputs and queries are looked at.

    Raises:
        WindtunnelError: There is such a module; the message names its parameter.
    """
    gain = declarations.tied_head_gain
    patterns = [*declarations.branch_outputs, *declarations.queries]
    patterns += [] if gain is None else [gain]
    for named in named_parameters(model):
        name, holder = named.uses[0]
        if isinstance(holder, nn.MultiheadAttention):
            _refuse_fused(name, declarations)
        elif (
            named.parameter.ndim == 1
            and not isinstance(holder, nn.Linear)
            and any(declares(pattern, name) for pattern in patterns)
        ):
            _refuse_unless_proportional(name, named.parameter, holder)


def _refuse_fused(name: str, declarations: Declarations) -> None:
    if any(declares(pattern, name) for pattern in declarations.queries):
        raise WindtunnelError(
            f"{name}: queries, keys and values in one matrix, so the queries that "
            "Declarations(queries=...) names can't be scaled alone; give them a matrix of their "
            "own, or keep the head's size fixed"
        )


def _refuse_unless_proportional(name: str, parameter: nn.Parameter, norm: nn.Module) -> None:
    watching = Provenance({p: key for key, p in norm.named_parameters(recurse=False)})
    vector = torch.empty(1, parameter.numel(), device="meta", dtype=parameter.dtype)
    try:
        with watching:
            output = norm(vector)
    except (TypeError, RuntimeError):
        return  # it takes other arguments than a norm does
    if isinstance(output, torch.Tensor) and not watching.value(output).linear_in:
        raise WindtunnelError(
            f"{name}: {type(norm).__name__} does not multiply by this gain itself (by 1 + weight, "
            "say), so a multiplier can't go into it; untie the head, use a norm with a plain gain, "
            "or declare Declarations(multipliers=...) if the model applies the multiplier"
        )
