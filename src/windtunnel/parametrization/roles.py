"""The role of each parameter, from what grows with width and which module holds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from windtunnel.errors import WindtunnelError
from windtunnel.models.family import Declarations, Family
from windtunnel.parametrization.gains import refuse_hidden_gains
from windtunnel.parametrization.names import below, matches, named_parameters, without_indices
from windtunnel.scale import Role, Scale

# Modules whose weights are (fan-out, fan-in, kernel...).
_MATRICES = (nn.Linear, _ConvNd, nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention)
_TABLES = (nn.Embedding, nn.EmbeddingBag)
# Modules whose parameters act on each channel alone, whatever their shape.
_CHANNELWISE = (nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, _NormBase, nn.PReLU)
# Other libraries' modules, by full name: the dimensions that are (fan-out, fan-in).
_LAYOUTS = {"transformers.pytorch_utils.Conv1D": (1, 0)}

Use: TypeAlias = "tuple[Role, int | None, int | None]"  # role, fan-in and fan-out dimension


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

    A matrix's fan-in and fan-out come from its module (linear, convolution, embedding, recurrent,
    attention, the `Conv1D` of transformers) or from `declarations.layouts`. What acts on each
    channel alone (norms, biases, convolutions whose groups grow with width) is a vector.

    Raises:
        WindtunnelError: A parameter has no role, or a declaration doesn't fit; the message names
            it and says what to declare.
    """
    small = build_on_meta(family, scale)
    large = build_on_meta(family, scale.replace(width=2 * scale.width))
    larger = {name: (p.parameter, h) for p in named_parameters(large) for name, h in p.uses}
    sorter = _Sorter(declarations)
    found = []
    for named in named_parameters(small):
        name, shape = named.names[0], tuple(named.parameter.shape)
        if name not in larger or larger[name][0].ndim != len(shape):
            raise WindtunnelError(
                f"{name}: exists at width {scale.width} and not, or in another form, at "
                f"{2 * scale.width}; build the same modules at every width"
            )
        seen = _Seen(shape, tuple(larger[name][0].shape))
        uses = [
            sorter.use(each, holder, larger[each][1] if each in larger else holder, seen)
            for each, holder in named.uses
        ]
        found.append(_merged(named.names, seen, uses))
    sorter.refuse_unused_layouts()
    refuse_hidden_gains(small, declarations)
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


@dataclass(frozen=True, slots=True)
class _Seen:
    """A parameter's shape at the scale, and at twice the width."""

    shape: tuple[int, ...]
    larger: tuple[int, ...]

    @property
    def grows(self) -> tuple[bool, ...]:
        return tuple(b > a for a, b in zip(self.shape, self.larger, strict=True))

    @property
    def vector(self) -> Use:
        """One value a channel: its only length is the first dimension that grows."""
        growing = next((i for i, g in enumerate(self.grows) if g), None)
        return (Role.SCALAR if growing is None else Role.VECTOR), None, growing


class _Sorter:
    """Gives a parameter its role in one of the modules that hold it."""

    def __init__(self, declared: Declarations) -> None:
        self.blocks = declared.blocks
        self.layouts = {below(pattern): (pattern, at) for pattern, at in declared.layouts}
        self.unused = {pattern for pattern, _ in declared.layouts}

    def use(self, name: str, holder: nn.Module, larger: nn.Module, seen: _Seen) -> Use:
        """The role by the declared layout, else by the module, else by the shape alone."""
        for pattern, (declared, layout) in self.layouts.items():
            if pattern.fullmatch(name):
                self.unused.discard(declared)
                return self._matrix(name, seen, *_checked(declared, layout, name, seen.shape))
        if isinstance(holder, _CHANNELWISE):
            return seen.vector
        if isinstance(holder, _TABLES):
            if seen.grows[0]:
                raise _no_role(name, seen.shape, "its number of rows grows with width")
            return (Role.INPUT if seen.grows[1] else Role.BOTTLENECK), None, 1
        if len(seen.shape) > 1:
            if isinstance(holder, _ConvNd) and isinstance(larger, _ConvNd):
                if larger.groups > holder.groups:
                    return _grouped(name, seen)
                return self._matrix(name, seen, *_convolved(holder))
            if isinstance(holder, _MATRICES):
                return self._matrix(name, seen, 0, 1)
            kind = f"{type(holder).__module__}.{type(holder).__qualname__}"
            if kind in _LAYOUTS:
                return self._matrix(name, seen, *_LAYOUTS[kind])
        return _from_shape(name, type(holder).__name__, seen)

    def refuse_unused_layouts(self) -> None:
        """A pattern that fits no parameter is a mistake."""
        for pattern in sorted(self.unused):
            raise WindtunnelError(f"declarations.layouts: no parameter is called '{pattern}'")

    def _matrix(self, name: str, seen: _Seen, fan_out: int, fan_in: int) -> Use:
        grows = seen.grows
        if any(g for i, g in enumerate(grows) if i not in (fan_out, fan_in)):
            raise _no_role(name, seen.shape, "its kernel grows with width, or its stack does")
        if grows[fan_out]:
            return (Role.HIDDEN if grows[fan_in] else Role.INPUT), fan_in, fan_out
        inside = self.blocks is not None and matches(self.blocks, name)
        role = Role.OUTPUT if grows[fan_in] and not inside else Role.BOTTLENECK
        return role, fan_in, fan_out


def _checked(
    pattern: str, layout: tuple[int, int], name: str, shape: tuple[int, ...]
) -> tuple[int, int]:
    fan_out, fan_in = layout
    if fan_out == fan_in or not all(0 <= d < len(shape) for d in layout):
        raise WindtunnelError(
            f"declarations.layouts: '{pattern}' says (fan-out, fan-in) = {layout}, and {name} is "
            f"{list(shape)}; give two of its dimensions, counted from 0"
        )
    return fan_out, fan_in


def _convolved(holder: _ConvNd) -> tuple[int, int]:
    return (1, 0) if isinstance(holder, _ConvTransposeNd) else (0, 1)


def _grouped(name: str, seen: _Seen) -> Use:
    """A convolution whose number of groups grows with width, depthwise or not.

    Each output reads a fixed number of inputs, and each input feeds a fixed number of outputs: the
    map is block-diagonal with blocks that don't grow. So it scales as a norm's gain does (the
    gradient of an entry shrinks with width, its own update must not), and an optimizer that takes
    singular values must not see it as one matrix (fan-out, kernel).
    """
    if seen.grows[1]:
        raise _no_role(name, seen.shape, "its groups and the channels of a group both grow")
    return seen.vector


def _from_shape(name: str, holder: str, seen: _Seen) -> Use:
    """A parameter whose module we don't know."""
    shape, grows, larger = seen.shape, seen.grows, seen.larger
    if sum(size > 1 for size in larger) <= 1:
        return seen.vector
    if not any(grows):
        return Role.BOTTLENECK, None, None
    if len(shape) == 2 and all(grows) and shape[0] * larger[1] == shape[1] * larger[0]:
        return Role.HIDDEN, 1, 0  # both ratios are equal, whichever is the fan-in
    if len(shape) == 3 and shape[0] == 1 and grows == (False, False, True):
        return Role.INPUT, None, 2  # (1, length, width) is added to a batch: positions, tokens
    raise _no_role(name, shape, f"{holder} does not tell its fan-in from its fan-out")


def _merged(names: tuple[str, ...], seen: _Seen, uses: list[Use]) -> Kind:
    """One kind for a parameter that may be held by several modules."""
    roles = {role for role, _, _ in uses}
    if len(roles) == 1:
        role, fan_in, fan_out = uses[0]
        return Kind(names, role, False, seen.shape, seen.grows, fan_in, fan_out)
    if roles == {Role.INPUT, Role.OUTPUT}:
        _, fan_in, fan_out = next(use for use in uses if use[0] is Role.INPUT)
        return Kind(names, Role.INPUT, True, seen.shape, seen.grows, fan_in, fan_out)
    held = " and ".join(sorted(roles))
    raise _no_role(names[0], seen.shape, f"tied with {', '.join(names[1:])}, it is {held} at once")


def _no_role(name: str, shape: tuple[int, ...], why: str) -> WindtunnelError:
    pattern = without_indices(name)
    return WindtunnelError(
        f"{name} {list(shape)}: no role can be given, {why}; hold it in an nn.Embedding (a table) "
        f"or an nn.Linear (a matrix), or declare Declarations(layouts=(('{pattern}', "
        "(fan_out, fan_in)),)), the dimension that is written to and the one that is summed over"
    )


def as_family(family: Family | Callable[[int, int], nn.Module]) -> Family:
    """A family as it is, and a user's `build(width, depth)` as one."""
    if hasattr(family, "declarations"):
        return family  # type: ignore[return-value]
    from windtunnel.models.function import FunctionFamily

    return FunctionFamily(family)
