"""Reading tuning tables: columns told or guessed, and mistakes named by line and column."""

from __future__ import annotations

import string
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windtunnel.errors import WindtunnelError
from windtunnel.laws.reading.delimited import read_delimited
from windtunnel.laws.reading.file import read_raw
from windtunnel.laws.sweeps.columns import parse_sweep_columns
from windtunnel.laws.sweeps.judge import judge_table
from windtunnel.laws.sweeps.table import TuningTable, read_tuning_table

HEADING = "width,tokens,lr,loss"
ROWS = ["64,1000000,0.01,3.1", "64,1000000,0.02,3.2", "128,1000000,0.01,3.0"]


def read(*lines: str, columns: str = "", where: str | None = None) -> TuningTable:
    raw = read_delimited("\n".join(lines), "runs.csv")
    return read_tuning_table(raw, parse_sweep_columns([columns] if columns else []), where)


def test_a_plain_table() -> None:
    table = read(HEADING, *ROWS)
    assert [run.line for run in table.runs] == [2, 3, 4]
    assert table.runs[2].scale == {"width": 128.0, "tokens": 1e6}
    assert table.runs[0].loss == 3.1 and table.runs[0].lr == 0.01
    assert table.remarks == ()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("64,1000000,-0.1,3", "line 5, column 'lr': -0.1 where lr has to be a positive number"),
        ("64,1000000,,3", "line 5, column 'lr': empty"),
        ("0,1000000,0.1,3", "line 5, column 'width': 0 where width"),
        ("64,many,0.1,3", "line 5, column 'tokens': 'many' is not a number"),
        ("64,1000000,0.1,-3", "line 5, column 'loss': -3 where a loss has to be positive"),
        ("64,1000000,0.1", "line 5: 3 cells under 4 headings"),
    ],
)
def test_a_wrong_cell_is_named_by_line_and_column(line: str, words: str) -> None:
    with pytest.raises(WindtunnelError) as refused:
        read(HEADING, *ROWS, line)
    assert words in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("heading", "columns", "words"),
    [
        ("width,tokens,rate,loss", "", "looks like a learning rate; name it: --columns lr=HEADING"),
        ("width,tokens,lr,score", "", "looks like a loss"),
        ("a,b,lr,loss", "", "looks like a size"),
        ("dim,d_model,lr,loss", "", "which column is width: 'dim', 'd_model'?"),
        (HEADING, "width=dim", "there is no column 'dim' to take as width"),
        (HEADING, "widht=width", "no column is called 'widht'"),
        (HEADING, "width", "'width' is not NAME=HEADING"),
        (HEADING, "width=width,width=lr", "width is given twice"),
    ],
)
def test_a_column_that_cannot_be_told_is_asked_for(heading: str, columns: str, words: str) -> None:
    with pytest.raises(WindtunnelError) as refused:
        read(heading, *ROWS, columns=columns)
    assert words in str(refused.value)


def test_units_in_headings_count() -> None:
    table = read("width,tokens (M),lr,loss", *ROWS)
    assert table.runs[0].scale["tokens"] == 1e12
    (use,) = (use for use in table.uses if use.name == "tokens")
    assert use.unit == "M" and not use.given


def test_unfinished_runs_are_left_out_and_said() -> None:
    rows = [*ROWS, "128,1000000,0.04,nan"]
    states = ["finished", "crashed", "running", "finished"]
    lines = [f"{row},{state}" for row, state in zip(rows, states, strict=True)]
    table = read(HEADING + ",State", *lines)
    assert [run.line for run in table.runs] == [2, 5]
    assert table.runs[1].loss is None
    assert set(table.remarks) == {
        "1 rows whose status is 'crashed' are left out.",
        "1 rows whose status is 'running' are left out.",
    }


def test_checkpoints_of_a_run_give_its_last() -> None:
    lines = [
        f"{name},64,{tokens},{lr},{loss}"
        for name, lr in (("a", 0.01), ("b", 0.02))
        for tokens, loss in ((1e6, 4.0), (3e6, 3.0), (2e6, 3.5))
    ]
    table = read("run,width,tokens,lr,loss", *lines)
    assert [(run.run, run.loss) for run in table.runs] == [("a", 3.0), ("b", 3.0)]
    assert table.remarks == ("6 rows are checkpoints of 2 runs; the last of each counts.",)


def test_a_name_that_many_scales_share_is_no_runs() -> None:
    lines = [f"first,{width},1000000,0.01,3" for width in (64, 128)]
    assert len(read("name,width,tokens,lr,loss", *lines).runs) == 2


def test_the_last_part_of_a_heading_is_enough_where_nothing_else_fits() -> None:
    lines = ["64,4,0.01,3.1,2.9,0.1"]
    table = read("model.dim,model.n_layer,opt.lr,train/loss,val/loss,opt/weight_decay", *lines)
    (run,) = table.runs
    assert (run.scale, run.lr, run.loss) == ({"width": 64, "depth": 4}, 0.01, 2.9)
    assert run.settings == {"weight_decay": 0.1}
    assert read("lr,old.lr,width,loss", "0.1,9,64,3").runs[0].lr == 0.1


def test_a_setting_nobody_named_is_pointed_out() -> None:
    lines = [f"{row},{name}" for row in ROWS for name in ("adamw", "muon")]
    table = read(HEADING + ",optimiser", *lines)
    assert "differ in 'optimiser' ('adamw', 'muon')" in table.remarks[0]
    assert len(read(HEADING + ",optimiser", *lines, where="optimiser==muon").runs) == 3


def test_accuracy_becomes_an_error() -> None:
    table = read(
        "width,tokens,lr,test accuracy", "64,1000000,0.01,0.9", columns="loss=test accuracy"
    )
    assert table.runs[0].loss == pytest.approx(0.1)
    (use,) = (use for use in table.uses if use.name == "loss")
    assert "1 - accuracy" in use.reason


def test_nested_json_by_dots(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_text('{"dim": 64, "opt": {"lr": 0.01}, "val": 3.0}\n' * 2)
    given_names = parse_sweep_columns(["width=dim,lr=opt.lr,loss=val"])
    table = read_tuning_table(read_raw(path), given_names)
    assert table.runs[0].lr == 0.01


@given(
    st.lists(
        st.tuples(
            st.integers(1, 10**6),
            st.floats(1e-8, 10, allow_nan=False),
            st.one_of(st.none(), st.floats(1e-3, 15), st.just(float("nan"))),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_every_row_is_kept_or_counted(rows: list[tuple[int, float, float | None]]) -> None:
    cells = [f"{w},{lr!r},{'' if loss is None else repr(loss)}" for w, lr, loss in rows]
    with_loss = [loss for _, _, loss in rows if loss is not None]
    if not any(loss == loss for loss in with_loss):
        return  # a column without a number is no loss; refused above
    table = read("width,lr,loss", *cells)
    assert len(table.runs) == len(with_loss)
    assert sum(run.loss is None for run in table.runs) == sum(loss != loss for loss in with_loss)
    assert [run.lr for run in table.runs] == [lr for _, lr, loss in rows if loss is not None]


CELLS = st.one_of(
    st.sampled_from(
        ["", "nan", "inf", "0", "-1", "0.01", "64", "1e9", "1.3B", "x", '"', "crashed"]
    ),
    st.text(string.printable, max_size=5),
)
KNOWN = "width dim depth steps lr opt.lr loss val/loss accuracy seed run state rule wd batch params"
SOME_HEADINGS = st.sampled_from([*KNOWN.split(), "tokens (M)", "notes"])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(SOME_HEADINGS, min_size=1, max_size=6),
    st.lists(st.lists(CELLS, max_size=6), max_size=5),
)
def test_any_table_is_judged_or_refused_in_one_line(
    headings: list[str], rows: list[list[str]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runs.csv"
        lines = [",".join(["width", "lr", "loss", *headings])]
        for row in rows:
            filled = [*row, *[""] * len(headings)][: len(headings)]
            lines.append(",".join(["64", "0.01", "3.0", *filled]))
        path.write_text("\n".join(lines), encoding="utf-8")
        try:
            judge_table(read_tuning_table(read_raw(path), {}))
        except WindtunnelError as error:
            assert "\n" not in str(error)
