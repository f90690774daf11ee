"""The pages' Python runs as it is printed."""

from __future__ import annotations

import inspect
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from windtunnel import cli
from windtunnel.data.tokenizers import load_tokenizer
from windtunnel.models import build_family
from windtunnel.optimizers import optimizer_names
from windtunnel.schedules import SCHEDULES
from windtunnel.schedules.decay_shapes import SHAPES
from windtunnel.schedules.settings import FROM_RECIPE
from windtunnel.spec import SearchSpec, TrainingSpec
from windtunnel.studies.comparison.spec import load_comparison

DOCS = Path(__file__).parents[1] / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def run_blocks(name: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", page(name), flags=re.DOTALL):
        exec(block, names)
    return names


def test_the_searches_of_the_page(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = run_blocks("search.md")["found"]
    assert found.values["width"] == 1024
    assert found.reason.startswith("at the target take lr ")
    assert "within 0.4 %" in found.reason
    assert "'optimizer': " in capsys.readouterr().out
    assert (tmp_path / "search.svg").exists()


def test_the_schedules_of_the_page(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    names = run_blocks("schedules.md")
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "{'last_epoch': 100}"
    assert said[1].startswith("critical batch about ")
    assert max(names["refined"]) == 1
    assert names["again"].at == names["trainer"].at
    assert abs(names["trainer"].at) < 0.5
    assert names["grown"][::10] == [8, 16, 32, *[64] * 7]
    assert (tmp_path / "schedules.png").stat().st_size > 10_000


def test_the_schedules_page_names_every_schedule_and_every_setting() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \|.*\|(.*)\|.*\|$", page("schedules.md"), re.MULTILINE)
    named = {name: set(re.findall(r"`([a-z_]+)`", settings)) for name, settings in rows}
    known = {
        name: set(inspect.signature(schedule).parameters)
        - {"step", "steps", "warmup_fraction", "decay_fraction", *FROM_RECIPE}
        for name, schedule in SCHEDULES.items()
    }
    assert named == known
    assert all(f"`{shape}`" in page("schedules.md") for shape in SHAPES)


def test_the_comparison_of_the_page(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = run_blocks("compare.md")
    printed = capsys.readouterr().out
    (command,) = re.findall(r"^    windtunnel (.*)$", page("compare.md"), re.MULTILINE)
    monkeypatch.setattr(sys, "argv", ["windtunnel", *command.split()])
    monkeypatch.setattr(os, "_exit", sys.exit)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = re.findall(r"```text\n(.*?)```", page("compare.md"), flags=re.DOTALL)
    assert [capsys.readouterr().out, printed] == [said[0], "".join(said[1:])]
    assert (ended.value.code or 0) == 0
    assert (tmp_path / "figures" / "speed-up.svg").exists()
    assert names["as_json"]["verdict"] == "cannot say"


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_every_link_to_a_file_of_ours_leads_somewhere(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)", text)
    ours = [link for link in links if "://" not in link]
    assert [link for link in ours if not (DOCS / link).exists()] == []


def test_the_study_files_of_the_page_on_searching_are_understood() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (DOCS / "search.md").read_text(), flags=re.DOTALL)
    found = [SearchSpec.model_validate(yaml.safe_load(block)["search"]) for block in blocks]
    assert [search.policy.name for search in found] == ["asha"]


def test_the_optimizers_page_names_every_optimizer_and_its_own_one_works() -> None:
    names = run_blocks("optimizers.md")
    assert names["METHOD"].name == "sign-momentum"
    rows = [line for line in page("optimizers.md").splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall("`([a-z0-9-]+)`", row.split("|")[1])}
    assert named == set(optimizer_names())


def test_the_comparison_file_of_the_page_is_understood(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", page("compare.md"), flags=re.DOTALL)
    path = tmp_path / "compare.yaml"
    path.write_text(text, encoding="utf-8")
    shutil.copy(DOCS.parent / "examples" / "compare" / "sign_momentum.py", tmp_path)
    assert list(load_comparison(path).methods) == ["adamw", "lion", "mine"]


def test_the_section_of_the_page_on_training_is_understood() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", (DOCS / "training.md").read_text(), flags=re.DOTALL)
    given = yaml.safe_load(block)["training"]
    assert set(given) == set(TrainingSpec.model_fields)  # the page names every one
    assert TrainingSpec.model_validate(given).checkpoint == 600


def test_the_study_of_the_page_about_gpt_names_the_separator_of_its_tokens() -> None:
    pytest.importorskip("torch")
    block = re.findall(r"```yaml\n(.*?)```", page("gpt.md"), flags=re.DOTALL)[0]
    given = yaml.safe_load(block)
    tokenizer = load_tokenizer(given["data"]["tokenizer"])
    family = build_family(
        given["family"]["name"],
        given["family"]["options"],
        vocabulary_size=tokenizer.vocabulary_size,
        sequence_length=given["data"]["sequence_length"],
    )
    assert family.options()["separator"] == tokenizer.separator
