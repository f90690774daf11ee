"""An elementwise update rule as one compiled loop over memory."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from windtunnel.optimizers.update_rule import At

Kernel = Callable[[Tensor, Tensor, dict[str, Tensor], dict[str, Tensor], Tensor], None]


def compiler_found() -> bool:
    """Whether there is a C++ compiler, which torch.compile needs on a CPU."""
    named = os.environ.get("CXX")
    return any(shutil.which(name) for name in (named, "g++", "clang++", "c++") if name)


@functools.cache
def kernel(update: Callable[..., tuple[Tensor, dict[str, Tensor]]]) -> Kernel:
    """The rule's update of a flat tensor and its state in place, compiled once for all lengths.

    Settings and the step are scalar tensors, so that new values of them compile nothing anew.
    """

    def run(
        parameter: Tensor,
        gradient: Tensor,
        state: dict[str, Tensor],
        settings: dict[str, Tensor],
        step: Tensor,
    ) -> None:
        updated, after = update(parameter, gradient, state, settings, At(step, (-1,)))
        parameter.copy_(updated)
        for name, value in after.items():
            state[name].copy_(value)

    return torch.compile(run, dynamic=True, backend=_scalars_outside)


def _scalars_outside(graph: GraphModule, _: list[Tensor]) -> Callable[..., Any]:
    """Inductor, with what is computed of scalars alone taken out of the loop.

    It would take the powers of a bias correction anew for each element: 2 ns of 2.5 a parameter.
    """
    from torch._inductor.compile_fx import compile_fx
    from torch.fx.passes.split_module import split_module

    scalars: set[Node] = set()
    for node in graph.graph.nodes:
        value, inputs = node.meta.get("example_value"), node.all_input_nodes
        scalar = isinstance(value, Tensor) and value.ndim == 0
        if scalar and (node.op == "placeholder" or (inputs and scalars.issuperset(inputs))):
            scalars.add(node)
    split: Any = split_module(graph, graph, lambda node: 0 if node in scalars else 1)
    loop = split.submod_1
    given = [node.meta["example_value"] for node in loop.graph.nodes if node.op == "placeholder"]
    split.submod_1 = _Compiled(cast("Callable[..., Any]", compile_fx(loop, given)))
    return split.forward  # type: ignore[no-any-return]


class _Compiled(torch.nn.Module):
    """A module of a function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs)
