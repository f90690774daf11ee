"""Carry one step's runs out on this machine's workers, with a live estimate of the time left."""

from __future__ import annotations

from typing import Any

from windtunnel.errors import CannotSayError
from windtunnel.report.progress import StudyProgress
from windtunnel.scale import Run
from windtunnel.search.drive import PHASE_SIZE, Driver
from windtunnel.search.executors.supervisor import (
    COMMAND_GRACE_SECONDS,
    GRACE_SECONDS,
    MOST_FAILURES,
    Supervisor,
    carry_out,
    failures_at_the_end,
)
from windtunnel.search.executors.worker import TRAINER
from windtunnel.search.policy import Budget, Policy
from windtunnel.search.shared_studies import SharedStudy, share_study
from windtunnel.search.store import LEASE_SECONDS, Store
from windtunnel.search.study_store import has_store, shared_name, shared_url, study_store
from windtunnel.search.table import Table
from windtunnel.spec import StudySpec
from windtunnel.studies.meter import ExpectedRuns, Learned, Meter
from windtunnel.studies.study import STUDY_FILE, Study

# Decisions of earlier phases have lower numbers, and workers take the lowest first.
COMPARE = "compare"
PHASES = {"tune": 0, "fit": 1, "target": 2, COMPARE: 3}
# Where runs are numbered that were paid for elsewhere; no step decided on them.
IMPORTED_PHASE = 9

COMMAND_TRAINER = "windtunnel.search.executors.run_command:run_command"


class NotCarriedOut(Exception):  # noqa: N818  (an event, not an error of anyone's)
    """A step waits for runs that somebody else carries out."""


def execute(
    study: Study,
    step: str,
    policy: Policy[Run],
    progress: StudyProgress,
    *,
    expected: ExpectedRuns = lambda _: [],
    learned: Learned = lambda _: "",
    searches: bool = False,
    alone: bool = False,
    threads: int = 1,
) -> tuple[Table[Run], str]:
    """Decide and train until the policy stops; finished runs are never repeated.

    Args:
        study: The study whose store and workers are used.
        step: A key of `PHASES`.
        policy: Who decides.
        progress: Where the step's bar is shown.
        expected: Runs that will still be decided, for the estimate of the time left.
        learned: What the step's table says of the target so far, in a few words.
        searches: A run that fails is a result to the policy, and doesn't end the step.
        alone: Train one run at a time, instead of one a core.
        threads: CPU threads of each run.

    Returns:
        The step's table and why the policy stopped.

    Raises:
        WindtunnelError: A run failed for good; in a search, several in a row.
        CannotSayError: The budget was spent before anything finished.
        NotCarriedOut: The study's runs are handed out, and some have no result yet.
    """
    spec = study.spec
    study.begin()
    store = study_store(study.folder)
    if shared_url() is not None:
        text = (study.folder / STUDY_FILE).read_text(encoding="utf-8")
        share_study(store, SharedStudy(shared_name(study.folder), text, study.data_hash))

    def new_driver() -> Driver[Run]:
        lag, seed = spec.search.parallelism, spec.seed
        return Driver(store, policy, lag=lag, seed=seed, phase=PHASES[step])

    driver = new_driver()
    trainer, devices, lease_seconds = trainer_of(spec, alone=alone)
    meter = Meter(store, driver, expected, learned)

    def budget() -> Budget:
        return Budget(
            flops=spec.budget.flops,
            seconds=spec.budget.time,
            flops_used=_flops_of(store) if spec.budget.flops else 0.0,
            seconds_used=study.seconds_before + study.seconds_open,
        )

    try:
        stop = driver.advance(budget())
        if stop is None or not _settled(driver.table(), searches=searches):
            if study.asked:
                raise NotCarriedOut(step)
            own = range(driver.first, driver.first + PHASE_SIZE)
            if store.rewind_failed(own) if searches else store.retry_failed(own):
                driver = meter.driver = new_driver()
            with (
                progress.step(_DESCRIPTIONS[step], meter.total(), completed=meter.done()) as bar,
                Supervisor(
                    study.folder,
                    store,
                    devices,
                    trainer=trainer,
                    threads=threads,
                    lease_seconds=lease_seconds,
                    limits=spec.limits if spec.run is None else None,
                    grace=GRACE_SECONDS if spec.run is None else COMMAND_GRACE_SECONDS,
                ) as supervisor,
            ):

                def show(news: list[str]) -> None:
                    for line in news:
                        progress.say(line)
                    bar.update(
                        meter.done(),
                        meter.note(),
                        total=meter.total(),
                        learned=meter.learned(),
                        scales=meter.scales(),
                    )

                stop = carry_out(
                    driver, supervisor, budget=budget, on_tick=show, each_alone=searches
                )
        table, spent = driver.table(), budget().spent
    finally:
        store.close()
    if spent and not any(row.state in ("finished", "diverged") for row in table):
        raise CannotSayError(f"{step}: {spent}; nothing was trained. Raise the budget.")
    return table, stop.reason


def _flops_of(store: Store[Run]) -> float:
    return float(sum(result["flops"] for result in store.results().values()))


def _settled(table: Table[Run], *, searches: bool) -> bool:
    """Whether every run has ended, and none is to be tried again."""
    if not all(row.done for row in table):
        return False
    if searches:
        return len(failures_at_the_end(table)) < MOST_FAILURES
    return all(row.state != "failed" for row in table)


def trainer_of(spec: StudySpec, *, alone: bool) -> tuple[str, list[str], float]:
    """What trains a run, on which devices, and how long a worker may be silent.

    A command takes what it needs of the machine, so there is one at a time unless the study says
    otherwise; it is ended before its lease is, and the supervisor sees a worker's death at once.
    """
    if spec.run is not None:
        workers = 1 if alone or spec.workers == "auto" else spec.workers
        return COMMAND_TRAINER, [spec.device] * workers, 2 * spec.limits.silence + LEASE_SECONDS
    from windtunnel.training.device import worker_devices

    return TRAINER, worker_devices(spec.device, 1 if alone else spec.workers), LEASE_SECONDS


def results(study: Study) -> dict[str, list[dict[str, Any]]]:
    """Every finished run's result by step, each with its run under `run`; none imported."""
    found: dict[str, list[dict[str, Any]]] = {step: [] for step in PHASES}
    if not has_store(study.folder):
        return found
    store = study_store(study.folder)
    try:
        rows = {row.number: row.run for row in store.list()}
        for number, result in sorted(store.results().items()):
            if number // PHASE_SIZE == IMPORTED_PHASE:
                continue
            found[step_of(number)].append({**result, "run": rows[number]})
        return found
    finally:
        store.close()


def step_of(number: int) -> str:
    """The step that made a decision of the store."""
    return next(step for step, phase in PHASES.items() if phase == number // PHASE_SIZE)


_DESCRIPTIONS = {
    "tune": "Tuning on the ladder",
    "fit": "Filling in the ladder",
    "target": "Training the target",
    COMPARE: "Training what is compared",
}
