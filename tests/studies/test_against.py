from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from windtunnel.errors import WindtunnelError
from windtunnel.studies.against import explain_against, read_groups
from windtunnel.studies.explain import explain, plan_at, tuned_recipe
from windtunnel.studies.study import Study

ONE_RATE = {"lr": 0.01, "weight_decay": 0.1, "eps": 1e-8}


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Any], Path]:
    """Writes a file of groups."""

    def to_file(value: Any) -> Path:
        path = tmp_path / "groups.json"
        path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
        return path

    return to_file


def test_one_group_for_all_lacks_the_rules_rates(study: Study, write: Any) -> None:
    names = [entry.name for entry in plan_at(study, "width=64")]
    found = explain_against(study, write([{"params": names, **ONE_RATE}]), "width=64")
    assert found["target"]["width"] == 64
    planned = {row["name"]: row["lr"] for row in explain(study, "width=64")["parameters"]}
    assert found["base_values"]["lr"] == pytest.approx(0.04)  # suits the hidden matrices
    off = {name for name in names if planned[name] != 0.25}
    assert {row["name"] for row in found["differences"]} >= {n for n in off if "blocks" not in n}
    json.dumps(found, allow_nan=False)


def test_adafactors_pair_of_epsilons_is_read(make_study: Any, write: Any) -> None:
    study = make_study(optimizer="adafactor")
    names = [entry.name for entry in plan_at(study, "width=64")]
    groups = write([{"params": names, "lr": 0.01, "eps": [None, 1e-3]}])
    found = explain_against(study, groups, "width=64")
    assert found["base_values"]["eps"] == pytest.approx(2e-3)  # suits the hidden matrices


def test_with_the_recipe_base_values_are_the_studys_own(copied: Study, write: Any) -> None:
    names = [entry.name for entry in plan_at(copied)]
    groups = write([{"params": names, **ONE_RATE}])
    recipe = tuned_recipe(copied)
    assert recipe.lr == copied.needed("forecast", "forecast")["lr"]
    found = explain_against(copied, groups, with_recipe=True)
    assert found["base_values"] == {"lr": recipe.lr, "weight_decay": 0.1, "eps": 1e-8}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Invalid JSON"),
        ("{}", "valid array"),
        ("[3]", "0: "),
        ('[{"lr": 1}]', "0.params: Field required"),
        ('[{"params": ["a"]}]', "0.lr: Field required"),
        ('[{"params": [3], "lr": 1}]', "0.params.0: Input should be a valid string"),
        ('[{"params": [], "lr": "high"}]', "0.lr: "),
        ('[{"params": [], "lr": -1}]', "0.lr: "),
        ('[{"params": [], "lr": NaN}]', "0.lr: "),
        ('[{"params": [], "lr": 1, "eps": -1}]', "0.eps: "),
    ],
)
def test_a_file_that_is_no_list_of_groups_is_one_line(write: Any, text: str, words: str) -> None:
    path = write(text)
    with pytest.raises(WindtunnelError) as error:
        read_groups(path)
    assert str(error.value).startswith(f"{path}: ")
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(WindtunnelError, match=r"gone.json: cannot be read"):
        read_groups(tmp_path / "gone.json")
    with pytest.raises(WindtunnelError, match="cannot be read"):
        read_groups(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(WindtunnelError, match="not a text file"):
        read_groups(tmp_path / "binary")


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["params", "lr", "weight_decay", "eps", "betas"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)


@given(values)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_is_groups_or_an_error_for_people(write: Any, value: Any) -> None:
    try:
        entries = read_groups(write(value))
    except WindtunnelError:
        return
    assert all(entry.lr >= 0 for entry in entries)
