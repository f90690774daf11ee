from __future__ import annotations

from pathlib import Path

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.parametrization.rule import load_rule, rule_names
from windtunnel.scale import NONE, Geometry, Powers, Role

OWN = """
extends = "mup"
title = "mine"
source = "a notebook"
status = "hoped for"
"""


def written(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_every_rule_has_a_source_and_a_status() -> None:
    assert {"completep", "mup", "ntk", "sp", "spectral", "u-mup"} < set(rule_names())
    for name in rule_names():
        rule = load_rule(name)
        assert "arXiv" in rule.source and rule.status and rule.title
        assert rule.clipping is None or rule.clipping in rule_names()


def test_titles_tell_rules_apart() -> None:
    assert len({load_rule(name).title for name in rule_names()}) == len(rule_names())


def test_a_rule_of_ones_own_takes_one_file(tmp_path: Path) -> None:
    """Measured alignments, say."""
    rule = load_rule(written(tmp_path, OWN + "[rates]\nhidden = 0.8\noutput = 0.6\n"))
    assert rule.scaling(Geometry.SIGN, Role.HIDDEN).lr == Powers(fan_in=-0.8)
    assert rule.scaling(Geometry.SIGN, Role.OUTPUT).lr == Powers(fan_in=0.4)
    assert rule.scaling(Geometry.SIGN, Role.INPUT).lr == NONE


def test_an_extension_replaces_whole_layers_and_keeps_the_others(tmp_path: Path) -> None:
    rule = load_rule(written(tmp_path, OWN + "[layers.output]\ninit = { fan_in = -1 }\n"))
    output, hidden = (rule.scaling(Geometry.SIGN, role) for role in (Role.OUTPUT, Role.HIDDEN))
    assert (output.init, output.multiplier) == (Powers(fan_in=-1), NONE)
    assert hidden == load_rule("mup").scaling(Geometry.SIGN, Role.HIDDEN)


def test_a_rule_of_ones_own_is_carried_without_its_file(tmp_path: Path) -> None:
    """To another process, or to a day on which the file says something else."""
    path = written(tmp_path, OWN + "[rates]\nhidden = 0.8\n")
    rule = load_rule(path)
    assert rule.name == "mine.toml" and load_rule("mup").content is None
    for changed in ("hidden = 0.7", "output = 0.8", "hidden = 0.8\n[depth]\nbranch = 1.0"):
        other = load_rule(written(tmp_path, OWN + f"[rates]\n{changed}\n"))
        assert other.content != rule.content
    again = load_rule(written(tmp_path, "# as before\n" + OWN + "rates.hidden = 0.8\n"))
    worded = load_rule(written(tmp_path, OWN.replace("hoped for", "so") + "rates.hidden = 0.8\n"))
    assert again.content == worded.content == rule.content
    Path(path).unlink()
    carried = load_rule(rule.name, rule.content)
    assert carried.content == rule.content
    for geometry in Geometry:
        for role in Role:
            assert carried.scaling(geometry, role) == rule.scaling(geometry, role)


def test_what_a_rule_extends_is_part_of_its_content(tmp_path: Path) -> None:
    path = written(tmp_path, OWN)
    first = load_rule(path).content
    assert load_rule(written(tmp_path, OWN.replace('"mup"', '"sp"'))).content != first


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title = [", "mine.toml: "),
        ('title = "x"\n', "'source' is missing"),
        (OWN + "colour = 1\n", "'colour' is no entry of a rule; there are title, source"),
        (OWN + 'rates = "most"\n', "'most' is not one of full, none"),
        (OWN + "[rates]\nhidden = 1.5\n", "rates.hidden is 1.5; alignments lie between 0 and 1"),
        (OWN + "[layers.middle]\ninit = { fan_in = 1 }\n", "'middle' is not a valid Role"),
        (OWN + "[layers.hidden]\ninit = { width = 1 }\n", "unexpected keyword argument 'width'"),
        (OWN + "[published.sign.input]\nrate = { fan_out = 1 }\n", "'rate' is not one of lr"),
        (OWN.replace("mup", "nope"), "no rule 'nope'; known rules: completep"),
        (OWN.replace('"mup"', "3"), "extends '3', which is itself or no rule's name"),
        (OWN + 'clipping = "nope"\n', "'nope' is not one of completep"),
        (OWN + "rates = 1\n", "no attribute"),
        (OWN + "[depth]\nbranc = 1.0\n", "'branc' is not one of branch, rates, decay"),
        (OWN + "[layers.hidden]\nlr = { fan_in = -3 }\n", "'lr' is not one of init, multiplier"),
        (OWN + '[layers.hidden]\ninit = { fan_in = "x" }\n', "could not convert"),
    ],
)
def test_a_broken_file_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(WindtunnelError, match=r"^rule") as caught:
        load_rule(written(tmp_path, text))
    assert message in str(caught.value)


def test_unknown_rules_and_missing_files_are_named() -> None:
    with pytest.raises(WindtunnelError, match="no rule 'nope'; known rules: completep, depth-"):
        load_rule("nope")
    with pytest.raises(WindtunnelError, match=r"there is no file nowhere\.toml"):
        load_rule("nowhere.toml")


def test_rules_that_extend_each_other_are_refused(tmp_path: Path) -> None:
    one, other = tmp_path / "one.toml", tmp_path / "other.toml"
    one.write_text(OWN.replace('"mup"', f'"{other}"'))
    other.write_text(OWN.replace('"mup"', f'"{one}"'))
    with pytest.raises(WindtunnelError, match="which is itself"):
        load_rule(str(one))
