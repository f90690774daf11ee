"""AlgoPerf's two tracks: one time for a method on a workload from its studies.

Rules and numbers as in DOCUMENTATION.md of mlcommons/algorithmic-efficiency (version 0.0.22), which
goes with Dahl et al. 2023 (2306.07179).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from windtunnel.errors import WindtunnelError

STUDIES = 5
TRIALS = 5  # of one study on the external track
SELF_TUNING_TIME = 3.0  # times the time allowed on the external track


def external_time(
    studies: Sequence[Sequence[float]], *, number: int = STUDIES, trials: int = TRIALS
) -> float:
    """Time on the external-tuning track: the median over studies of each study's fastest trial.

    A study is a handful of settings drawn from one space that is the same for every workload; a
    trial that never reached the target is infinite.

    Args:
        studies: Times to the target by study and trial.
        number: Studies that the rules ask for.
        trials: Trials in each.

    Raises:
        WindtunnelError: Another number of studies, or of trials in one: more trials find a faster
            one by luck alone.
    """
    _check(len(studies), number)
    for place, study in enumerate(studies, start=1):
        if len(study) != trials:
            raise WindtunnelError(
                f"external tuning: study {place} has {len(study)} trials and needs {trials}; more "
                "would find a faster one by luck"
            )
    return float(np.median([min(study) for study in studies]))


def self_tuning_time(runs: Sequence[float], *, allowed: float, number: int = STUDIES) -> float:
    """Time on the self-tuning track: the median over runs that set everything for themselves.

    Tuning is on the clock, so three times the external track's time is allowed, and a run that
    takes longer never reached its target.

    Args:
        runs: Times to the target, one a run.
        allowed: On the external track, in the same unit.
        number: Runs that the rules ask for.

    Raises:
        WindtunnelError: Another number of runs.
    """
    _check(len(runs), number)
    most = SELF_TUNING_TIME * allowed
    return float(np.median([time if time <= most else np.inf for time in runs]))


def _check(found: int, number: int) -> None:
    if found != number:
        raise WindtunnelError(f"tracks: {found} studies, and the rules ask for {number}")
