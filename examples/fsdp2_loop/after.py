"""The loop of `before.py` with Windtunnel: at width 64 the same losses, at others the same rate.

torchrun --standalone --nproc-per-node 2 after.py --width 128
"""

import argparse

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import fully_shard

import windtunnel as wt

SYMBOLS, LENGTH, DEPTH = 64, 16, 2


def build(width: int, depth: int) -> nn.Module:
    """Blocks between a table and a readout."""
    blocks = [nn.Sequential(nn.Linear(width, width), nn.GELU()) for _ in range(depth)]
    return nn.Sequential(nn.Embedding(SYMBOLS, width), *blocks, nn.Linear(width, SYMBOLS))


def main() -> None:
    """Learn which symbol follows which."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--lr", type=float, default=0.02)
    parser.add_argument("--steps", type=int, default=30)
    given = parser.parse_args()
    dist.init_process_group("gloo")
    rank, ranks = dist.get_rank(), dist.get_world_size()

    torch.manual_seed(0)
    family, target = wt.FunctionFamily(build), wt.Scale(given.width, DEPTH)
    plan = wt.plan(family, wt.Scale(64, DEPTH), target, "mup", "adamw")
    model = build(given.width, DEPTH)
    for block in model:
        fully_shard(block)
    fully_shard(model)
    wt.apply_(model, plan, family=family, init_seed=0)
    optimizer = torch.optim.AdamW(wt.param_groups(model, plan, lr=given.lr, weight_decay=0.01))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, given.steps)

    generator = torch.Generator().manual_seed(1)
    for step in range(given.steps):
        symbols = torch.randint(SYMBOLS, (16, LENGTH), generator=generator)[rank::ranks]
        targets = (symbols * 5 + 1) % SYMBOLS
        loss = nn.functional.cross_entropy(model(symbols).flatten(0, 1), targets.flatten())
        loss.backward()
        wt.clip_gradients_(model, plan, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if rank == 0 and (step + 1) % 10 == 0:
            print(f"step {step + 1}: loss {loss.item():.4f}", flush=True)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
