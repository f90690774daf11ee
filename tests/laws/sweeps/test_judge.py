"""Known answers: optima planted in a table are found, along every axis it varies."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.laws.reading.file import read_raw
from windtunnel.laws.sweeps.columns import parse_sweep_columns
from windtunnel.laws.sweeps.judge import TableTransfer, judge_table
from windtunnel.laws.sweeps.table import read_tuning_table
from windtunnel.laws.sweeps.words import table_words

WIDTHS, LENGTHS = (128, 256, 512), (10**8, 4 * 10**8)
NAMES = "width=dim,lr=opt.lr,loss=val,tokens=seen"


def rows(
    along_width: float = 0.0, along_length: float = 0.0, *, noise: float = 0.002, seed: int = 0
) -> list[tuple[float, ...]]:
    """(dim, seen, opt.lr, val): a bowl whose vertex moves by so many octaves an octave."""
    draw = np.random.default_rng(seed)
    return [
        (
            width,
            length,
            2.0 ** (at + k / 2),
            (3 - 0.1 * octave) * math.exp(0.02 * (k / 2) ** 2 + noise * draw.standard_normal()),
        )
        for octave, width in enumerate(WIDTHS)
        for length in LENGTHS
        for at in [-6 + along_width * octave + along_length * math.log2(length / LENGTHS[0])]
        for k in range(-5, 6)
    ]


def judge(
    path: Path,
    table: list[tuple[float, ...]],
    heading: str = "dim,seen,opt.lr,val",
    names: str = NAMES,
    target: dict[str, float] | None = None,
    where: str | None = None,
) -> TableTransfer:
    lines = [heading, *(",".join(map(repr, row)) for row in table)]
    path.write_text("\n".join(lines).replace("nan", "NaN").replace("None", ""))
    given = parse_sweep_columns([names] if names else [])
    return judge_table(read_tuning_table(read_raw(path), given, where), target)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.csv"


@pytest.mark.parametrize("slope", [0.0, -0.2, 0.15])
def test_a_small_planted_slope_transfers_with_its_range(path: Path, slope: float) -> None:
    found = judge(path, rows(slope)).to_json()
    assert found["verdict"] == "transfers"
    assert found["slope_ci90"][0] < slope < found["slope_ci90"][1]
    assert found["slope"] == pytest.approx(slope, abs=0.05)
    assert [axis["axis"] for axis in found["axes"]] == ["width", "tokens"]
    assert found["axes"][1]["slope"] == pytest.approx(0, abs=0.1)
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("axis", ["width", "tokens"])
def test_a_planted_drift_is_found_along_its_own_axis(path: Path, axis: str) -> None:
    found = judge(path, rows(-0.8 if axis == "width" else 0.0, -0.8 if axis == "tokens" else 0.0))
    verdicts = {verdict.axis: verdict for verdict in found.axes}
    drifting = verdicts.pop(axis)
    assert drifting.verdict == "drifts"
    assert drifting.slope_ci90 is not None
    assert drifting.slope_ci90[0] < -0.8 < drifting.slope_ci90[1] < -0.4
    assert drifting.loss_paid_percent is not None and drifting.loss_paid_percent > 0.5
    assert [verdict.verdict for verdict in verdicts.values()] == ["transfers"]
    assert found.to_json()["verdict"] == "drifts"


def test_ranges_hold_the_planted_slope_about_as_often_as_they_say(path: Path) -> None:
    held = 0
    for seed in range(20):
        ci90 = judge(path, rows(-0.3, noise=0.005, seed=seed)).axes[0].slope_ci90
        assert ci90 is not None
        held += ci90[0] < -0.3 < ci90[1]
    assert held >= 17


def test_the_shortest_runs_alone(path: Path) -> None:
    found = judge(path, rows(0.0)).to_json()
    alone = judge(path, [row for row in rows(0.0) if row[1] == LENGTHS[0]]).to_json()
    assert found["slope_at_shortest"] == pytest.approx(alone["slope"], abs=1e-3)


def test_a_target_beyond_the_runs_is_said_and_so_is_an_axis_it_changes_alone(path: Path) -> None:
    found = judge(path, rows(), target={"width": 4096, "tokens": 4e8})
    width, tokens = found.axes
    assert width.target_ratio == 8 and "8.0 times beyond" in width.reason
    assert tokens.target_ratio == 1
    short = [row for row in rows() if row[1] == LENGTHS[0]]
    width, tokens = judge(path, short, target={"tokens": 4e8, "width": 512}).axes
    assert tokens.verdict == "cannot say" and "target changes tokens" in tokens.reason
    with pytest.raises(WindtunnelError, match="--target depth: the table has no such axis"):
        judge(path, rows(), target={"depth": 4})


def test_one_size_cannot_say(path: Path) -> None:
    (width,) = judge(path, [row for row in rows() if row[:2] == (128, LENGTHS[0])]).axes
    assert width.verdict == "cannot say" and "hold one value of width" in width.reason
    assert width.target is None


def test_axes_that_move_together_are_judged_as_one(path: Path) -> None:
    coupled = [row for row in rows(-0.8) if row[1] == LENGTHS[0]]
    grown = [(width, width * 10**6, lr, loss) for width, _, lr, loss in coupled]
    found = judge(path, grown)
    assert [verdict.axis for verdict in found.axes] == ["width"]
    assert found.axes[0].verdict == "drifts"
    assert any("Tokens moves with width" in remark for remark in found.remarks)


def test_no_two_values_with_all_else_equal_cannot_say(path: Path) -> None:
    grown = {(128, LENGTHS[0]), (256, LENGTHS[1])}
    extra = [(128, 2 * LENGTHS[1], lr, loss) for width, _, lr, loss in rows()[:11]]
    mixed = [row for row in rows() if row[:2] in grown] + extra
    found = judge(path, mixed)
    assert found.axes[0].verdict == "cannot say"
    assert "with all else equal" in found.axes[0].reason


def test_where_no_two_sizes_share_a_length_all_axes_are_fitted_at_once(path: Path) -> None:
    """As in ladders of so many tokens a parameter: each size has lengths of its own."""
    draw = np.random.default_rng(0)
    table = []
    for width in (128, 256, 512, 1024):
        for ratio in (1e6, 3e6, 9e6):
            tokens = width * ratio
            best = -6 - 0.8 * math.log2(width / 128) + 0.1 * math.log2(tokens / 1e8)
            for k in range(-5, 6):
                loss = 3 * math.exp(0.02 * (k / 2) ** 2 + 0.002 * draw.standard_normal())
                table.append((width, tokens, 2.0 ** (best + k / 2), loss))
    width, tokens = judge(path, table).axes
    for axis, slope in ((width, -0.8), (tokens, 0.1)):
        assert axis.slope_ci90 is not None
        assert axis.slope_ci90[0] < slope < axis.slope_ci90[1]
        assert axis.slope == pytest.approx(slope, abs=0.1)
    assert (width.verdict, tokens.verdict) == ("drifts", "transfers")
    assert "No two scales differ in width alone" in judge(path, table).remarks[0]


def test_runs_share_the_best_runs_settings(path: Path) -> None:
    """At another weight decay the optimum lies elsewhere; it must not blur the best one's."""
    best = [(*row, 0.1) for row in rows()]
    worse = [(width, seen, lr / 16, 1.05 * loss, 0.3) for width, seen, lr, loss in rows()]
    found = judge(path, best + worse, "dim,seen,opt.lr,val,wd", NAMES)
    assert {sweep.settings["weight_decay"] for sweep in found.sweeps} == {0.1}
    alone = judge(path, rows())
    assert found.axes[0].slope == pytest.approx(alone.axes[0].slope)


def test_a_diverged_run_brackets_and_a_missing_loss_does_not(path: Path) -> None:
    lower = [row for row in rows() if row[2] <= 2**-6 + 1e-9]
    walls = [(w, t, 2**-5.0, math.nan) for w in WIDTHS for t in LENGTHS]
    assert judge(path, lower + walls).axes[0].slope is not None
    empty = [(w, t, 2**-5.0, None) for w in WIDTHS for t in LENGTHS]
    open_end = judge(path, lower + empty)  # type: ignore[arg-type]
    assert open_end.axes[0].slope is None and open_end.axes[0].next_run is not None
    assert "6 rows without a val are left out." in open_end.remarks


def test_seeds_move_curves_and_not_the_optimum(path: Path) -> None:
    two = [(*row, 7) for row in rows(-0.2)]
    two += [(*row[:3], 1.03 * row[3], 9) for row in rows(-0.2, seed=1)]
    found = judge(path, two, "dim,seen,opt.lr,val,seed")
    assert found.axes[0].slope == pytest.approx(-0.2, abs=0.05)
    assert {t.seed for sweep in found.sweeps for t in sweep.trials} == {0, 1}


def test_several_rules_have_to_be_told_apart(path: Path) -> None:
    mixed = [(*row, "mup") for row in rows()] + [(*row, "sp") for row in rows(-1.0)]
    heading = "dim,seen,opt.lr,val,rule"
    text = [(w, t, lr, loss, rule) for w, t, lr, loss, rule in mixed]
    path.write_text("\n".join([heading, *(",".join(map(str, row)) for row in text)]))

    def verdict(where: str | None) -> str:
        table = read_tuning_table(read_raw(path), parse_sweep_columns([NAMES]), where)
        return str(judge_table(table).to_json()["verdict"])

    with pytest.raises(WindtunnelError, match="--where rule==mup"):
        verdict(None)
    assert verdict("rule==mup") == "transfers"
    assert verdict("rule==sp") == "drifts"


def test_the_words_are_the_studys_and_say_what_was_guessed(path: Path) -> None:
    words = table_words(judge(path, rows()))
    assert words[0].endswith("66 runs at 6 scales.")
    assert any(word.startswith("Width transfers: the optimum moves by ") for word in words)
    guessed = judge(path, rows(), "width,tokens,lr,val_loss", "")
    assert "width = 'width'" in table_words(guessed)[1]
