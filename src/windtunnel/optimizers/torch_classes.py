"""What torch's own optimizer classes do to sizes, recognised by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from windtunnel.errors import WindtunnelError
from windtunnel.optimizers.adafactor import with_pairs
from windtunnel.optimizers.method import OptimizerMethod
from windtunnel.optimizers.muon import original_factor
from windtunnel.scale import Geometry, Recipe

if TYPE_CHECKING:
    from torch.optim import Optimizer

_GEOMETRIES = {
    "SGD": Geometry.SGD,
    # A mean of gradients over the root of a mean of their squares: entries of order one, whatever
    # the gradients' size. Adamax divides by their running maximum instead, RMSprop leaves out the
    # first mean, SparseAdam the entries without a gradient.
    "Adam": Geometry.SIGN,
    "AdamW": Geometry.SIGN,
    "Adamax": Geometry.SIGN,
    "NAdam": Geometry.SIGN,
    "RMSprop": Geometry.SIGN,
    "SparseAdam": Geometry.SIGN,
    # Its first five or so steps (at beta2 = 0.999) are not divided; with a rate made for entries
    # of order one they move next to nothing.
    "RAdam": Geometry.SIGN,
    # Divides by the root of the sum of squares: entries fall as 1/sqrt(step), at all sizes alike.
    "Adagrad": Geometry.SIGN,
    # Multiplies the rate by the parameter's own root mean square, vectors' too.
    "Adafactor": Geometry.RELATIVE,
    "Muon": Geometry.ORTHOGONAL,
}
# Why a rate scaled by a plan would mean nothing.
_REFUSED = {
    "Rprop": "it forgets its learning rate after the first step and finds its own",
    "Adadelta": "its steps follow from its epsilon and its past steps, not from a rate",
    "LBFGS": "its steps follow from a line search, and it takes one group of parameters",
    "ASGD": "it lowers its rate by a schedule that depends on the rate",
}


def torch_class(optimizer: type) -> OptimizerMethod:
    """The method of a class of `torch.optim`, or of a class derived from one.

    A geometry is known for updates, not for decay that is added to the gradient before it is
    divided: Adam, NAdam and others do so by default. Use AdamW, or their decoupled decay.
    Muon's own factor is that of torch's default, `adjust_lr_fn="original"`.

    Raises:
        WindtunnelError: The geometry isn't known, or there is none.
    """
    for ancestor in optimizer.__mro__:
        if not ancestor.__module__.startswith("torch.optim"):
            continue
        if ancestor.__name__ in _REFUSED:
            raise WindtunnelError(
                f"optimizer: no rule can set {optimizer.__name__}'s rates: "
                f"{_REFUSED[ancestor.__name__]}; use another optimizer"
            )
        if ancestor.__name__ in _GEOMETRIES:
            return OptimizerMethod(
                name=optimizer.__name__,
                geometry=_GEOMETRIES[ancestor.__name__],
                from_torch=_builder(optimizer),
                own_factor=original_factor if ancestor.__name__ == "Muon" else None,
            )
    raise WindtunnelError(
        f"optimizer: what updates of {optimizer.__module__}.{optimizer.__name__} do to sizes is "
        "not known; pass its geometry instead of the class, such as Geometry.SIGN for updates "
        f"with entries of order one ({', '.join(Geometry)})"
    )


def _builder(optimizer: type) -> Callable[[list[dict[str, Any]], Recipe], Optimizer]:
    def build(param_groups: list[dict[str, Any]], recipe: Recipe) -> Optimizer:
        """With the groups' own settings, and the class' defaults for everything else."""
        if any(ancestor.__name__ == "Adafactor" for ancestor in optimizer.__mro__):
            param_groups = with_pairs(param_groups, recipe)
        return cast("Optimizer", optimizer(param_groups, lr=recipe.lr))

    return build
