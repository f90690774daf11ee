"""A whole study sized to this machine and to the minutes it may take."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from windtunnel.files import write_atomically
from windtunnel.studies.study import Study, open_study
from windtunnel.studies.template import study_text

BATCH = 1024  # tokens a step
SEQUENCE_LENGTH = 64
HEAD_SIZE = 8
DEPTH = 2
# Ladder lengths as shares of the longest, close to evenly spaced in log-tokens.
LENGTH_SHARES = (0.25, 0.35, 0.5, 0.71, 1.0)
TARGET_SHARE = 1.0  # twice the largest width, as long as the longest proxy
# More is not needed for the verdicts: about 1,600 steps at the longest length.
LONGEST_TOKENS = 1_638_400
PARALLELISM = 4  # decisions open at once; more cores than that would idle
SHORTEST_TOKENS = 64 * BATCH


@dataclass(frozen=True, slots=True)
class Tier:
    """A ladder and a target that a budget of minutes can carry."""

    widths: tuple[int, ...]
    base_width: int
    target_width: int


FULL = Tier(widths=(16, 32, 64), base_width=32, target_width=128)
BRIEF = Tier(widths=(8, 16, 32), base_width=16, target_width=64)


def quickstart(folder: Path, *, minutes: float, seed: int = 0) -> Study:
    """Open the quickstart study in `folder`, sizing and writing it on the first call.

    Args:
        folder: Where the study is kept; an existing one is opened as it is.
        minutes: Wall-clock time the whole study may take on this machine.
        seed: Seed of every run.
    """
    if not (folder / "study.yaml").exists():
        write_atomically(folder / "study.yaml", _sized(minutes, seed))
    return open_study(folder)


def _sized(minutes: float, seed: int) -> str:
    from windtunnel.training.device import usable_cores

    tier = FULL if minutes >= 5 else BRIEF
    longest = longest_tokens(
        tier,
        seconds_a_token=_seconds_a_token((*tier.widths, tier.target_width)),
        seconds=60 * minutes,
        workers=min(usable_cores(), PARALLELISM),
    )
    return study_text(
        name="quickstart",
        widths=list(tier.widths),
        lengths=[_whole_steps(share * longest) for share in LENGTH_SHARES],
        base_width=tier.base_width,
        target_width=tier.target_width,
        target_tokens=_whole_steps(TARGET_SHARE * longest),
        depth=DEPTH,
        head_size=HEAD_SIZE,
        sequence_length=SEQUENCE_LENGTH,
        batch=BATCH,
        parallelism=PARALLELISM,
        seed=seed,
    )


# Runs of each ladder width, by length share, that a study of this shape usually makes: six or
# seven rates at the shortest length under the rule (and three replicates) and under sp (but for the
# base's width, where the two are one), six rates at the longest, one run at each length
# between, two beside one of these.
_RUNS_AT = {0.25: 13.3, 0.35: 1.0, 0.5: 1.6, 0.71: 1.0, 1.0: 6.0}
_FIXED_SECONDS = 45.0  # imports, the two coordinate checks, fitting, the report
_TIMED_STEPS = 16  # of each width
_SAFETY = 0.85  # share of the time that is planned for; the rest absorbs other load


def longest_tokens(
    tier: Tier, *, seconds_a_token: dict[int, float], seconds: float, workers: int
) -> int:
    """The longest ladder length, in tokens, that fits `seconds` on `workers` one-thread workers.

    Args:
        tier: Widths of ladder and target.
        seconds_a_token: Measured cost of one training token at each width, one thread.
        seconds: Time for the whole study.
        workers: Runs that go on side by side; the target goes alone, on one thread.
    """
    ladder = sum(seconds_a_token[width] for width in tier.widths)
    ladder_cost = ladder * sum(share * runs for share, runs in _RUNS_AT.items())
    target_cost = seconds_a_token[tier.target_width] * TARGET_SHARE
    affordable = (_SAFETY * seconds - _FIXED_SECONDS) / (ladder_cost / workers + target_cost)
    return _whole_steps(min(LONGEST_TOKENS, max(SHORTEST_TOKENS / LENGTH_SHARES[0], affordable)))


def _whole_steps(tokens: float) -> int:
    return BATCH * max(1, round(tokens / BATCH))


def _seconds_a_token(widths: Sequence[int]) -> dict[int, float]:
    """Time training steps of the quickstart's own model at every width, on one thread.

    Widths take turns, and the lower quartile counts: a moment's other load shrinks no study.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    steppers = {width: _stepper(width) for width in widths}
    seconds: dict[int, list[float]] = {width: [] for width in widths}
    for _ in range(_TIMED_STEPS):
        for width, step in steppers.items():
            began = time.perf_counter()
            step()
            seconds[width].append(time.perf_counter() - began)
    torch.set_num_threads(threads)
    return {width: sorted(timed)[len(timed) // 4] / BATCH for width, timed in seconds.items()}


def _stepper(width: int) -> Callable[[], None]:
    """One training step of the model at one width, on random tokens."""
    import torch

    from windtunnel.models import build_family
    from windtunnel.scale import Scale

    family = build_family(
        "gpt", {"head_size": HEAD_SIZE}, vocabulary_size=256, sequence_length=SEQUENCE_LENGTH
    )
    model = family.build(Scale(width=width, depth=DEPTH))
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    tokens = torch.randint(0, 256, (BATCH // SEQUENCE_LENGTH, SEQUENCE_LENGTH))

    def step() -> None:
        torch.autograd.backward(family.loss(model, (tokens, tokens)))
        optimizer.step()
        optimizer.zero_grad()

    return step
