"""The real command line, as a person uses it: in processes of its own, and killed half-way."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from windtunnel import cli
from windtunnel.search.study_store import study_store

pytest.importorskip("torch")

SOURCE = Path(__file__).parents[1] / "src"
COMMAND = [sys.executable, "-c", "from windtunnel.cli import main; main()"]
STUDY = """\
name: tiny
family: {{name: gpt, options: {{head_size: 8}}}}
data: {{source: {text}, sequence_length: 16, validation_sequences: 16}}
device: cpu
workers: {workers}
base: {{width: 16, depth: 1, tokens: 1024}}
ladder: {{width: [8, 16], depth: 1, tokens: [512, 768, 1024]}}
target: {{width: 32, depth: 1, tokens: 1536}}
recipe: {{batch: 64}}
search: {{hyperparameters: {{lr: {{low: 0.016, high: 0.064, points: 3}}}}, seeds: 1}}
"""
LEFT_RUNNING_SECONDS = 5.0

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")


def write_study(folder: Path, text: Path, workers: int = 1) -> Path:
    folder.mkdir()
    (folder / "study.yaml").write_text(STUDY.format(text=text, workers=workers), encoding="utf-8")
    return folder


def write_corpus(path: Path) -> Path:
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefgh", k=draw.randint(2, 5))) for _ in range(40)]
    documents = [" ".join(draw.choices(words, k=60)) for _ in range(150)]
    path.write_text("".join(json.dumps({"text": d}) + "\n" for d in documents), encoding="utf-8")
    return path


def start(cache: Path, *arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(SOURCE),
        "OMP_NUM_THREADS": "1",
        "WINDTUNNEL_CACHE": str(cache),
    }
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,  # so that a signal meant for it reaches it alone
        **options,
    )


@dataclasses.dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    output: str
    errors: str

    @property
    def json(self) -> Any:
        """Standard output, which must be JSON and nothing else."""
        return json.loads(self.output)


def end(process: subprocess.Popen[str]) -> Ended:
    output, errors = process.communicate(timeout=300)
    return Ended(process.returncode, output, errors)


def run(cache: Path, *arguments: str | Path) -> Ended:
    return end(start(cache, *arguments))


def run_here(cache: Path, *arguments: str | Path) -> Ended:
    """The same in this process, which has imported torch already; it is not to be killed."""
    output, errors = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
        pytest.raises(SystemExit) as ended,
    ):
        patch.setenv("WINDTUNNEL_CACHE", str(cache))
        patch.setenv("PYTHONPATH", str(SOURCE))  # for the workers
        patch.setattr(os, "_exit", sys.exit)
        patch.setattr(sys, "argv", ["windtunnel", *map(str, arguments)])
        cli.main()
    return Ended(int(ended.value.code or 0), output.getvalue(), errors.getvalue())


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
        assert process.poll() is None, f"ended too early: {end(process)}"
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

    cache: Path
    whole: Path
    disturbed: Path
    run: Ended
    left: dict[str, list[int]] = dataclasses.field(default_factory=dict)
    kept: dict[str, bool] = dataclasses.field(default_factory=dict)
    interrupted: Ended | None = None
    interrupt_seconds: float = 0.0
    steps: dict[str, Ended] = dataclasses.field(default_factory=dict)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Carry out two small studies side by side, one of them through every mishap."""
    scratch = tmp_path_factory.mktemp("story")
    cache, text = scratch / "cache", write_corpus(scratch / "text.jsonl")
    whole = write_study(scratch / "whole", text, workers=2)
    disturbed = write_study(scratch / "disturbed", text, workers=1)
    with contextlib.ExitStack() as cleanup:

        def launch(*arguments: str | Path) -> subprocess.Popen[str]:
            process = start(cache, *arguments)
            cleanup.callback(process.kill)
            return process

        undisturbed = launch("run", whole, "--json")
        told = Story(cache, whole, disturbed, Ended(-1, "", ""))
        disturb(told, launch)
        told.steps["tune"] = end(launch("tune", disturbed, "--json"))
        told.run = end(undisturbed)
        for step in ("explain", "check", "transfer", "fit", "forecast", "train", "report"):
            told.steps[step] = run_here(cache, step, disturbed, "--json")
        yield told


def disturb(told: Story, launch: Callable[..., subprocess.Popen[str]]) -> None:
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
    assert list(summary) == ["rule", "optimizer", *promised]
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


def test_a_second_run_trains_nothing_and_says_so(story: Story) -> None:
    before = table(story.whole), finished(story.whole)
    again = run(story.cache, "run", story.whole)
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
    assert story.interrupted is not None
    assert story.interrupted.code == 130
    assert "the same command goes on" in story.interrupted.errors
    assert "Traceback" not in story.interrupted.errors
    # Two seconds are promised on an idle machine; the tests' machine is busy.
    assert story.interrupt_seconds < 4


def without_times(value: dict[str, Any]) -> dict[str, Any]:
    times = {"seconds", "wall_seconds", "made_at", "finished_at", "study", "steps", "environment"}
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


# Input that is wrong


Windtunnel = Callable[..., Ended]


@pytest.fixture
def windtunnel(tmp_path: Path) -> Windtunnel:
    """The command line in this process, with an empty cache."""
    return functools.partial(run_here, tmp_path / "cache")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_study(tmp_path / "study", write_corpus(tmp_path / "text.jsonl"))


WRONG = {
    "unknown key": ("batch: 64", "batch: 64, momentum: 0.9", "recipe.momentum"),
    "wrong unit": ("depth: 1, tokens: 1536", "depth: 1, images: 1536", "target.images"),
    "no amount": ("tokens: 1536", "tokens: many", "target.tokens"),
    "empty ladder": ("width: [8, 16]", "width: []", "ladder.width"),
    "target below the ladder": ("target: {width: 32", "target: {width: 8", "target.width"),
    "missing data": ("text.jsonl", "gone.jsonl", "data.source"),
    "unknown family": ("name: gpt", "name: resnet", "family"),
    "unknown option": ("head_size: 8", "head_sise: 8", "head_sise"),
    "unknown rule": ("name: tiny", "name: tiny\nrule: mupp", "rule"),
    "unknown optimizer": ("name: tiny", "name: tiny\noptimizer: adam", "optimizer"),
    "width that no head fits": ("width: [8, 16]", "width: [8, 20]", "width"),
    "own command": ("family: {name: gpt, options: {head_size: 8}}", "run: python x.py", "run"),
}


@pytest.mark.parametrize("command", ["run", "tune", "check", "explain", "report"])
@pytest.mark.parametrize("wrong", WRONG)
def test_bad_input_is_one_line_with_the_fields_path_and_writes_nothing(
    folder: Path, windtunnel: Windtunnel, wrong: str, command: str
) -> None:
    right, mistake, place = WRONG[wrong]
    file = folder / "study.yaml"
    text = file.read_text()
    assert right in text
    file.write_text(text.replace(right, mistake))
    ended = windtunnel(command, folder)
    assert ended.code == 2
    assert ended.output == ""
    assert ended.errors.startswith("windtunnel: ")
    assert ended.errors.count("\n") == 1, ended.errors
    assert place in ended.errors
    assert [path.name for path in folder.iterdir()] == ["study.yaml"]


@pytest.mark.parametrize("step", ["transfer", "fit", "forecast", "train"])
def test_a_step_too_early_names_the_command_to_run_first(
    folder: Path, windtunnel: Windtunnel, step: str
) -> None:
    ended = windtunnel(step, folder)
    first = {"transfer": "tune", "fit": "tune", "forecast": "fit", "train": "forecast"}[step]
    assert ended.code == 2
    assert f"windtunnel {first} " in ended.errors
    assert ended.errors.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tune", "--time", "soon"], "--time: 'soon'"),
        (["explain", "--scale", "width=-4"], "--scale width"),
        (["explain", "--scale", "height=4"], "no axis 'height'"),
        (["check", "--rule", "mupp"], "mupp"),
        (["tune", "--fast"], "--fast"),
    ],
)
def test_wrong_options_are_one_line(
    folder: Path, windtunnel: Windtunnel, arguments: list[str], words: str
) -> None:
    command, *options = arguments
    ended = windtunnel(command, folder, *options)
    assert (ended.code, ended.output) == (2, "")
    assert words in ended.errors
    assert ended.errors.count("\n") == 1, ended.errors


def test_a_study_that_is_not_there(windtunnel: Windtunnel, tmp_path: Path) -> None:
    ended = windtunnel("run", tmp_path / "nowhere")
    assert ended.code == 2
    assert "windtunnel init" in ended.errors
    assert not (tmp_path / "nowhere").exists()


def test_init_then_explain(windtunnel: Windtunnel, tmp_path: Path) -> None:
    made = windtunnel("init", tmp_path / "new", "--json")
    assert made.code == 0
    assert made.json == {"study": str(tmp_path / "new" / "study.yaml")}
    again = windtunnel("init", tmp_path / "new")
    assert again.code == 2
    assert "exists already" in again.errors


def test_init_in_the_folder_of_a_file_is_one_line(windtunnel: Windtunnel, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = windtunnel("init", tmp_path / "file")
    assert ended.code == 2
    assert ended.errors.count("\n") == 1


def test_a_real_process_ends_with_code_2_and_one_line(tmp_path: Path) -> None:
    ended = run(tmp_path / "cache", "run", tmp_path / "nowhere", "--json")
    assert (ended.code, ended.output) == (2, "")
    assert ended.errors.count("\n") == 1


# Starting up


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import os, sys\n"
        "from windtunnel import cli\n"
        "def leave(code):\n"
        "    heavy = {'torch', 'numpy', 'scipy', 'pydantic', 'sqlalchemy', 'matplotlib', 'yaml'}\n"
        "    print('heavy:', sorted(heavy & set(sys.modules)), 'code:', code)\n"
        "os._exit = leave\n"
        "sys.argv = ['windtunnel', '--help']\n"
        "cli.main()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )
    assert "Usage:" in ended.stdout
    assert ended.stdout.rstrip().endswith("heavy: [] code: 0")
