from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.scale import DataIdentity, Recipe, Run, Scale

RUN = Run(
    family="gpt",
    family_options=(("heads", 4), ("tied", True)),
    optimizer="adamw",
    rule="mup",
    base=Scale(width=32, depth=2, units=300_000),
    scale=Scale(width=64, depth=2, units=600_000, extra=(("experts", 8),)),
    recipe=Recipe(lr=0.01, batch_units=4096),
    data=DataIdentity(content_hash="abc", sequence_length=128, validation_sequences=512),
    init_seed=1,
    data_seed=2,
)

# What `RUN` must hash to for ever: a changed key would orphan every finished run on users' disks.
CANONICAL = (
    '{"base":{"depth":2,"extra":[],"units":300000,"width":32},'
    '"data":{"content_hash":"abc","sequence_length":128,"validation_sequences":512},'
    '"data_seed":2,"family":"gpt","family_options":[["heads",4],["tied",true]],"init_seed":1,'
    '"optimizer":"adamw","precision":"fp32",'
    '"recipe":{"batch_units":4096,"beta1":0.9,"beta2":0.95,"clip_norm":1.0,"decay_fraction":0.3,'
    '"eps":1e-08,"lr":0.01,"schedule":"wsd","warmup_fraction":0.1,"weight_decay":0.1},'
    '"rule":"mup","scale":{"depth":2,"extra":[["experts",8]],"units":600000,"width":64}}'
)


def changed(value: Any) -> Any:
    """Some other value of the same kind."""
    if value is None or isinstance(value, str):
        return f"{value}x"
    if isinstance(value, tuple):
        return (*value, ("another", 1))
    return value + 1


def test_key_is_the_hash_of_the_canonical_json() -> None:
    assert RUN.key == hashlib.sha256(CANONICAL.encode()).hexdigest()[:32]


@pytest.mark.parametrize("field", [f.name for f in fields(Run)])
def test_key_changes_with_every_field(field: str) -> None:
    value = getattr(RUN, field)
    if not isinstance(value, (Scale, Recipe, DataIdentity)):
        assert RUN.replace(**{field: changed(value)}).key != RUN.key
        return
    parts = {f.name: getattr(value, f.name) for f in fields(value)}
    for part in parts:
        other = type(value)(**{**parts, part: changed(parts[part])})
        assert RUN.replace(**{field: other}).key != RUN.key, part


names = st.text(min_size=1, max_size=8)
counts = st.integers(min_value=1, max_value=10**12)
reals = st.floats(min_value=0, max_value=1e6)
scales = st.builds(
    Scale,
    width=counts,
    depth=counts,
    units=counts,
    extra=st.lists(st.tuples(names, counts), max_size=3).map(tuple),
)
runs = st.builds(
    Run,
    family=names,
    family_options=st.lists(
        st.tuples(names, st.one_of(names, counts, reals, st.booleans())), max_size=3
    ).map(tuple),
    optimizer=names,
    rule=names,
    base=scales,
    scale=scales,
    recipe=st.builds(Recipe, lr=reals, batch_units=counts, weight_decay=reals, schedule=names),
    data=st.builds(
        DataIdentity, content_hash=names, sequence_length=counts, validation_sequences=counts
    ),
    init_seed=counts,
    data_seed=counts,
    rule_content=st.none() | names,
)


@given(runs)
def test_a_run_survives_json_with_its_key(run: Run) -> None:
    again = Run.from_json(json.loads(json.dumps(run.to_json(), allow_nan=False)))
    assert again == run
    assert again.key == run.key


@pytest.mark.parametrize(
    ("units", "batch", "steps"),
    [(600_000, 4096, 146), (4096, 4096, 1), (10, 4096, 1), (6143, 4096, 1), (6145, 4096, 2)],
)
def test_steps_are_whole_and_at_least_one(units: int, batch: int, steps: int) -> None:
    run = RUN.replace(
        scale=RUN.scale.replace(units=units), recipe=RUN.recipe.replace(batch_units=batch)
    )
    assert run.steps == steps


@pytest.mark.parametrize(
    "settings",
    [
        {"schedule_settings": (("multipliers", (1.0, 0.5)), ("shape", "1-sqrt"))},
        {"optimizer_settings": (("momentum", 0.9),)},
    ],
)
def test_settings_are_part_of_the_key_where_there_are_any(settings: dict[str, Any]) -> None:
    run = RUN.replace(recipe=RUN.recipe.replace(**settings))
    assert run.key != RUN.key
    again = Run.from_json(json.loads(json.dumps(run.to_json())))
    assert again == run
    assert again.key == run.key
    assert hash(again) == hash(run)
