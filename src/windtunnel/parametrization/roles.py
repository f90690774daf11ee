"""The role of each parameter, from what grows with width and which module holds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from windtunnel.errors import WindtunnelError
from windtunnel.models.family import Declarations, Family
from windtunnel.parametrization.names import matches, named_parameters, without_indices
from windtunnel.scale import Role, Scale

# Modules whose weights are (fan-out, fan-in, kernel...).
_MATRICES = (nn.Linear, _ConvNd, nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention)
_TABLES = (nn.Embedding, nn.EmbeddingBag)


@dataclass(frozen=True, slots=True)
class Kind:
    """A parameter as scaling sees it.

    Attributes:
        names: All its canonical names; more than one if it is tied.
        role: What it is to scaling.
        tied_head: Whether an embedding table is also the readout.
        shape: Its shape at the width it was looked at.
        grows: For each dimension, whether it grows with width.
        fan_in: The dimension that is summed over, if there is one.
        fan_out: The dimension that is written to.
    """

    names: tuple[str, ...]
    role: Role
    tied_head: bool
    shape: tuple[int, ...]
    grows: tuple[bool, ...]
    fan_in: int | None
    fan_out: int | None

    @property
    def name(self) -> str:
        """The name a plan is keyed by."""
        return self.names[0]

    @property
    def likeness(self) -> tuple[object, ...]:
        """Equal for parameters that differ in nothing but the block they are in."""
        fixed = tuple(0 if g else n for n, g in zip(self.shape, self.grows, strict=True))
        names = tuple(without_indices(name) for name in self.names)
        return (names, self.role, self.tied_head, self.grows, fixed)


def shapes(family: Family, scale: Scale) -> dict[str, tuple[int, ...]]:
    """Every parameter's shape at a scale, by its first canonical name; nothing is allocated."""
    model = build_on_meta(family, scale)
    return {found.names[0]: tuple(found.parameter.shape) for found in named_parameters(model)}


def kinds(family: Family, scale: Scale, declarations: Declarations) -> list[Kind]:
    """Classify the parameters by building the model at `scale` and at twice its width, on meta.

    Shapes can't show everything: a head size that grows with width asks for 1/d attention in
    place of 1/sqrt(d) (Yang et al. 2022, definition 4.1), which no rule here applies. Keep the
    head size fixed and let the number of heads grow.

    Raises:
        WindtunnelError: A parameter has no role; the message names it.
    """
    small = build_on_meta(family, scale)
    large = shapes(family, scale.replace(width=2 * scale.width))
    owners = _owners(small)
    found = []
    for named in named_parameters(small):
        name, shape = named.names[0], tuple(named.parameter.shape)
        if name not in large or len(large[name]) != len(shape):
            raise WindtunnelError(
                f"{name}: exists at width {scale.width} and not, or in another form, at "
                f"{2 * scale.width}; build the same modules at every width"
            )
        grows = tuple(b > a for a, b in zip(shape, large[name], strict=True))
        uses = [
            _use(name, owner, shape, grows, large[name], declarations)
            for owner in owners[named.parameter]
        ]
        found.append(_merged(named.names, shape, grows, uses))
    return found


def build_on_meta(family: Family, scale: Scale) -> nn.Module:
    """Build names and shapes without storage, and leave the random state alone."""
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            return family.build(scale)
    except RuntimeError as error:
        if "meta" not in str(error):
            raise
        raise WindtunnelError(
            f"build(width={scale.width}, depth={scale.depth}): fails under torch.device('meta') "
            f"({str(error).splitlines()[0]}); compute no values there that depend on data"
        ) from error


Use = tuple[Role, int | None, int | None]  # role, fan-in dimension, fan-out dimension


def _use(
    name: str,
    owner: nn.Module,
    shape: tuple[int, ...],
    grows: tuple[bool, ...],
    larger: tuple[int, ...],
    declarations: Declarations,
) -> Use:
    """The role of a parameter in one of the modules that hold it."""
    long = [i for i, size in enumerate(larger) if size > 1]
    if isinstance(owner, _TABLES):
        if grows[0]:
            raise _no_role(name, shape, "its number of rows grows with width")
        return (Role.INPUT if grows[1] else Role.BOTTLENECK), None, 1
    if len(shape) > 1 and isinstance(owner, _MATRICES):
        fan_out, fan_in = (1, 0) if isinstance(owner, _ConvTransposeNd) else (0, 1)
        if any(grows[2:]):
            raise _no_role(name, shape, "its kernel grows with width")
        return _matrix_role(name, grows[fan_in], grows[fan_out], declarations), fan_in, fan_out
    if len(long) <= 1:
        growing = next((i for i, g in enumerate(grows) if g), None)
        return (Role.SCALAR if growing is None else Role.VECTOR), None, growing
    if len(shape) == 2 and all(grows) and shape[0] * larger[1] == shape[1] * larger[0]:
        return Role.HIDDEN, 1, 0
    if not any(grows) and len(shape) == 2:
        return Role.BOTTLENECK, None, None
    raise _no_role(name, shape, f"{type(owner).__name__} does not tell its fan-in from its fan-out")


def _matrix_role(name: str, fan_in: bool, fan_out: bool, declarations: Declarations) -> Role:
    if fan_in and fan_out:
        return Role.HIDDEN
    if fan_out:
        return Role.INPUT
    inside = declarations.blocks is not None and matches(declarations.blocks, name)
    return Role.OUTPUT if fan_in and not inside else Role.BOTTLENECK


def _merged(
    names: tuple[str, ...], shape: tuple[int, ...], grows: tuple[bool, ...], uses: list[Use]
) -> Kind:
    """One kind for a parameter that may be held by several modules."""
    roles = {role for role, _, _ in uses}
    if len(roles) == 1:
        role, fan_in, fan_out = uses[0]
        return Kind(names, role, False, shape, grows, fan_in, fan_out)
    if roles == {Role.INPUT, Role.OUTPUT}:
        _, fan_in, fan_out = next(use for use in uses if use[0] is Role.INPUT)
        return Kind(names, Role.INPUT, True, shape, grows, fan_in, fan_out)
    raise _no_role(names[0], shape, f"tied with {', '.join(names[1:])}, which plays another role")


def _owners(model: nn.Module) -> dict[nn.Parameter, list[nn.Module]]:
    owners: dict[nn.Parameter, list[nn.Module]] = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            owners.setdefault(parameter, []).append(module)
    return owners


def _no_role(name: str, shape: tuple[int, ...], why: str) -> WindtunnelError:
    return WindtunnelError(
        f"{name} {list(shape)}: no role can be given, {why}; hold it in an nn.Embedding (a table) "
        "or an nn.Linear (a matrix)"
    )


def as_family(family: Family | Callable[[int, int], nn.Module]) -> Family:
    """A family as it is, and a user's `build(width, depth)` as one."""
    if hasattr(family, "declarations"):
        return family  # type: ignore[return-value]
    from windtunnel.models.function import FunctionFamily

    return FunctionFamily(family)
