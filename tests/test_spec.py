from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from windtunnel.errors import WindtunnelError
from windtunnel.scale import Recipe, Scale
from windtunnel.spec import Amount, StudySpec, load_study

STUDY = """
family: {name: gpt, options: {heads: 4}}
base: {width: 32, depth: 2, tokens: 300k}
ladder: {width: [96, 32, 64, 32], depth: 2, tokens: [0.6M, 300_000]}
target: {width: 256, depth: 2, tokens: 2.5M}
recipe: {batch: 4096, weight_decay: 0.05}
search: {hyperparameters: {lr: {low: 1e-3, high: 1e-1, points: 5}}}
budget: {time: 10m, flops: 1e15}
"""


def load(folder: Path, text: str) -> StudySpec:
    path = folder / "study.yaml"
    path.write_text(text)
    return load_study(path)


def changed(field: str, value: Any) -> str:
    """The study above with one field set, or taken out where the value is `...`."""
    study = yaml.safe_load(STUDY)
    *sections, last = field.split(".")
    place = study
    for section in sections:
        place = place[section]
    if value is ...:
        del place[last]
    else:
        place[last] = copy.deepcopy(value)
    return str(yaml.safe_dump(study))


def test_reads_amounts_times_and_sizes(tmp_path: Path) -> None:
    study = load(tmp_path, STUDY)
    assert study.base.scale() == Scale(width=32, depth=2, units=300_000)
    assert study.ladder.width == [32, 64, 96]
    assert study.ladder.units == [300_000, 600_000]
    assert study.target.units == 2_500_000
    assert study.budget.time == 600
    assert study.budget.flops == 1e15
    assert study.search.hyperparameters["lr"].low == 1e-3
    assert study.recipe.recipe(lr=0.02) == Recipe(lr=0.02, batch_units=4096, weight_decay=0.05)


def test_counts_in_the_unit_the_study_names(tmp_path: Path) -> None:
    text = STUDY.replace("tokens", "images").replace("family: {name: gpt, options: {heads: 4}}", "")
    study = load(
        tmp_path, text + "unit: images\nrun: python train.py {width} {images} {lr} {seed}\n"
    )
    assert study.target.units == 2_500_000
    assert (study.unit, study.family) == ("images", None)


@pytest.mark.parametrize(
    ("field", "value", "place", "complaint"),
    [
        ("colour", "red", "colour", "unknown key"),
        ("recipe.colour", "red", "recipe.colour", "unknown key"),
        ("search.hyperparameters.lr.step", 2, "search.hyperparameters.lr.step", "unknown key"),
        ("search.hyperparameters.colour", {}, "search.hyperparameters.colour", "'lr'"),
        ("base.width", ..., "base.width", "missing"),
        ("target.tokens", ..., "target.tokens", "missing"),
        ("recipe", ..., "recipe", "missing"),
        ("ladder.images", [300_000], "ladder.images", "this study counts in tokens"),
        ("base.units", 300_000, "base.units", "write base.tokens"),
        ("unit", "epochs", "unit", "'tokens', 'images' or 'steps'"),
        ("unit", ["tokens"], "unit", "'tokens', 'images' or 'steps'"),
        ("ladder.width", [], "ladder.width", "empty; the ladder needs at least one size"),
        ("ladder.tokens", [], "ladder.tokens", "empty; the ladder needs at least one size"),
        ("ladder.tokens", ["1e6"], "ladder.tokens.0", "not an amount such as"),
        ("ladder.tokens", ["300 apples\nand more"], "ladder.tokens.0", "not an amount such as"),
        ("target.tokens", "2.5", "target.tokens", "not a whole number"),
        ("target.tokens", "_", "target.tokens", "not an amount such as"),
        ("target.tokens", -1, "target.tokens", "greater than 0"),
        ("target.width", 64, "target.width", "64 is smaller than the ladder's largest, 96"),
        ("target.depth", 1, "target.depth", "1 is smaller than the ladder's, 2"),
        ("target.tokens", "0.5M", "target.tokens", "500,000 is smaller than the ladder's largest"),
        ("recipe.batch", "1M", "recipe.batch", "larger than the ladder's shortest"),
        ("recipe.batch", 4000, "recipe.batch", "no whole number of sequences of 128"),
        ("recipe.betas", [0.9], "recipe.betas.1", "missing"),
        ("recipe.betas", [0.9, 1.0], "recipe.betas.1", "less than 1"),
        (
            "recipe.schedule_settings",
            {"final": None},
            "recipe.schedule_settings.final",
            "None is no number, name or list of numbers",
        ),
        (
            "recipe.schedule_settings",
            {"multipliers": [1, True]},
            "recipe.schedule_settings.multipliers",
            "True is no number, name or list of numbers",
        ),
        ("search.hyperparameters", {}, "search", "add hyperparameters.lr"),
        ("search.hyperparameters.lr.low", 0.1, "search.hyperparameters.lr", "low must be below"),
        (
            "search.hyperparameters.lr.high",
            float("inf"),
            "search.hyperparameters.lr.high",
            "finite",
        ),
        ("metric", {"bounds": [1, 0]}, "metric", "the lower bound must be below"),
        ("budget.time", "10 days", "budget.time", "not a time such as 90s, 10m or 1.5h"),
        ("device", "tpu", "device", "use auto, cpu, cuda, or one GPU such as cuda:1"),
        ("run", "python train.py", "family", "and not both"),
        ("family", ..., "family", "name a family or give `run:`"),
    ],
)
def test_a_bad_field_is_one_clear_line(
    tmp_path: Path, field: str, value: Any, place: str, complaint: str
) -> None:
    with pytest.raises(WindtunnelError) as raised:
        load(tmp_path, changed(field, value))
    message = str(raised.value)
    assert message.startswith(f"{tmp_path / 'study.yaml'}: {place}: ")
    assert complaint in message
    assert "\n" not in message


def test_counts_what_else_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(WindtunnelError, match=r"colour: unknown key.*\(and 1 more\)"):
        load(tmp_path, STUDY + "colour: red\nsmell: sweet\n")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("base: {width: 32\nladder: [", "not valid YAML"),
        ("base: !!python/object:os.system {}", "not valid YAML"),
        ("", "not a study"),
        ("- a list", "not a study"),
    ],
)
def test_a_file_that_holds_no_study(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(WindtunnelError, match=complaint) as raised:
        load(tmp_path, text)
    assert "\n" not in str(raised.value)


def test_a_missing_file_and_a_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    with pytest.raises(WindtunnelError, match=r"study\.yaml: cannot be read \(No such file"):
        load_study(path)
    path.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(WindtunnelError, match=r"study\.yaml: not a text file"):
        load_study(path)


AMOUNT = TypeAdapter(Amount)
SUFFIXES = {"": 1, "k": 10**3, "M": 10**6, "B": 10**9, "G": 10**9, "T": 10**12}


@given(st.integers(1, 10**6), st.integers(0, 999), st.sampled_from(sorted(SUFFIXES)))
def test_every_amount_is_read_exactly(whole: int, thousandths: int, suffix: str) -> None:
    text = f"{whole}.{thousandths:03d}{suffix}"
    expected, rest = divmod((1000 * whole + thousandths) * SUFFIXES[suffix], 1000)
    if rest:
        with pytest.raises(ValidationError, match="not a whole number"):
            AMOUNT.validate_python(text)
    else:
        assert AMOUNT.validate_python(text) == expected


def test_a_misspelt_key_is_named_before_what_is_missing_for_it(tmp_path: Path) -> None:
    with pytest.raises(WindtunnelError, match=r"ladder\.widht: unknown key.*\(and 1 more\)"):
        load(tmp_path, STUDY.replace("ladder: {width", "ladder: {widht"))
