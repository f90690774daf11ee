"""Hooks that keep what modules put out, and what their own weights have changed in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from windtunnel.parametrization.names import below

OUTPUT = "output"  # the whole model's output


class Watch:
    """The outputs of a model's modules in its latest forward pass.

    Watched are modules that hold parameters themselves, the declared residual blocks, and the
    whole model. What their weights are when the watch begins is kept as the first.

    Attributes:
        outputs: By module, its output, or the first tensor of it; in the order in which modules
            finish.
        own_updates: By module that holds parameters itself, its output less what its first
            weights make of the same input. A matrix' own update is (W - W_first) x.
    """

    def __init__(self, model: nn.Module, blocks: str | None) -> None:
        """Put the hooks on."""
        self.outputs: dict[str, Tensor] = {}
        self.own_updates: dict[str, Tensor] = {}
        self._is_comparing = False
        self._is_paused = False
        self._first = {p: p.detach().clone() for p in model.parameters()}
        pattern = None if blocks is None else below(blocks)
        for name, module in model.named_modules():
            holds = next(module.parameters(recurse=False), None) is not None
            is_block = pattern is not None and pattern.fullmatch(name) is not None
            if not name or holds or is_block:
                hook = self._hook(name or OUTPUT, compares=holds and bool(name))
                module.register_forward_hook(hook, with_kwargs=True)

    def begin(self, *, own_updates: bool) -> None:
        """Forget the last forward pass; in the next one compute own updates too, or not."""
        self.outputs.clear()
        self.own_updates.clear()
        self._is_comparing = own_updates

    def _hook(self, name: str, *, compares: bool) -> Callable[..., None]:
        def hook(
            module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Any
        ) -> None:
            tensor = first_tensor(output)
            if self._is_paused or tensor is None or tensor.numel() <= 1:
                return
            self.outputs[name] = tensor.detach().clone()
            if compares and self._is_comparing:
                self._compare(name, module, inputs, named)

        return hook

    @torch.no_grad()
    def _compare(
        self, name: str, module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]
    ) -> None:
        # Here and not after the pass: what follows may overwrite the inputs in place.
        first = {n: self._first[p] for n, p in module.named_parameters(remove_duplicate=False)}
        self._is_paused = True
        try:
            present, before = (
                _without_side_effects(module, weights, inputs, named) for weights in ({}, first)
            )
        finally:
            self._is_paused = False
        if present is not None and before is not None:
            self.own_updates[name] = present - before


def first_tensor(output: Any) -> Tensor | None:
    """The tensor that matters in a module's output: itself, its logits, or its first tensor."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, Mapping):
        output = [output["logits"]] if "logits" in output else list(output.values())
    if isinstance(output, Sequence):
        return next((item for item in output if isinstance(item, Tensor)), None)
    return None


def _without_side_effects(
    module: nn.Module, weights: dict[str, Tensor], inputs: tuple[Any, ...], named: dict[str, Any]
) -> Tensor | None:
    """Call the module with other weights, with copies of its buffers and a fixed random state."""
    buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(0)
        output = functional_call(module, {**weights, **buffers}, inputs, named)
    return first_tensor(output)
