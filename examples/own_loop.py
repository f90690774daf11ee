"""A training script of one's own, as a study drives it (docs/any_loop.md)."""

import argparse

import torch

import windtunnel as wt
from windtunnel.data import TokenBatches, default_cache, open_corpus
from windtunnel.models import build_family
from windtunnel.schedules import schedule_multiplier
from windtunnel.spec import DataSpec

parser = argparse.ArgumentParser()
for name, kind in {"width": int, "tokens": int, "seed": int, "lr": float}.items():
    parser.add_argument(f"--{name}", type=kind, required=True)
parser.add_argument("--text", default="stdlib")
given = parser.parse_args()

corpus = open_corpus(DataSpec(source=given.text, sequence_length=64), default_cache())
batches, options = TokenBatches(corpus, 64), {"head_size": 8}
family = build_family("gpt", options, vocabulary_size=256, sequence_length=64)
base, scale = wt.Scale(width=32, depth=2), wt.Scale(width=given.width, depth=2)
torch.manual_seed(given.seed)
model, plan = family.build(scale), wt.plan(family, base, scale, rule="mup")
wt.apply_(model, plan, family=family, init_seed=given.seed)
groups = wt.param_groups(model, plan, lr=given.lr, weight_decay=0.1, decay_vectors=False)
optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95), fused=True)
rates, steps = [group["lr"] for group in optimizer.param_groups], given.tokens // 1024

for step in range(steps):
    factor = schedule_multiplier("wsd", step, steps, warmup_fraction=0.1, decay_fraction=0.3)
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate * factor
    loss = family.loss(model, tuple(map(torch.from_numpy, batches.training(step, given.seed, 16))))
    loss.backward()
    wt.clip_gradients_(model, plan, max_norm=1.0)
    optimizer.step()
    optimizer.zero_grad()
    wt.report(step=step + 1, steps=steps, loss=loss.item())

with torch.no_grad():
    pairs = [tuple(map(torch.from_numpy, batch)) for batch in batches.validation(512)]
    losses = torch.cat([family.sequence_losses(model.eval(), pair).double() for pair in pairs])
sizes = family.parameter_count(scale)
wt.report(step=steps, loss=losses.mean().item(), tokens=given.tokens, params=sizes.non_embedding)
