from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from windtunnel.command import PLACEHOLDERS, arguments, placeholders
from windtunnel.errors import WindtunnelError
from windtunnel.scale import DataIdentity, Recipe, Run, Scale
from windtunnel.spec import load_study

RUN = Run(
    family="command",
    family_options=(),
    optimizer="own",
    rule="own",
    base=Scale(16, 2),
    scale=Scale(64, 2, 5000),
    recipe=Recipe(lr=0.01, batch_units=100),
    data=DataIdentity("", 1, 1),
    init_seed=7,
)
STUDY: dict[str, Any] = {
    "run": "python train.py --dim {width} --tokens {tokens} --lr {lr} --seed {seed}",
    "base": {"width": 32, "depth": 2, "tokens": 1000},
    "ladder": {"width": [16, 32], "depth": 2, "tokens": [1000]},
    "target": {"width": 64, "depth": 2, "tokens": 2000},
    "recipe": {"batch": 100},
    "search": {"hyperparameters": {"lr": {"low": 0.001, "high": 0.1}}},
}


def load(tmp_path: Path, **changes: Any):
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(STUDY | changes))
    return load_study(path)


def test_values_are_parts_of_words_and_no_shell_sees_them(tmp_path: Path) -> None:
    command = "python 'my train.py' --dim={width} --lr {lr} --out {run}/x --note '{{;rm}} {seed}'"
    folder = tmp_path / "a b; c"
    assert arguments(command, RUN, folder, "cpu") == [
        *("python", "my train.py", "--dim=64", "--lr", "0.01"),
        *("--out", f"{folder}/x", "--note", "{;rm} 7"),
    ]


def test_every_placeholder_has_a_value() -> None:
    every = " ".join(f"{{{name}}}" for name in PLACEHOLDERS)
    assert placeholders(every) == frozenset(PLACEHOLDERS)
    found = dict(zip(PLACEHOLDERS, arguments(every, RUN, Path("r"), "cuda:1"), strict=True))
    assert (found["units"], found["tokens"], found["steps"]) == ("5000", "5000", "50")
    assert (found["device"], found["batch_units"], found["schedule"]) == ("cuda:1", "100", "wsd")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("python x.py {widht}", r"no \{widht\}; did you mean \{width\}\?"),
        ("python x.py {}", r"there is no \{\}"),
        ("python x.py {lr", r"write literal braces as"),
        ("python 'x.py {lr}", "No closing quotation"),
        ("   ", "the command is empty"),
        ("python x.py {model}", r"there is no \{model\}"),
    ],
)
def test_a_command_that_cannot_be_filled_in_is_refused(command: str, words: str) -> None:
    with pytest.raises(WindtunnelError, match=words):
        placeholders(command)


def test_a_study_of_a_command(tmp_path: Path) -> None:
    spec = load(tmp_path)
    assert spec.run is not None
    assert spec.run.params == "12 * depth * width**2"
    full = {"command": STUDY["run"], "params": "width**2"}
    assert load(tmp_path, run=full).run.params == "width**2"


def test_limits_of_a_run(tmp_path: Path) -> None:
    usual = load(tmp_path).limits
    assert (usual.silence, usual.time, usual.memory) == (600, None, None)
    own = load(tmp_path, limits={"silence": "90s", "time": "2h", "memory": "1.5G"}).limits
    assert (own.silence, own.time, own.memory) == (90, 7200, 1_500_000_000)
    with pytest.raises(WindtunnelError, match=r"limits\.silence"):
        load(tmp_path, limits={"silence": 0})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"run": "python x.py {tokens} {lr} {seed}"}, r"varies width, and the command has no"),
        ({"run": "python x.py {width} {lr} {seed}"}, r"varies tokens, and the command has no"),
        ({"run": "python x.py {width} {tokens} {seed}"}, r"varies lr, and the command has no"),
        ({"run": "python x.py {width} {tokens} {lr}"}, r"varies seed, and the command has no"),
        ({"run": "python x.py {wdith}"}, r"run: there is no \{wdith\}; did you mean \{width\}"),
        ({"run": {"command": STUDY["run"], "params": "12 * L"}}, r"run: '12 \* L': no 'L'"),
        ({"metric": {"name": "acc", "goal": "maximize"}}, r"report an error \(1 - accuracy\)"),
        ({"family": {"name": "gpt"}}, "name a family or give `run:`"),
    ],
)
def test_what_the_study_varies_has_to_reach_the_command(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(WindtunnelError, match=words):
        load(tmp_path, **changes)
