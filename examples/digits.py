"""Your own image model in the tunnel: tune the learning rate small, use it on a wide one."""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

import windtunnel as wt

BASE, TARGET = wt.Scale(width=64, depth=3), wt.Scale(width=256, depth=3)
RATES, STEPS = [2.0**power for power in range(-9, -3)], 80
images, labels = (torch.tensor(array) for array in load_digits(return_X_y=True))
images = images.float() / 8 - 1


def build(width: int, depth: int) -> nn.Module:
    """Any model, written and initialised as you like."""
    hidden = [layer for _ in range(depth) for layer in (nn.Linear(width, width), nn.ReLU())]
    return nn.Sequential(nn.Linear(64, width), nn.ReLU(), *hidden, nn.Linear(width, 10))


def step(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Any loss."""
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


def batch(seed: int) -> tuple[Tensor, Tensor]:
    """Any data; here 128 images, chosen by the seed."""
    chosen = torch.randint(len(labels), (128,), generator=torch.Generator().manual_seed(seed))
    return images[chosen], labels[chosen]


def train(scale: wt.Scale, rule: str, lr: float) -> float:
    """Your own loop, with three lines more; returns the loss over all images."""
    torch.manual_seed(0)
    model, plan = build(scale.width, scale.depth), wt.plan(build, BASE, scale, rule)
    wt.apply_(model, plan, family=build, init_seed=0)
    optimizer = torch.optim.AdamW(wt.param_groups(model, plan, lr=lr, weight_decay=0.1))
    schedule = LambdaLR(optimizer, lambda k: 1 - k / STEPS)
    for k in range(STEPS):
        optimizer.zero_grad()
        step(model, batch(k)).backward()
        wt.clip_gradients_(model, plan, max_norm=1.0)
        optimizer.step()
        schedule.step()
    return float(step(model, (images, labels)).detach())


if __name__ == "__main__":
    for rule in ("sp", "mup"):
        for scale in (BASE, TARGET):
            losses = {lr: train(scale, rule, lr) for lr in RATES}
            best = min(RATES, key=lambda lr: losses[lr])
            print(rule, f"width {scale.width}: best rate {best:.4f}, loss {losses[best]:.3f}")
        family, widths = wt.FunctionFamily(build, step), (64, 128, 256)
        found = wt.check(family, base=BASE, widths=widths, batch=batch, lr=0.002, rule=rule)
        print(rule, f"coordinate check: {found.verdict}; {found.reason}")
