"""The commented `study.yaml` that `init` and `quickstart` write."""

from __future__ import annotations

import re
from pathlib import Path
from string import Template

from windtunnel.errors import WindtunnelError
from windtunnel.files import write_atomically

_TEMPLATE = Template("""\
# A Windtunnel study. Every key is shown; those after a `#` are off.
# Amounts may be written 300000, 300_000, 300k or 2.5M; times 90s, 10m or 1.5h.
name: "$name"

# What is trained: a built-in family, or your own command (one of the two).
family:
  name: gpt                 # decoder-only transformer
  options:
    head_size: $head_size            # fixed; the number of heads grows with the width
    activation: swiglu      # or relu2
    tied: false             # share the embedding with the output
# run: torchrun --nproc-per-node 8 train.py --dim {width} --lr {lr} --plan {plan}

data:
  source: stdlib            # this Python's library source; or a text file, folder, .jsonl, .parquet
  tokenizer: bytes          # or the path of a `tokenizers` JSON file
  sequence_length: $sequence_length
  validation_sequences: $validation_sequences

unit: tokens                # what training length is counted in: tokens, images or steps
metric: {name: loss, goal: minimize, bounds: [0, null]}
device: auto                # auto, cpu, cuda or cuda:1
precision: fp32             # or bf16

rule: mup                   # one that `windtunnel rules` lists, or a file of yours: ./mine.toml
optimizer: adamw            # or muon, soap, lion ... (docs/optimizers.md)
seed: $seed

base: {width: $base_width, depth: $depth, tokens: $longest}      # hyperparameters are quoted here
ladder:                     # the small scales that are searched
  width: $widths
  depth: $depth
  tokens: $lengths
target: {width: $target_width, depth: $depth, tokens: $target_tokens}

recipe:                     # hyperparameters that are not searched, at base
  batch: $batch               # tokens in one step
  weight_decay: 0.1
  betas: [0.9, 0.95]
  eps: 1.0e-8
  schedule: wsd             # warmup-stable-decay; or another of docs/schedules.md
  # optimizer_settings: {momentum: 0.9}        # the optimizer's own
  # schedule_settings: {shape: 1-sqrt}         # the schedule's own
  warmup: 0.1               # share of the steps
  decay: 0.3
  clip: 1.0                 # largest gradient norm; 0 turns clipping off

search:
  hyperparameters:
    lr: {low: 0.004, high: 0.064, points: 5}   # widened when the best is at an edge
  # policy: ladder            # or asha, hyperband, ... (docs/search.md) in place of sweeps
  seeds: $seeds                  # runs of each scale's best rates, with different seeds
  parallelism: $parallelism            # decisions open at once, on any machine, so results repeat

# budget: {time: 2h, flops: 1.0e+15}
# limits: {silence: 10m, time: 2h, memory: 8G}   # of one run; one that takes more is ended
# training: {micro_batch: 8, skip: {limit: 10}}  # of the target (docs/training.md)
workers: auto               # one a core, or one a visible GPU
# population: timed         # runs that are alike at once where that is faster, on a CPU too
""")


def study_text(
    *,
    name: str,
    widths: list[int],
    lengths: list[int],
    base_width: int,
    target_width: int,
    target_tokens: int,
    depth: int = 2,
    head_size: int = 8,
    sequence_length: int = 64,
    validation_sequences: int = 768,
    batch: int = 1024,
    seeds: int = 2,
    parallelism: int = 4,
    seed: int = 0,
) -> str:
    """Fill in the template; lengths and `target_tokens` in tokens, `batch` in tokens a step."""
    return _TEMPLATE.substitute(
        name=name,
        widths=widths,
        lengths=lengths,
        longest=max(lengths),
        base_width=base_width,
        target_width=target_width,
        target_tokens=target_tokens,
        depth=depth,
        head_size=head_size,
        sequence_length=sequence_length,
        validation_sequences=validation_sequences,
        batch=batch,
        seeds=seeds,
        parallelism=parallelism,
        seed=seed,
    )


def initialise(folder: Path) -> Path:
    """Write a commented study into `folder` and return the file's path.

    Raises:
        WindtunnelError: There is a study already.
    """
    path = folder / "study.yaml"
    if path.exists():
        raise WindtunnelError(f"{path}: exists already; choose another folder or edit that file.")
    text = study_text(
        name=re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip(".-_") or "study",
        widths=[32, 64, 128],
        lengths=[409_600, 655_360, 1_024_000, 1_638_400],
        base_width=64,
        target_width=256,
        target_tokens=2_457_600,
    )
    write_atomically(path, text)
    return path
