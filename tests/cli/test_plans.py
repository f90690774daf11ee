"""`rules` and `explain`: how parameters are set, before anything trains."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from windtunnel.parametrization.horizon import recipe_rule_names
from windtunnel.parametrization.rule import rule_names

Windtunnel = Callable[..., Any]
ONE_RATE = {"lr": 0.01, "weight_decay": 0.1, "eps": 1e-8}


@pytest.fixture
def names(windtunnel: Windtunnel, folder: Path) -> list[str]:
    """The target's parameters."""
    return [row["name"] for row in windtunnel("explain", folder, "--json").json["parameters"]]


@pytest.fixture
def groups(tmp_path: Path) -> Callable[[Any], Path]:
    """Writes a file of groups."""

    def write(value: Any) -> Path:
        path = tmp_path / "groups.json"
        path.write_text(json.dumps(value), encoding="utf-8")
        return path

    return write


def test_rules_lists_every_rule_with_source_and_status(windtunnel: Windtunnel) -> None:
    listed = windtunnel("rules", "--json").json
    assert [rule["name"] for rule in listed["rules"]] == list(rule_names())
    assert [rule["name"] for rule in listed["recipe_rules"]] == list(recipe_rule_names())
    words = windtunnel("rules").output
    for rule in (*listed["rules"], *listed["recipe_rules"]):
        assert rule["title"] and rule["source"] and rule["status"]
        assert f"  {rule['name']}  " in words


def test_rules_prints_one_table_in_readable_powers(windtunnel: Windtunnel) -> None:
    ended = windtunnel("rules", "mup")
    lines = [" ".join(line.split()) for line in ended.output.splitlines()]
    assert ended.code == 0
    assert "hidden fan_in^-1/2 1 fan_in^-1 fan_in fan_out^-1" in lines
    table = windtunnel("rules", "mup", "--json").json
    hidden = next(row for row in table["geometries"]["sign"] if row["kind"] == "hidden")
    assert (hidden["init"], hidden["lr"]) == ({"fan_in": -0.5}, {"fan_in": -1})


def test_rules_needs_no_torch() -> None:
    code = (
        "import os, sys\n"
        "sys.modules['torch'] = None\n"
        "from windtunnel import cli\n"
        "os._exit = lambda code: print('code:', code)\n"
        "for sys.argv in (['windtunnel', 'rules'], ['windtunnel', 'rules', 'completep']):\n"
        "    cli.main()\n"
    )
    source = Path(__file__).parents[2] / "src"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(source)},
    )
    assert ended.stdout.count("code: 0") == 2


def test_explain_with_the_recipe_asks_for_a_tuned_rate(
    windtunnel: Windtunnel, folder: Path
) -> None:
    ended = windtunnel("explain", folder, "--recipe")
    assert ended.code == 2
    assert f"first run `windtunnel tune {folder}`" in ended.errors


def test_explain_prints_factors(windtunnel: Windtunnel, folder: Path) -> None:
    ended = windtunnel("explain", folder, "--scale", "width=64")
    assert ended.code == 0
    assert "from width 16, depth 1" in ended.output
    assert "1/4" in ended.output


def test_explain_against_orders_what_differs(
    windtunnel: Windtunnel, folder: Path, names: list[str], groups: Callable[[Any], Path]
) -> None:
    file = groups([{"params": names, "betas": [0.9, 0.95], **ONE_RATE}])
    ended = windtunnel("explain", folder, "--against", file, "--json")
    assert ended.code == 0
    found = ended.json
    assert set(found) == {
        *("rule", "optimizer", "base", "target", "against"),
        *("base_values", "compared", "differences"),
    }
    assert found["compared"] == len(names)
    importance = [row["importance"] for row in found["differences"]]
    assert importance == sorted(importance, reverse=True)
    assert found["differences"][0]["name"] == "embedding.weight"
    assert found["differences"][0]["lr"]["octaves"] == -1  # the width doubles, most is hidden
    words = windtunnel("explain", folder, "--against", file).output
    assert all(row["name"] in words for row in found["differences"])


def test_explain_against_the_plan_itself_says_so(
    windtunnel: Windtunnel, folder: Path, groups: Callable[[Any], Path]
) -> None:
    rows = windtunnel("explain", folder, "--json").json["parameters"]
    file = groups(
        [
            {
                "params": ["module." + row["name"]],
                "lr": 0.01 * row["lr"],
                "weight_decay": 0.1 * row["weight_decay"],
                "eps": 1e-8 * row["eps"],
            }
            for row in rows
        ]
    )
    ended = windtunnel("explain", folder, "--against", file)
    assert f"All {len(rows)} parameters are set as the plan says." in ended.output


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda names: [*names, "strange"], "strange: no parameter of the plan"),
        (lambda names: names[1:], "in no group"),
        (lambda names: [*names, names[0]], "comes twice"),
        (lambda names: [0, 1], "0.params.0"),
    ],
)
def test_groups_that_do_not_fit_are_one_line(
    windtunnel: Windtunnel,
    folder: Path,
    names: list[str],
    groups: Callable[[Any], Path],
    change: Callable[[list[str]], list[str]],
    words: str,
) -> None:
    file = groups([{"params": change(names), **ONE_RATE}])
    ended = windtunnel("explain", folder, "--against", file)
    assert (ended.code, ended.output) == (2, "")
    assert words in ended.errors
    assert str(file) in ended.errors
    assert ended.errors.count("\n") == 1


def test_a_rule_that_is_not_there_is_one_line(windtunnel: Windtunnel) -> None:
    ended = windtunnel("rules", "mupp")
    assert (ended.code, ended.output) == (2, "")
    assert "no rule 'mupp'; known rules: completep" in ended.errors
    assert ended.errors.count("\n") == 1


@pytest.mark.parametrize(
    ("sentences", "words"),
    [
        ([], "Alignment is what sp assumes."),
        (["The readout is less aligned.", "So is the rest."], "The readout is less aligned.\nSo "),
    ],
)
def test_check_alignment_prints_what_the_diagnosis_says(
    windtunnel: Windtunnel,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    sentences: list[str],
    words: str,
) -> None:
    monkeypatch.setattr(
        "windtunnel.studies.check.diagnose",
        lambda study, rule, progress: {"rule": rule, "sentences": sentences},
    )
    ended = windtunnel("check", folder, "--alignment", "--rule", "sp")
    assert ended.code == 0
    assert ended.output.startswith(words)
    assert windtunnel("check", folder, "--alignment", "--rule", "sp", "--json").json == {
        "rule": "sp",
        "sentences": sentences,
    }


@pytest.mark.parametrize("option", ["--alignment", "--singular-values"])
def test_what_explains_a_drift_is_for_width(
    windtunnel: Windtunnel, folder: Path, option: str
) -> None:
    ended = windtunnel("check", folder, option, "--depth")
    assert (ended.code, ended.output) == (2, "")
    assert f"{option} is measured in width; leave --depth out" in ended.errors
    assert windtunnel("check", folder, "--alignment", "--singular-values").code == 2


def test_check_singular_values_prints_what_they_mean(
    windtunnel: Windtunnel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {"rule": "sp", "slopes": [], "sentences": ["They do not match.", "up grows."]}
    monkeypatch.setattr(
        "windtunnel.studies.singular_values.match_singular_values", lambda *_: found
    )
    ended = windtunnel("check", folder, "--singular-values")
    assert (ended.code, ended.output) == (0, "They do not match.\nup grows.\n")
    assert windtunnel("check", folder, "--singular-values", "--json").json == found
