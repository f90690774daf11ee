"""The same model and rule in `mup` 1.0.0, in `unit-scaling` 0.3.5, and here: equal losses?"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from oracle_models import MLP, TOKENS, Transformer, unit_scaling_gpt
from torch import Tensor, nn

from windtunnel.models.gpt import GPTFamily
from windtunnel.parametrization.groups import param_groups
from windtunnel.parametrization.plan import plan
from windtunnel.scale import Scale

STEPS, EPS = 20, 1e-8


def batch() -> tuple[Tensor, Tensor]:
    """8 sequences of 16 random tokens and what follows each: to be learned by heart."""
    drawn = torch.randint(TOKENS, (8, 17), generator=torch.Generator().manual_seed(0))
    return drawn[:, :-1], drawn[:, 1:]


def cross_entropy(model: nn.Module, tokens: tuple[Tensor, Tensor]) -> Tensor:
    """Mean over all tokens of a batch."""
    return F.cross_entropy(model(tokens[0]).flatten(0, 1), tokens[1].flatten())


def losses(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Callable[[nn.Module, tuple[Tensor, Tensor]], Tensor],
) -> list[float]:
    """The loss of every training step."""
    found = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        value = loss(model, batch())
        torch.autograd.backward(value)
        optimizer.step()
        found.append(float(value.detach()))
    return found


def largest_difference(ours: list[float], theirs: list[float]) -> float:
    """Relative, over all steps."""
    return max(abs(a - b) / abs(b) for a, b in zip(ours, theirs, strict=True))


def against_mup(
    mup: ModuleType,
    kind: type[MLP] | type[Transformer],
    optimizer: str,
    dtype: torch.dtype = torch.float64,
    *,
    same_epsilon: bool = True,
    rule: str = "mup",
) -> dict[str, Any]:
    """Train from the same function under mup and under our rule `mup`, base width 32, to 128.

    mup multiplies in its readout, we move that into the weights: ours start at theirs over 4.
    mup leaves Adam's epsilon alone and we divide it by the width ratio, as gradients are.

    Args:
        mup: The package.
        kind: The model.
        optimizer: `adamw` or `sgd`.
        dtype: Of parameters and activations.
        same_epsilon: Whether mup is given our epsilons, or all have the same.
        rule: Ours.

    Returns:
        The largest relative difference of the losses, and by how much the loss fell.
    """
    base, target, m = Scale(32, 2), Scale(128, 2), 4.0
    torch.manual_seed(0)
    theirs = kind(target.width, 2, mup.MuReadout)
    mup.set_base_shapes(
        theirs, kind(base.width, 2, mup.MuReadout), delta=kind(64, 2, mup.MuReadout)
    )
    ours = kind(target.width, 2)
    ours.load_state_dict(theirs.state_dict())
    with torch.no_grad():
        ours.readout.weight.div_(m)
    theirs, ours = theirs.to(dtype), ours.to(dtype)

    planned = plan(lambda width, depth: kind(width, depth), base, target, rule, optimizer)
    if optimizer == "adamw":
        lr, decay = (0.03 if kind is MLP else 0.003), 0.1
        inside = [p for p in theirs.parameters() if p is not theirs.readout.bias]
        eps = EPS / m if same_epsilon else EPS
        mu = mup.MuAdamW(
            [{"params": inside, "eps": eps}, {"params": [theirs.readout.bias], "eps": EPS}],
            lr=lr,
            weight_decay=decay,
        )
        groups = param_groups(ours, planned, lr=lr, weight_decay=decay, eps=EPS)
        if not same_epsilon:
            groups = [{**group, "eps": EPS} for group in groups]
        own: torch.optim.Optimizer = torch.optim.AdamW(groups)
    else:
        lr, decay = (0.5 if kind is MLP else 0.05), 0.01
        mu = mup.MuSGD(theirs.parameters(), lr=lr, momentum=0.9, weight_decay=decay)
        own = torch.optim.SGD(
            param_groups(ours, planned, lr=lr, weight_decay=decay, eps=None), momentum=0.9
        )
    found, expected = losses(ours, own, cross_entropy), losses(theirs, mu, cross_entropy)
    return {
        "peer": "mup 1.0.0",
        "model": kind.__name__,
        "optimizer": optimizer,
        "dtype": str(dtype).removeprefix("torch."),
        "difference": largest_difference(found, expected),
        "first": expected[0],
        "last": expected[-1],
    }


def against_unit_scaling(
    unit_scaling: ModuleType,
    base: Scale,
    target: Scale,
    dtype: torch.dtype = torch.float64,
    rule: str = "u-mup",
    **options: Any,
) -> dict[str, Any]:
    """Train the same weights with the package's modules and AdamW, and with ours.

    The package's rates have no base: each is the rate times a power of the layer's own size. Here
    they are taken at base and carried to the target by our plan. Decay is independent of the rate
    in both; ours leaves out the depth, so it is on where depth doesn't change.

    Args:
        unit_scaling: The package.
        base: Where the package's rates are read.
        target: What is trained.
        dtype: Of parameters and activations.
        rule: Ours.
        options: The family's, alphas say.

    Returns:
        The largest relative differences of first outputs, of each parameter's first gradient, and
        of losses.
    """
    family = GPTFamily(vocabulary_size=TOKENS, head_size=8, unit_scaled=True, **options)
    lr, decay = 0.1, 2**-10 if base.depth == target.depth else 0.0
    torch.manual_seed(0)
    ours = family.build(target).to(dtype)
    theirs = unit_scaling_gpt(unit_scaling, family, target).to(dtype)
    theirs.load_state_dict(ours.state_dict())

    def their_loss(model: nn.Module, tokens: tuple[Tensor, Tensor]) -> Tensor:
        loss: Tensor = unit_scaling.functional.cross_entropy(
            model(tokens[0]).flatten(0, 1), tokens[1].flatten(), mult=family.alpha_loss_softmax
        )
        return loss

    inputs = batch()[0]
    logits = theirs(inputs).detach() * family.alpha_loss_softmax
    outputs = float((ours(inputs) - logits).detach().abs().max() / logits.abs().max())
    names = [name for name, _ in ours.named_parameters()]
    both = [
        torch.autograd.grad(loss(model, batch()), [model.get_parameter(name) for name in names])
        for model, loss in ((ours, family.loss), (theirs, their_loss))
    ]
    gradients = max(float((a - b).norm() / b.norm()) for a, b in zip(*both, strict=True))

    planned = plan(family, base, target, rule, "adamw")
    at_base = unit_scaling_gpt(unit_scaling, family, base)
    groups = []
    for name, parameter in ours.named_parameters():
        entry = planned[name]
        rate = lr * unit_scaling.optim.lr_scale_func_adam(at_base.get_parameter(entry.base_name))
        groups.append(
            {
                "params": [parameter],
                "lr": rate * entry.lr,
                "weight_decay": decay / rate * entry.weight_decay,
                "eps": EPS * entry.eps,
            }
        )
    found = losses(ours, torch.optim.AdamW(groups), family.loss)
    their_optimizer = unit_scaling.optim.AdamW(
        theirs.parameters(), lr=lr, weight_decay=decay, eps=EPS
    )
    expected = losses(theirs, their_optimizer, their_loss)
    assert all(math.isfinite(loss) for loss in expected)
    return {
        "peer": "unit-scaling 0.3.5",
        "model": f"gpt ({base.width}, {base.depth}) to ({target.width}, {target.depth})"
        + "".join(f", {key} {value}" for key, value in options.items()),
        "optimizer": "adamw",
        "dtype": str(dtype).removeprefix("torch."),
        "difference": largest_difference(found, expected),
        "outputs": outputs,
        "gradients": gradients,
        "first": expected[0],
        "last": expected[-1],
    }
