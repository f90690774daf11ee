from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from windtunnel.errors import WindtunnelError
from windtunnel.scale import Recipe, Run, Scale
from windtunnel.studies.study import Study, open_study
from windtunnel.training.assemble import assemble

RECIPE = Recipe(lr=0.01, batch_units=64)


@pytest.mark.parametrize(
    "circumstance",
    [
        {"name": "other"},
        {"device": "auto"},
        {"workers": 7},
        {"budget": {"time": "2h"}},
        {"population": "never"},
    ],
)
def test_the_fingerprint_ignores_circumstances(
    study: Study, make_study: Any, circumstance: dict[str, Any]
) -> None:
    assert make_study(**circumstance).fingerprint == study.fingerprint


@pytest.mark.parametrize(
    "science",
    [
        {"seed": 1},
        {"rule": "sp"},
        {"precision": "bf16"},
        {"recipe": {"batch": 128}},
        {"recipe": {"batch": 64, "schedule_settings": {"final": 0.1}}},
        {"optimizer": "muon", "recipe": {"batch": 64, "optimizer_settings": {"momentum": 0.9}}},
        {"base": {"width": 32, "depth": 1, "tokens": 16_384}},
        {"target": {"width": 256, "depth": 1, "tokens": 262_144}},
    ],
)
def test_the_fingerprint_changes_with_the_science(
    study: Study, make_study: Any, science: dict[str, Any]
) -> None:
    assert make_study(**science).fingerprint != study.fingerprint


def test_a_study_without_later_sections_has_the_fingerprint_it_had_before_there_were_any(
    study: Study,
) -> None:
    circumstances = {"name", "device", "workers", "budget", "limits", "population", "training"}
    science = study.spec.model_dump(mode="json", exclude=circumstances)
    assert science["recipe"].pop("schedule_settings") == {}
    assert science["recipe"].pop("optimizer_settings") == {}
    assert science["search"].pop("policy")["name"] == "brackets"
    before = hashlib.sha256(json.dumps(science, sort_keys=True).encode()).hexdigest()
    assert study.fingerprint == before[:12]


@pytest.mark.parametrize(
    ("science", "says"),
    [
        ({"recipe": {"batch": 64, "schedule": "stairs"}}, "recipe.schedule: no 'stairs'; choose"),
        (
            {"recipe": {"batch": 64, "schedule_settings": {"fnal": 0.1}}},
            "recipe.schedule_settings.fnal: the schedule 'wsd' has no such setting; it has shape",
        ),
        (
            {"recipe": {"batch": 64, "optimizer_settings": {"momentum": 0.9}}},
            "recipe.optimizer_settings.momentum: 'adamw' has no such setting; it has none",
        ),
        (
            {"optimizer": "muon", "recipe": {"batch": 64, "optimizer_settings": {"eps": 0.9}}},
            "recipe.optimizer_settings.eps: 'muon' has no such setting; it has momentum, size",
        ),
        ({"recipe": {"batch": 64, "warmup": 0.8}}, "0.8 [+] 0.3 is more than the whole run"),
        ({"recipe": {"batch": 64, "schedule": "uba"}}, "schedule_settings.phi: missing"),
        (
            {
                "recipe": {"batch": 64, "decay": 0.6},
                "search": {
                    "hyperparameters": {
                        "lr": {"low": 1e-3, "high": 1e-1},
                        "warmup_fraction": {"low": 0.1, "high": 0.5},
                    }
                },
            },
            "0.5 [+] 0.6 is more than the whole run",
        ),
    ],
)
def test_a_schedule_that_cannot_be_is_told_on_opening(
    make_study: Any, science: dict[str, Any], says: str
) -> None:
    with pytest.raises(WindtunnelError, match=r"study\.yaml: recipe\..*") as raised:
        make_study(**science)
    assert re.search(says, str(raised.value))


def test_a_schedule_s_settings_reach_the_run(make_study: Any) -> None:
    recipe = {"batch": 64, "schedule_settings": {"shape": "1-sqrt", "final": 0}}
    made = make_study(recipe=recipe).spec.recipe.recipe(lr=0.01)
    assert made.schedule_settings == (("final", 0.0), ("shape", "1-sqrt"))


def test_what_is_written_is_read_until_the_science_changes(study: Study, make_study: Any) -> None:
    study.write("tune", {"found": 1})
    assert make_study(workers=2).read("tune") == {"found": 1}
    changed = make_study(seed=1)
    assert changed.read("tune") is None
    with pytest.raises(WindtunnelError, match="first run `windtunnel tune"):
        changed.needed("tune", "tune")


@pytest.mark.parametrize("damaged", ["", "{", "[]", "3", '{"found": 1}', "\0"])
def test_a_damaged_file_is_named(study: Study, damaged: str) -> None:
    (study.folder / "tune.json").write_text(damaged)
    with pytest.raises(WindtunnelError, match=r"tune\.json: damaged; delete it"):
        study.read("tune")


def test_a_file_of_other_bytes_than_text_is_named(study: Study) -> None:
    (study.folder / "tune.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(WindtunnelError, match=r"tune\.json: damaged"):
        study.read("tune")


def test_data_that_changed_since_the_study_began(study: Study, text: Path) -> None:
    study.begin()
    text.write_text(text.read_text() + json.dumps({"text": "one more document"}) + "\n")
    with pytest.raises(WindtunnelError, match=r"^data\.source: .* changed since this study began"):
        _ = open_study(study.folder).corpus


def test_data_that_vanished(study: Study, text: Path) -> None:
    study.begin()
    text.unlink()
    with pytest.raises(WindtunnelError, match=r"^data\.source: "):
        _ = open_study(study.folder).corpus


def test_data_may_change_before_the_study_begins(study: Study, text: Path) -> None:
    before = study.corpus.content_hash
    text.write_text(text.read_text() + json.dumps({"text": "one more document"}) + "\n")
    assert open_study(study.folder).corpus.content_hash != before


def test_beginning_a_study_that_cannot_be_built_writes_nothing(make_study: Any) -> None:
    study = make_study(target={"width": 129, "depth": 1, "tokens": 262_144})
    with pytest.raises(WindtunnelError, match=r"^target\.width: 129 is no whole multiple of 8"):
        study.begin()
    assert [path.name for path in study.folder.iterdir()] == ["study.yaml"]


def test_a_ladder_width_without_whole_heads_is_told_before_anything_trains(
    make_study: Any, tmp_path: Path
) -> None:
    pytest.importorskip("transformers")
    llama = {"model_type": "llama", "hidden_size": 64, "num_attention_heads": 8}
    config = tmp_path / "config.json"
    config.write_text(json.dumps(llama | {"num_key_value_heads": 4, "intermediate_size": 128}))
    options = {"config": str(config), "key_value_heads": "fixed"}
    study = make_study(
        family={"name": "transformers", "options": options},
        base={"width": 32, "depth": 1, "tokens": 16_384},
        ladder={"width": [32, 48, 64], "depth": 1, "tokens": [16_384, 32_768]},
    )
    with pytest.raises(WindtunnelError, match=r"^ladder\.width: 48 .*such as 32 or 64") as error:
        study.begin()
    assert "\n" not in str(error.value)
    assert not (study.folder / "study.db").exists()


OWN_RULE = """
extends = "mup"
title = "mine"
source = "a notebook"
status = "hoped for"
rates.hidden = 0.8
"""


def test_runs_carry_a_rule_of_ones_own_and_their_keys_follow_its_content(
    make_study: Any, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(OWN_RULE)
    study = make_study(rule=str(path))
    run = study.run(study.rule, study.target, study.spec.recipe.recipe(0.01))
    assert run.rule == study.rule == "mine.toml"
    path.write_text(OWN_RULE.replace("0.8", "0.7"))
    assert study.run(study.rule, study.target, run.recipe) == run  # as it was when opened
    changed = open_study(study.folder)
    assert changed.fingerprint != study.fingerprint
    assert changed.run(study.rule, study.target, run.recipe).key != run.key
    path.unlink()
    worker = Run.from_json(json.loads(json.dumps(run.to_json())))
    entries = assemble(worker, study.family, torch.device("cpu")).plan
    assert entries["blocks.0.mlp.up.weight"].lr == pytest.approx((128 / 16) ** -0.8)
    with pytest.raises(WindtunnelError, match=r"study\.yaml: rule: there is no file .*mine\.toml"):
        open_study(study.folder)


def test_a_known_rule_s_runs_carry_nothing(study: Study) -> None:
    """So that keys are those of runs finished before there were rules of one's own."""
    run = study.run("mup", study.target, study.spec.recipe.recipe(0.01))
    assert "rule_content" not in run.to_json()


COMMAND = "python train.py {width} {tokens} {lr} {seed}"


def test_a_study_of_ones_own_command_knows_sizes_and_builds_nothing(make_study: Any) -> None:
    study = make_study(family=None, run={"command": COMMAND, "params": "8 * depth * width**2"})
    assert study.family.parameter_count(study.target).non_embedding == 8 * 128**2
    assert study.family.flops_per_unit(study.target, 16) == 6 * 8 * 128**2
    assert (study.rule, study.rules, study.data_hash) == ("own", ("own",), "")
    run = study.run(study.rule, study.target, study.spec.recipe.recipe(lr=0.1))
    assert (run.family, run.rule, run.optimizer, run.rule_content) == (
        "command",
        "own",
        "own",
        None,
    )
    assert run != make_study("other", family=None, run=COMMAND).run(
        "own", study.target, study.spec.recipe.recipe(lr=0.1)
    )
    with pytest.raises(WindtunnelError, match=r"^run: .*never sees the model; in your own script"):
        study.family.build(study.target)
    with pytest.raises(WindtunnelError, match=r"gives 0 parameters at width"):
        make_study("none", family=None, run={"command": COMMAND, "params": "0 * width"}).begin()


def test_another_script_makes_other_runs(make_study: Any) -> None:
    study = make_study(family=None, run=COMMAND)

    def key() -> str:
        opened = open_study(study.folder)
        return opened.run("own", opened.target, opened.spec.recipe.recipe(lr=0.1)).key

    without = key()
    (study.folder / "train.py").write_text("one")
    one = key()
    (study.folder / "train.py").write_text("two")
    assert len({without, one, key()}) == 3
    (study.folder / "train.py").write_text("one")
    assert key() == one


def test_opening_by_folder_or_file(study: Study) -> None:
    assert open_study(study.folder / "study.yaml").spec == study.spec
    assert open_study(study.folder / "study.yaml").folder == study.folder


@pytest.mark.parametrize("path", ["", "nowhere", "nowhere/study.yaml"])
def test_no_study_there(tmp_path: Path, path: str) -> None:
    with pytest.raises(WindtunnelError, match=r"no such study; `windtunnel init"):
        open_study(tmp_path / path)


@pytest.mark.parametrize(("time", "seconds"), [("90s", 90), ("10m", 600), ("1.5h", 5400)])
def test_a_time_limit_overrides_the_files(make_study: Any, time: str, seconds: float) -> None:
    study = make_study(budget={"time": "5h", "flops": 1e15})
    budget = open_study(study.folder, time_limit=time).spec.budget
    assert (budget.time, budget.flops) == (seconds, 1e15)


@pytest.mark.parametrize("time", ["", "soon", "-5m", "0s", "10", "5 days"])
def test_what_is_no_time(study: Study, time: str) -> None:
    with pytest.raises(WindtunnelError, match=r"^--time: "):
        open_study(study.folder, time_limit=time)


def test_seeds_of_studies_do_not_overlap(make_study: Any) -> None:
    seeds = {
        make_study(seed=seed).run("mup", Scale(16, 1, 16_384), RECIPE, replicate).init_seed
        for seed in range(3)
        for replicate in range(5)
    }
    assert len(seeds) == 15


def test_a_run_says_all_that_decides_its_numbers(study: Study) -> None:
    run = study.run("mup", study.target, RECIPE)
    assert run.data.content_hash == study.corpus.content_hash
    assert dict(run.family_options)["head_size"] == 8
    assert (run.base, run.scale) == (Scale(16, 1, 16_384), Scale(128, 1, 262_144))


def test_a_policy_chosen_on_the_command_line_is_remembered(make_study: Any) -> None:
    folder = make_study().folder
    assert open_study(folder).spec.search.policy.name == "brackets"
    chosen = open_study(folder, policy="ladder")
    assert chosen.spec.search.policy.name == "ladder"
    assert open_study(folder).fingerprint == chosen.fingerprint
    assert open_study(folder, policy="brackets").spec.search.policy.name == "brackets"


def test_the_study_files_policy_has_its_way(make_study: Any) -> None:
    hyperparameters = {"lr": {"low": 0.004, "high": 0.064}}
    folder = make_study(search={"hyperparameters": hyperparameters, "policy": "asha"}).folder
    assert open_study(folder, policy="asha").spec.search.policy.name == "asha"
    with pytest.raises(WindtunnelError, match=r"search\.policy: asha; change it there"):
        open_study(folder, policy="ladder")


def test_a_damaged_memory_of_the_policy_is_told(make_study: Any) -> None:
    folder = make_study().folder
    (folder / "policy.json").write_text("[]", encoding="utf-8")
    with pytest.raises(WindtunnelError, match="delete it and give --policy again"):
        open_study(folder)


def test_limits_on_the_command_line_go_before_the_files(make_study: Any) -> None:
    folder = make_study(budget={"time": "2h", "flops": 1e9}, workers=1).folder
    spec = open_study(folder, flops_limit=1e15, workers=3).spec
    assert (spec.budget.flops, spec.budget.time, spec.workers) == (1e15, 7200, 3)
    with pytest.raises(WindtunnelError, match="--budget: -1 is not a number of FLOPs above 0"):
        open_study(folder, flops_limit=-1)
