"""The pages' Python runs as it is printed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from windtunnel.spec import SearchSpec

DOCS = Path(__file__).parents[1] / "docs"


def run_blocks(page: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), flags=re.DOTALL):
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
