"""A whole study in one command, and step by step through every mishap: killed half-way."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from windtunnel.search.study_store import study_store

LEFT_RUNNING_SECONDS = 5.0

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")


def children(pid: int) -> list[int]:
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def running(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"  # nobody may bury orphans in a container


def left_running(pids: list[int]) -> list[int]:
    deadline = time.monotonic() + LEFT_RUNNING_SECONDS
    while (left := list(filter(running, pids))) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def finished(folder: Path) -> dict[Path, int]:
    """Result files and when they were written."""
    return {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/result.json")}


def wait_for_results(process: subprocess.Popen[str], folder: Path, count: int) -> None:
    deadline = time.monotonic() + 120
    while len(finished(folder)) < count:
        assert process.poll() is None, f"ended too early: {process.communicate()}"
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def table(folder: Path) -> list[tuple[Any, ...]]:
    """Everything in the store that must not depend on crashes and speed."""
    store = study_store(folder)
    try:
        return [
            (row.number, row.run.key, row.purpose, row.state, row.loss, row.loss_se)
            for row in store.list()
        ]
    finally:
        store.close()


@dataclasses.dataclass
class Story:
    """What happened to an undisturbed study, and to a disturbed one carried out step by step."""

    whole: Path
    disturbed: Path
    run: Any = None
    left: dict[str, list[int]] = dataclasses.field(default_factory=dict)
    kept: dict[str, bool] = dataclasses.field(default_factory=dict)
    interrupted: Any = None
    interrupt_seconds: float = 0.0
    steps: dict[str, Any] = dataclasses.field(default_factory=dict)


@pytest.fixture(scope="module")
def story(command_line: Any, make_study: Callable[..., Path]) -> Iterator[Story]:
    """Carry out two small studies side by side, one of them through every mishap."""
    told = Story(make_study("whole", workers=2), make_study("disturbed", workers=1))
    with contextlib.ExitStack() as cleanup:

        def launch(*arguments: str | Path) -> subprocess.Popen[str]:
            process: subprocess.Popen[str] = command_line.start(*arguments)
            cleanup.callback(process.kill)
            return process

        undisturbed = launch("run", told.whole, "--json")
        disturb(told, launch, command_line.end)
        told.steps["tune"] = command_line.end(launch("tune", told.disturbed, "--json"))
        told.run = command_line.end(undisturbed)
        for step in ("explain", "check", "transfer", "fit", "forecast", "train", "report"):
            told.steps[step] = command_line.run_here(step, told.disturbed, "--json")
        yield told


def disturb(
    told: Story, launch: Callable[..., subprocess.Popen[str]], end: Callable[..., Any]
) -> None:
    folder = told.disturbed
    process = launch("tune", folder)
    wait_for_results(process, folder, 3)
    before, workers = finished(folder), children(process.pid)
    process.kill()
    process.wait()
    told.left["kill -9 of main"] = left_running(workers)
    process = launch("tune", folder)
    wait_for_results(process, folder, len(before) + 3)
    workers = children(process.pid)
    os.kill(workers[0], signal.SIGKILL)
    told.left["kill -9 of a worker"] = left_running(workers[:1])
    before |= {path: when for path, when in finished(folder).items() if path not in before}
    wait_for_results(process, folder, len(before) + 3)
    before |= {path: when for path, when in finished(folder).items() if path not in before}
    workers = children(process.pid)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    told.interrupted = end(process)
    told.interrupt_seconds = time.monotonic() - began
    told.left["Ctrl-C"] = left_running(workers)
    after = finished(folder)
    told.kept = {path.parent.name: after.get(path) == when for path, when in before.items()}


# The whole study in one command


def test_a_whole_study_ends_with_a_verdict_and_prints_only_json(story: Story) -> None:
    assert story.run.code in (0, 3, 4), story.run.errors
    assert story.run.json == json.loads((story.whole / "summary.json").read_text())
    assert "<html" in (story.whole / "report.html").read_text(encoding="utf-8")


def test_the_exit_code_says_what_the_forecast_is_worth(story: Story) -> None:
    verdict = story.run.json["forecast"]["verdict"]
    assert story.run.code == {"ok": 0, "wide": 0, "cannot say": 4}[verdict]


def test_the_summary_has_the_promised_fields(story: Story) -> None:
    promised = {
        "coordinate_check": "verdict max_abs_slope sp_verdict sp_max_abs_slope",
        "transfer": "verdict slope slope_ci90 sp_slope sp_slope_ci90 loss_paid_percent axes",
        "tuned": "lr lr_ci90",
        "forecast": "loss ci90 verdict made_at",
        "target": "loss loss_se error_percent inside params tokens flops",
        "cost": "tuning_flops diagnostic_flops target_flops wall_seconds runs diverged",
    }
    summary = story.run.json
    assert list(summary) == ["rule", "optimizer", *promised, "imported"]
    assert summary["imported"] is None  # all of it was trained here
    assert (summary["rule"], summary["optimizer"]) == ("mup", "adamw")
    for part, fields in promised.items():
        assert set(fields.split()) <= set(summary[part]), part
    assert [axis["axis"] for axis in summary["transfer"]["axes"]] == ["width", "tokens"]
    assert summary["cost"]["runs"] == len(table(story.whole))


def test_the_forecast_was_written_before_the_target_was_trained(story: Story) -> None:
    for folder in (story.whole, story.disturbed):
        forecast = json.loads((folder / "forecast.json").read_text())
        target = json.loads((folder / "target.json").read_text())
        assert forecast["made_at"] <= target["finished_at"]
        (key,) = {row[1] for row in table(folder) if row[2].startswith("target")}
        # The run's folder is made when the target starts.
        first = min(path.stat().st_mtime_ns for path in (folder / "runs" / key).iterdir())
        assert (folder / "forecast.json").stat().st_mtime_ns < first


def test_a_second_run_trains_nothing_and_says_so(story: Story, command_line: Any) -> None:
    before = table(story.whole), finished(story.whole)
    again = command_line.run("run", story.whole)
    assert again.code == story.run.code
    assert "nothing was trained again" in again.output
    assert (table(story.whole), finished(story.whole)) == before


# Step by step, through every mishap


@linux
@pytest.mark.parametrize("mishap", ["kill -9 of main", "kill -9 of a worker", "Ctrl-C"])
def test_nothing_is_left_running(story: Story, mishap: str) -> None:
    assert story.left[mishap] == []


@linux
def test_finished_runs_survive_every_mishap_untouched(story: Story) -> None:
    assert len(story.kept) >= 9
    assert all(story.kept.values()), story.kept


@linux
def test_the_table_is_that_of_an_undisturbed_study(story: Story) -> None:
    assert table(story.disturbed) == table(story.whole)


@linux
def test_ctrl_c_ends_soon_with_words_that_say_how_to_go_on(story: Story) -> None:
    assert story.interrupted.code == 130
    assert "the same command goes on" in story.interrupted.errors
    assert "Traceback" not in story.interrupted.errors
    # Two seconds are promised on an idle machine; the tests' machine is busy.
    assert story.interrupt_seconds < 4


def without_times(value: dict[str, Any]) -> dict[str, Any]:
    times = {"seconds", "wall_seconds", "made_at", "finished_at", "study", "steps", "environment"}
    times |= {"utilisation"}
    return {
        key: without_times(part) if isinstance(part, dict) else part
        for key, part in value.items()
        if key not in times
    }


@linux
@pytest.mark.parametrize("step", ["tune", "transfer", "fit", "forecast", "train", "check"])
def test_each_step_alone_gives_what_the_whole_gives(story: Story, step: str) -> None:
    file = {"train": "target", "check": "check-mup"}.get(step, step)
    alone = story.steps[step]
    assert alone.code in (0, 3, 4), alone.errors
    whole = json.loads((story.whole / f"{file}.json").read_text())
    assert without_times(alone.json) == without_times(whole)


@linux
def test_explain_and_report_alone(story: Story) -> None:
    assert story.steps["explain"].json["target"]["width"] == 32
    report = Path(story.steps["report"].json["report"])
    assert report.parent == story.disturbed
    assert report.exists()
    parts = ("transfer", "tuned", "forecast", "target", "cost")
    summaries = [
        json.loads((folder / "summary.json").read_text())
        for folder in (story.disturbed, story.whole)
    ]
    alone, whole = [without_times({part: s[part] for part in parts}) for s in summaries]
    assert alone == whole
