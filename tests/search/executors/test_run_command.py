"""Small scripts in place of training: what each way of ending becomes."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.scale import DataIdentity, Recipe, Run, Scale
from windtunnel.search.executors.run_command import run_command
from windtunnel.spec import StudySpec

RUN = Run(
    family="command",
    family_options=(),
    optimizer="own",
    rule="own",
    base=Scale(16, 2),
    scale=Scale(64, 2, 5000),
    recipe=Recipe(lr=0.01, batch_units=100),
    data=DataIdentity("", 1, 1),
)
ROW = "import json,os;w=open(os.environ['WINDTUNNEL_RUN']+'/rows.jsonl','a').write\n"


def spec_of(script: Path, limits: dict[str, Any] | None = None, **run: Any) -> StudySpec:
    command = f"{sys.executable} {script} {{width}} {{tokens}} {{lr}} {{seed}}"
    return StudySpec.model_validate(
        {
            "run": {"command": command, **run},
            "base": {"width": 16, "depth": 2, "tokens": 1000},
            "ladder": {"width": [16, 32], "depth": 2, "tokens": [1000]},
            "target": {"width": 64, "depth": 2, "tokens": 5000},
            "recipe": {"batch": 100},
            "limits": limits or {},
            "search": {"hyperparameters": {"lr": {"low": 0.001, "high": 0.1}}},
        }
    )


Carry = Callable[..., dict[str, Any] | None]


@pytest.fixture
def carry(tmp_path: Path) -> Carry:
    """Writes a script and runs it as a study's command."""

    def carry_out(
        text: str,
        *,
        should_stop: Callable[[], bool] = lambda: False,
        said: list[tuple[int, int, float]] | None = None,
        **run: Any,
    ) -> dict[str, Any] | None:
        script = tmp_path / "script.py"
        script.write_text(ROW + text)
        return run_command(
            RUN,
            tmp_path / "runs" / RUN.key,
            spec_of(script, **run),
            "cpu",
            should_stop,
            lambda *row: (said if said is not None else []).append(row),
        )

    return carry_out


def folder(tmp_path: Path) -> Path:
    return tmp_path / "runs" / RUN.key


def test_rows_make_a_result(carry: Carry, tmp_path: Path) -> None:
    said: list[tuple[int, int, float]] = []
    result = carry(
        "import sys;print(sys.argv[1:], os.getcwd())\n"
        "w(json.dumps({'step': 10, 'steps': 50, 'loss': 3.0})+'\\n')\n"
        "w(json.dumps({'step': 50, 'loss': 2.5, 'loss_se': .01, 'tokens': 4900})+'\\n')\n",
        said=said,
        params="10 * width",
    )
    assert result is not None
    assert said == [(10, 50, 3.0), (50, 50, 2.5)]
    assert (result["status"], result["loss"], result["loss_se"]) == ("finished", 2.5, 0.01)
    assert (result["units"], result["steps"], result["params"]) == (4900, 50, 640)
    assert result["flops"] == 6 * 640 * 4900
    assert json.loads((folder(tmp_path) / "result.json").read_text()) == result
    output = (folder(tmp_path) / "output.log").read_text()
    assert output == f"['64', '5000', '0.01', '0'] {tmp_path}\n"


def test_counts_of_its_own_go_first(carry: Carry) -> None:
    result = carry("w(json.dumps({'step':1,'loss':2.0,'params':77,'flops':1e9})+'\\n')")
    assert result is not None and (result["params"], result["flops"]) == (77, 1e9)


@pytest.mark.parametrize("value", ["None", "float('nan')", "float('inf')"])
def test_a_loss_that_is_no_number_is_divergence(carry: Carry, value: str) -> None:
    result = carry(f"w(json.dumps({{'step':9,'loss':{value}}})+'\\n')")
    assert result is not None
    assert (result["status"], result["loss"], result["steps"]) == ("diverged", None, 9)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "wrote no row; call windtunnel.report"),
        ("w(json.dumps({'step':1,'val':2.0})+'\\n')", "no row with 'loss'"),
        ("w('epoch 3\\n')", "'epoch 3' is no row such as"),
        ("w(json.dumps({'step':1,'loss':-2.0})+'\\n')", "loss is -2 at step 1, outside"),
    ],
)
def test_what_no_new_try_would_mend(carry: Carry, text: str, words: str) -> None:
    with pytest.raises(WindtunnelError, match=words):
        carry(text)


def test_an_error_of_the_command_may_be_tried_again(carry: Carry) -> None:
    row = "w(json.dumps({'step':1,'loss':2.0})+'\\n')\n"
    with pytest.raises(RuntimeError, match=r"ended with status 1: .*ZeroDivisionError"):
        carry(row + "1/0")
    with pytest.raises(RuntimeError, match="ended by signal SIGKILL"):
        carry("os.kill(os.getpid(), 9)")
    with pytest.raises(WindtunnelError, match="wrote no row"):  # the first try's row isn't its own
        carry("")


def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    spec = spec_of(tmp_path / "x.py")
    assert spec.run is not None
    gone = spec.run.model_copy(update={"command": "no-such-program {lr}"})
    with pytest.raises(WindtunnelError, match="no-such-program can't be started"):
        run_command(
            RUN,
            folder(tmp_path),
            spec.model_copy(update={"run": gone}),
            "cpu",
            lambda: False,
            lambda *row: None,
        )


def test_silence_ends_it_and_all_it_started(carry: Carry, tmp_path: Path) -> None:
    child = (
        "import subprocess,sys,time\n"
        "c=subprocess.Popen([sys.executable,'-c','import time;time.sleep(60)'],"
        "start_new_session=True)\n"
        "print(c.pid, flush=True)\ntime.sleep(60)\n"
    )
    with pytest.raises(WindtunnelError, match=r"no progress for 1 seconds \(limits.silence\)"):
        carry(child, limits={"silence": 1.0})
    pid = int((folder(tmp_path) / "output.log").read_text())
    until = time.monotonic() + 5
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not alive(pid)


def test_asked_to_stop_it_may_keep_a_checkpoint(carry: Carry, tmp_path: Path) -> None:
    asked = time.monotonic() + 1.0
    result = carry(
        "import signal,sys,time\n"
        "f=os.environ['WINDTUNNEL_RUN']+'/mine'\n"
        "def stop(*_): open(f,'w').write('kept'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "w(json.dumps({'step':1,'loss':2.0})+'\\n')\ntime.sleep(60)\n",
        should_stop=lambda: time.monotonic() > asked,
    )
    assert result is None
    assert (folder(tmp_path) / "mine").read_text() == "kept"
    assert not (folder(tmp_path) / "result.json").exists()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_a_half_written_row_is_waited_for(carry: Carry) -> None:
    said: list[tuple[int, int, float]] = []
    result = carry(
        "import time\nf=open(os.environ['WINDTUNNEL_RUN']+'/rows.jsonl','a')\n"
        'f.write(\'{"step": 1, "lo\');f.flush();time.sleep(.3)\n'
        "f.write('ss\": 2.0}\\n');f.flush()\n",
        said=said,
    )
    assert said == [(1, 1, 2.0)]
    assert result is not None and not math.isnan(result["loss"])


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({"time": 1.0}, r"not done after 1 seconds \(limits.time\); some output"),
        ({"memory": 100_000_000}, r"where 0.1 GB are allowed \(limits.memory\); some output"),
    ],
)
def test_too_much_ends_it_and_its_last_words_are_told(
    carry: Carry, limits: dict[str, Any], says: str
) -> None:
    script = (
        "import time\nprint('some output', flush=True)\nheld = bytearray(b'x' * 200_000_000)\n"
        "for _ in range(100):\n    time.sleep(0.2)\n"
    )
    with pytest.raises(WindtunnelError, match=says):
        carry(script, limits=limits)
