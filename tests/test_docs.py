"""What the documentation's pages say of the code, held against it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from windtunnel.parametrization.horizon import (
    QUANTITIES,
    load_recipe_rule,
    recipe_rule_names,
)
from windtunnel.parametrization.rule import rule_names

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGE = (DOCS / "parametrization.md").read_text(encoding="utf-8")


def rows(first_column: str) -> list[list[str]]:
    """The rows of the table with this heading."""
    table = PAGE[PAGE.index(f"| {first_column} |") :].split("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.split("\n")[2:]]


def test_every_rule_has_a_row_and_every_row_a_rule() -> None:
    named = [name for row in rows("rule") for name in re.findall(r"`([a-z0-9-]+)`", row[0])]
    assert sorted(named) == sorted(rule_names())


def test_the_recipe_rules_exponents_are_those_of_their_files() -> None:
    table = {row[0].strip("`"): row[2:] for row in rows("recipe rule")}
    assert sorted(table) == sorted(recipe_rule_names())
    ratios = {"batch": 4.0, "horizon": 9.0}
    for name, cells in table.items():
        for quantity, cell in zip(QUANTITIES, cells, strict=True):
            powers = load_recipe_rule(name).powers
            expected = 1.0
            for axis, ratio in ratios.items():
                expected *= ratio ** powers.get(axis, {}).get(quantity, 0.0)
            code = (cell or "1").replace("½", "0.5").replace("^", "**")
            assert eval(code, {"k": 4.0, "t": 9.0}) == pytest.approx(expected), (name, quantity)


def test_every_link_to_a_file_of_ours_leads_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)", PAGE) if not link.startswith("https:")]
    assert links
    assert [link for link in links if not (DOCS / link).exists()] == []


def test_the_python_example_writes_groups_that_can_be_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch: Any = pytest.importorskip("torch")
    from windtunnel.studies.against import read_groups

    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    model = torch.nn.Linear(3, 2)
    exec(block, {"model": model, "optimizer": torch.optim.AdamW(model.parameters(), lr=0.01)})
    (group,) = read_groups(tmp_path / "groups.json")
    assert (group.params, group.lr, group.eps) == (["weight", "bias"], 0.01, 1e-8)
    assert len(json.loads((tmp_path / "groups.json").read_text())) == 1
