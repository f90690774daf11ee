"""Watch a forward pass: what each tensor was computed from, and which weights it is linear in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


def _functions(names: str) -> frozenset[str]:
    """Names of torch's functions and of Tensor's methods, without underscores at the ends."""
    return frozenset(names.split())


_PRODUCTS = _functions(
    "linear matmul mm bmm mul multiply rmul imul addmm baddbmm einsum conv1d conv2d conv3d "
    "conv_transpose1d conv_transpose2d conv_transpose3d embedding grouped_mm div truediv"
)
_NORMS = _functions("layer_norm rms_norm group_norm batch_norm instance_norm")
_SUMS = _functions("add radd iadd")
# The same values in another form.
_COPIES = _functions(
    "view reshape transpose permute t T mT swapaxes movedim contiguous flatten unflatten squeeze "
    "unsqueeze clone to float type type_as double half bfloat16 view_as reshape_as expand "
    "expand_as dropout dropout1d dropout2d dropout3d neg"
)
# The first argument is where results are gathered, and is zero before.
_INTO_ZEROS = _functions("index_add index_copy scatter_add")
# Twice the input gives twice the output.
_HOMOGENEOUS = (
    _COPIES
    | _INTO_ZEROS
    | _functions(
        "repeat repeat_interleave cat stack concat chunk split unbind getitem select narrow "
        "index_select gather roll pad sum mean relu leaky_relu avg_pool2d max_pool2d "
        "adaptive_avg_pool2d interpolate"
    )
)


@dataclass(eq=False, slots=True)
class Value:
    """A tensor of the pass.

    Attributes:
        parents: What it was computed from.
        linear_in: Names of parameters: all of them twice as large make it twice as large.
        weight: Whether nothing but parameters went into it.
        uses_weights: Whether the operation that made it had a parameter beside an activation.
        origin: What it is a rearranged or scaled copy of: itself, if it is no copy.
        stream: Whether a residual branch was added to make it.
    """

    parents: tuple[Value, ...] = ()
    linear_in: frozenset[str] = frozenset()
    weight: bool = False
    uses_weights: bool = False
    origin: Value = field(init=False)
    stream: bool = False

    def __post_init__(self) -> None:
        """A value is its own origin until it is found to be a copy."""
        self.origin = self


@dataclass(frozen=True, slots=True)
class Branch:
    """What was added to the tensor it was computed from, through weights."""

    linear_in: frozenset[str]
    last_weights: frozenset[str]


class Provenance(TorchFunctionMode):
    """Follows every torch function that Python calls; `branches` are in order of execution.

    A residual branch is an addition `x + f(x)` where f uses parameters; x may be a scaled or
    rearranged copy on either side.
    """

    def __init__(self, names: Mapping[nn.Parameter, str]) -> None:
        super().__init__()
        self.names = names
        self.branches: list[Branch] = []
        self._values: dict[int, Value] = {}
        self._alive: list[Tensor] = []  # an id belongs to its tensor only while that lives

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run the function and note where its results come from."""
        result = func(*args, **(kwargs or {}))
        outputs = [t for t in _tensors(result) if t.is_floating_point()]
        if outputs:
            inputs = [t for t in _tensors((args, kwargs or {})) if t.is_floating_point()]
            made = [self._made(_plain_name(func), inputs, output) for output in outputs]
            for output, value in zip(outputs, made, strict=True):
                self._alive.append(output)
                self._values[id(output)] = value
        return result

    def value(self, tensor: Tensor) -> Value:
        """What is known of a tensor."""
        if id(tensor) not in self._values:
            known = isinstance(tensor, nn.Parameter) and tensor in self.names
            named = frozenset([self.names[tensor]]) if known else frozenset()  # type: ignore[index]
            self._alive.append(tensor)
            self._values[id(tensor)] = Value(linear_in=named, weight=known)
        return self._values[id(tensor)]

    def _made(self, name: str, inputs: list[Tensor], output: Tensor) -> Value:
        if name in _COPIES:
            inputs = inputs[:1]  # of a further tensor, only the form is taken
        parents = tuple(self.value(t) for t in inputs)
        weights = [p for p in parents if p.weight]
        others = [p for p in parents if not p.weight]
        made = Value(parents, weight=bool(weights) and not others and name != "embedding")
        made.uses_weights = bool(weights) and not made.weight
        # A mask that is added in every block is broadcast; a branch has its stream's own shape.
        alike = len(parents) == 2 and inputs[0].shape == inputs[1].shape
        if name in _SUMS and alike and not weights and self._is_branch(made):
            return made
        if name in _HOMOGENEOUS or name in _SUMS:
            summed = parents[1:] if name in _INTO_ZEROS else parents
            # A number that is added has no value here: 1 + w is not linear in w.
            whole = name in _HOMOGENEOUS or len(parents) > 1
            if whole and all(p.linear_in for p in summed):
                made.linear_in = _united(summed)
            if name in _COPIES and len(others) == 1:
                made.origin = others[0].origin
        elif name in _PRODUCTS or (name in _NORMS and weights):
            made.linear_in = _product(name, inputs, parents, output, made)
        return made

    def _is_branch(self, made: Value) -> bool:
        first, second = made.parents
        for stream, branch in ((first, second), (second, first)):
            if stream.origin is branch.origin or branch.origin.stream:
                continue
            last = _path_weights(stream.origin, branch)
            if last is not None:
                self.branches.append(Branch(branch.linear_in, last))
                made.stream = True
                return True
        return False


def _product(
    name: str, inputs: list[Tensor], parents: tuple[Value, ...], output: Tensor, made: Value
) -> frozenset[str]:
    """What a product is linear in: its weights, or the one factor that has the result's size."""
    if made.uses_weights:
        weights = [p for p in parents if p.weight]
        return _united(weights) if all(p.linear_in for p in weights) else frozenset()
    if made.weight:
        return frozenset() if len(parents) > 1 else parents[0].linear_in
    whole = [p for t, p in zip(inputs, parents, strict=True) if t.shape == output.shape]
    carriers = [p for p in whole if p.linear_in]
    if len(whole) == 1:
        made.origin = whole[0].origin  # scaled by a number, or by one value a channel
    if len(carriers) != 1 or (name in ("div", "truediv") and carriers[0] is not parents[0]):
        return frozenset()
    # x / norm(x) is no multiple of x: the other factor must not be computed from the same weights.
    others = (p for p in parents if p is not carriers[0])
    if any(_leaves(p) & carriers[0].linear_in for p in others):
        return frozenset()
    return carriers[0].linear_in


def _leaves(value: Value) -> frozenset[str]:
    """Names of all parameters that a value was computed from."""
    seen: set[int] = set()
    names: set[str] = set()
    waiting = [value]
    while waiting:
        here = waiting.pop()
        if id(here) not in seen:
            seen.add(id(here))
            names |= here.linear_in if not here.parents else frozenset()
            waiting += here.parents
    return frozenset(names)


def _path_weights(stream: Value, branch: Value) -> frozenset[str] | None:
    """The last weights between a stream and what was computed from it; None if there are none."""
    found: set[str] = set()
    seen: set[tuple[int, bool]] = set()
    waiting: list[tuple[Value, bool]] = [(branch, False)]
    reached = False
    while waiting:
        value, weighted = waiting.pop()
        if (id(value), weighted) in seen:
            continue
        seen.add((id(value), weighted))
        if value is stream:
            reached = reached or weighted
            continue
        if value.uses_weights and not weighted:
            found |= {name for p in value.parents if p.weight for name in _leaves(p)}
        waiting += [(p, weighted or value.uses_weights) for p in value.parents if not p.weight]
    return frozenset(found) if reached else None


def _united(values: Iterable[Value]) -> frozenset[str]:
    return frozenset().union(*(value.linear_in for value in values))


def _tensors(tree: Any) -> list[Tensor]:
    if isinstance(tree, Tensor):
        return [tree]
    if isinstance(tree, dict):
        tree = tree.values()
    elif not isinstance(tree, (tuple, list)):
        return []
    return [tensor for branch in tree for tensor in _tensors(branch)]


def _plain_name(func: Callable[..., Any]) -> str:
    name = getattr(func, "__name__", "")
    if name == "__get__":  # a property, such as Tensor.T
        name = getattr(getattr(func, "__self__", None), "__name__", "")
    return name.strip("_")
