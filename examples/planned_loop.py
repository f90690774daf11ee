"""A loop of one's own that takes its plan from a study, on one process or under torchrun.

In the study file (docs/any_loop.md):

    run:
      command: >-
        torchrun --standalone --nproc-per-node 2 planned_loop.py
        --dim {width} --lr {lr} --plan {plan} --steps {steps} --seed {seed}
      model: planned_loop.py:build
"""

import argparse
import json
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import windtunnel as wt

SYMBOLS, LENGTH = 32, 8


def build(width: int, depth: int) -> nn.Module:
    """The model at any size: this is all that a plan has to know."""
    hidden = [nn.Sequential(nn.Linear(width, width), nn.ReLU()) for _ in range(depth)]
    return nn.Sequential(nn.Embedding(SYMBOLS, width), *hidden, nn.Linear(width, SYMBOLS))


def main() -> None:
    """Learn which symbol follows which."""
    parser = argparse.ArgumentParser()
    for name, kind in {"dim": int, "steps": int, "seed": int, "lr": float, "plan": Path}.items():
        parser.add_argument(f"--{name}", type=kind, required=True)
    given = parser.parse_args()
    dist.init_process_group("gloo")
    ranks, rank = dist.get_world_size(), dist.get_rank()

    plan = wt.Plan.from_json(json.loads(given.plan.read_text()))
    torch.manual_seed(given.seed)
    model = build(given.dim, plan.target.depth)
    wt.apply_(model, plan, family=wt.FunctionFamily(build), init_seed=given.seed)
    groups = wt.param_groups(model, plan, lr=given.lr)
    optimizer = torch.optim.AdamW(groups)
    parallel = DistributedDataParallel(model)

    generator = torch.Generator().manual_seed(given.seed)
    follows = torch.randperm(SYMBOLS, generator=torch.Generator().manual_seed(0))
    mean = torch.zeros(())
    for step in range(given.steps):
        symbols = torch.randint(SYMBOLS, (16, LENGTH), generator=generator)[rank::ranks]
        loss = nn.functional.cross_entropy(
            parallel(symbols).flatten(0, 1), follows[symbols].flatten()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        mean = loss.detach().clone()
        dist.all_reduce(mean)
        wt.report(step=step + 1, steps=given.steps, loss=mean.item() / ranks)  # rank 0's alone
    params = sum(p.numel() for p in model.parameters())
    wt.report(step=given.steps, loss=mean.item() / ranks, params=params)
    dist.barrier()  # no rank leaves while another still talks to it
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
