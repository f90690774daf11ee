"""An ordinary FSDP2 loop; see `after.py` for what Windtunnel changes in it.

torchrun --standalone --nproc-per-node 2 before.py --width 128
"""

import argparse

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import fully_shard

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
    model = build(given.width, DEPTH)
    for block in model:
        fully_shard(block)
    fully_shard(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=given.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, given.steps)

    generator = torch.Generator().manual_seed(1)
    for step in range(given.steps):
        symbols = torch.randint(SYMBOLS, (16, LENGTH), generator=generator)[rank::ranks]
        targets = (symbols * 5 + 1) % SYMBOLS
        loss = nn.functional.cross_entropy(model(symbols).flatten(0, 1), targets.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if rank == 0 and (step + 1) % 10 == 0:
            print(f"step {step + 1}: loss {loss.item():.4f}", flush=True)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
