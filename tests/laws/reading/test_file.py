"""Files as people have them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from windtunnel.errors import WindtunnelError
from windtunnel.laws.flags import flag_rows
from windtunnel.laws.reading import read_table
from windtunnel.laws.table import RunTable

SHARED = Path(__file__).parents[4] / "shared" / "data"
PLAIN = "params,tokens,loss\n1e8,2e9,3.5\n2e8,4e9,3.2\n4e8,8e9,3.0\n"


def read(folder: Path, text: str | bytes, name: str = "runs.csv", **options: object) -> RunTable:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_table(path, **options)  # type: ignore[arg-type]


def shared(name: str, **options: object) -> RunTable:
    path = SHARED / f"{name}.csv"
    if not path.exists():
        pytest.skip(f"{path} is not there: real runs are not part of the repository")
    return read_table(path, **options)  # type: ignore[arg-type]


def headings(table: RunTable) -> dict[str, str | None]:
    return {use.name: use.heading for use in table.uses}


def test_lines_count_the_heading_and_what_is_passed_over(tmp_path: Path) -> None:
    text = "# from wandb\n\nparams,tokens,loss\n1e8,2e9,3.5\n\n# later\n2e8,4e9,3.2\n"
    table = read(tmp_path, text)
    assert table.lines.tolist() == [4, 7]
    assert table.numbers["params"].tolist() == [1e8, 2e8]


@pytest.mark.parametrize(
    "text",
    [
        PLAIN.replace(",", "\t"),
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", " | "),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        PLAIN.replace("\n", ",,\n"),  # a spreadsheet's empty columns
        "\n".join('"' + line.replace(",", '","') + '"' for line in PLAIN.splitlines()),
        PLAIN.replace(",", ", ").replace("1e8", '"100,000,000"'),
        PLAIN.replace(",", ";").replace(".", ",").replace("3,5", "3,50"),
        "\n".join('"' + line.replace(",", '" , "') + '" ' for line in PLAIN.splitlines()),
        PLAIN.encode("utf-8-sig"),
        PLAIN.replace(",", "\t").encode("utf-16"),
        '{"params": 1e8, "tokens": 2e9, "loss": 3.5}\n\n'
        '{"loss": 3.2, "params": 2e8, "tokens": 4e9}\n'
        '{"params": 4e8, "tokens": 8000000000, "loss": 3.0}',
    ],
)
def test_one_table_written_in_many_ways(tmp_path: Path, text: str | bytes) -> None:
    table = read(tmp_path, text)
    expected = read(tmp_path, PLAIN)
    for name in ("params", "tokens", "loss", "flops"):
        np.testing.assert_array_equal(table.numbers[name], expected.numbers[name])


def test_quoted_cells_may_hold_separators_and_line_breaks(tmp_path: Path) -> None:
    table = read(tmp_path, 'run,params,tokens,loss\n"a, b\nc",1e8,2e9,3\n"say ""x""",1e8,4e9,2.9\n')
    assert table.labels["run"] == ("a, b\nc", 'say "x"')
    assert table.lines.tolist() == [2, 4]


def test_headings_that_repeat_are_numbered(tmp_path: Path) -> None:
    text = "params,tokens,loss,lr,lr,\n1e8,2e9,3.5,1,2,\n"
    with pytest.raises(WindtunnelError, match=r"which column is lr: 'lr', 'lr \(2\)'"):
        read(tmp_path, text)
    assert headings(read(tmp_path, text.replace("1,2", "1,1")))["lr"] == "lr"
    assert headings(read(tmp_path, text, columns={"lr": "lr (2)"}))["lr"] == "lr (2)"


def test_an_export_of_a_chart_becomes_one_row_a_point(tmp_path: Path) -> None:
    text = (
        '"Step","small - eval/loss","small - eval/loss__MIN","small - eval/loss__MAX",'
        '"big - eval/loss","big - eval/loss__MIN","big - eval/loss__MAX"\n'
        "100,4.0,3.8,4.2,3.9,3.7,4.1\n200,3.5,3.4,3.6,,,\n300,,,,3.1,3.0,3.2\n"
    )
    table = read(tmp_path, text)
    rows = zip(table.labels["run"], table.numbers["steps"], table.loss, table.lines, strict=True)
    assert list(rows) == [
        ("small", 100, 4.0, 2),
        ("small", 200, 3.5, 3),
        ("big", 100, 3.9, 2),
        ("big", 300, 3.1, 4),
    ]
    assert table.groups().tolist() == [0, 0, 1, 1]


def test_an_export_of_a_table_of_runs(tmp_path: Path) -> None:
    text = (
        '"Name","State","config.n_params","train/tokens","train/loss","eval/loss","Runtime"\n'
        '"fluffy-1","finished","350M","7B","2.9","3.1","3600"\n'
        '"fluffy-2","finished","1.3B","26B","2.4","2.6","7200"\n'
    )
    table = read(tmp_path, text, columns={"params": "config.n_params"})
    assert headings(table) == {
        "params": "config.n_params",
        "tokens": "train/tokens",
        "flops": None,
        "loss": "eval/loss",
        "run": "Name",
        "seconds": "Runtime",
    }
    assert table.numbers["tokens"].tolist() == [7e9, 26e9]


WRONG: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "empty"),
    "blank": ("\n \n", "empty"),
    "comments": ("# nothing\n", "empty"),
    "header only": ("params,tokens,loss\n", "no rows"),
    "no header": ("1e8,2e9,3.5\n2e8,4e9,3.2\n", "line 1: there are numbers where the headings"),
    "word": ("params,tokens,loss\n1e8,2e9,3\n1e8,many,3\n", "line 3, column 'tokens': 'many'"),
    "no number": ("params,tokens,loss\n1e8,x,3\n1e8,y,3\n", "column 'tokens' holds no numbers"),
    "short row": ("params,tokens,loss\n1e8,2e9,3\n1e8,2e9\n", "line 3: 2 cells under 3 headings"),
    "long row": ("params,tokens,loss\n1e8,2e9,3,4\n", "line 2: 4 cells under 3 headings"),
    "open quote": ('params,tokens,loss\n1e8,2e9,3\n"1e8,2e9,3\n', "line 3: the row cannot be read"),
    "negative size": ("params,tokens,loss\n1e8,2e9,3\n-1,2e9,3\n", "line 3, column 'params': -1"),
    "infinite": ("params,tokens,loss\n1e8,inf,3\n", "line 2, column 'tokens': inf"),
    "no loss": ("params,tokens\n1e8,2e9\n", "no column looks like a loss"),
    "no size": ("x,loss\na,3\n", "no column looks like params"),
    "wrong unit": ("params,tokens,loss\n7B tokens,2e9,3\n", "in tokens, not in params"),
    "ambiguous commas": ("params;tokens;loss\n1e8;2e9;2,345\n", "column 'loss': '2,345' can be"),
    "JSON array": ('[{"params": 1}]', "JSON array"),
    "broken JSON": ('{"params": 1e8, "tokens": 2e9, "loss": 3}\n{"params": 1\n', "line 2: this is"),
    "JSON number": ('{"params": 1e8}\n3\n', "line 2: a JSON object"),
    "JSON nothing": ("{}\n", "hold nothing"),
    "parquet": (b"PAR1\x00\x00", "parquet"),
    "gzip": (gzip.compress(PLAIN.encode()), "compressed"),
    "latin": ("params,tokens,loss\n1e8,2e9,3\ncaf\u00e9,2,3".encode("latin-1"), "line 3"),
    "binary": (b"abc\x00\x01,2\n3,4\n", "no text"),
    "negative loss": ("params,tokens,loss\n1e8,2e9,-3\n", "negative in every row"),
    "perplexity of 0": ("params,tokens,ppl\n1e8,2e9,20\n2e8,2e9,0\n", "line 3, column 'ppl'"),
    "no unit": ("params,tokens,loss\n7,1.5e11,3\n13,3e11,2\n", '--columns params="params (B)"'),
    "no unit, to thousands": ("params,tokens,loss\n0.5,1e9,3\n7000,3e11,2\n", "in which unit"),
    "loss too high": ("params,tokens,loss\n1e8,2e9,35\n2e8,4e9,30\n", "(perplexity)"),
    "units at odds": ("N,D,C,loss\n1e8,2e9,1.2e12,3\n2e8,4e9,4.8e12,2\n", "1e-06 times 6 x 'N'"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, wrong: str) -> None:
    text, words = WRONG[wrong]
    with pytest.raises(WindtunnelError) as raised:
        read(tmp_path, text)
    assert words in str(raised.value)
    assert "runs.csv" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("path", ["gone.csv", ".", "bad\0name.csv"])
def test_a_path_that_cannot_be_read(tmp_path: Path, path: str) -> None:
    with pytest.raises(WindtunnelError, match="cannot be read"):
        read_table(f"{tmp_path}/{path}")


def test_chinchilla() -> None:
    table = shared("chinchilla_points")
    assert len(table) == 245
    assert headings(table) == {name: name for name in ("params", "tokens", "flops", "loss")}
    keep, flags = flag_rows(table)
    assert keep.all()
    assert [flag.rule for flag in flags] == ["under-trained"]


def test_gemstones_groups_the_checkpoints_of_a_run() -> None:
    table = shared("gemstones_width_depth")
    assert headings(table)["run"] == "run_name"
    groups = table.groups()
    assert np.unique(groups, return_counts=True)[1].tolist() == [10] * 22
    keep, flags = flag_rows(table)
    assert keep.all()
    assert {flag.rule for flag in flags} >= {"unannealed"}


def test_isoflop_takes_the_run_s_own_columns_not_the_optima_s() -> None:
    table = shared("isoflop_points")
    assert headings(table) == {
        "params": "n_params",
        "tokens": "tokens",
        "flops": "flops",
        "loss": "loss",
    }
    keep, flags = flag_rows(table)
    assert keep.all()
    assert len([flag for flag in flags if flag.rule == "mixed"]) == 6


def test_redpajama_predicts_the_loss_not_one_of_its_accuracies() -> None:
    table = shared("overtraining_redpajama")
    assert headings(table)["loss"] == "loss"
    assert np.unique(table.groups()).size == 35
    chosen = shared("overtraining_redpajama", columns={"loss": "acc_hellaswag"})
    assert (chosen.metric.kind, chosen.metric.unit) == ("accuracy", "share")
    assert "loss (unused)" in chosen.numbers


def test_routed_asks_for_the_loss_and_the_count_of_parameters() -> None:
    with pytest.raises(WindtunnelError) as raised:
        shared("routed_last_checkpoint")
    for words in ("'loss_c4'", "'total_parameter_count'", "--columns loss=", "--columns params="):
        assert words in str(raised.value)
    table = shared(
        "routed_last_checkpoint",
        columns={"loss": "loss_validation", "params": "dense_parameter_count"},
    )
    assert headings(table)["experts"] == "num_experts"
    assert "flops" not in table.numbers  # those in the file are for one step
    named = {"loss": "loss_pile", "params": "model_size_label"}
    nominal = shared("routed_last_checkpoint", columns=named)
    assert {1.3e9, 130e6} <= set(nominal.numbers["params"].tolist())
    assert np.isnan(nominal.loss).sum() == 8


def test_step_law_derives_flops_and_drops_what_diverged() -> None:
    table = shared("steplaw_dense_small")
    assert headings(table)["flops"] is None
    assert set(headings(table)) >= {"lr", "batch_tokens", "steps"}
    keep, flags = flag_rows(table)
    assert [flag.rule for flag in flags] == ["diverged", "untuned"]
    diverged = np.isin(table.lines, flags[0].rows)
    assert 0.08 < diverged.mean() < 0.11  # the data's README: about 10 % diverged
    assert table.loss[~diverged].max() < 4 < table.loss[diverged].min()
    assert keep.sum() == 12  # the best of each size


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=200))
@example(b"\xff\xfe")
@example(b"\xff\xfe\x00")
@example(b"{" * 5000)
def test_any_bytes_are_read_or_refused(tmp_path: Path, data: bytes) -> None:
    try:
        read(tmp_path, data)
    except WindtunnelError as error:
        assert "\n" not in str(error)


CELL = st.one_of(
    st.floats().map(repr),
    st.sampled_from(
        ["", "7B", "1,5", "1e400", "nan", "-inf", "50%", "x", '"', "\u0661", "1_0", "12 PF-days"]
    ),
    st.text(max_size=6),
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from(["params,tokens,loss", "N;D;val_ppl", "n_params\tflops\tacc (%)", "a,C,err"]),
    st.lists(st.lists(CELL, min_size=3, max_size=3), max_size=6),
)
def test_any_cells_are_read_or_refused(tmp_path: Path, heading: str, rows: list[list[str]]) -> None:
    separator = next(mark for mark in ",;\t" if mark in heading)
    text = "\n".join([heading, *(separator.join(row) for row in rows)])
    try:
        table = read(tmp_path, text.encode(errors="ignore"))
        keep, _ = flag_rows(table)
    except WindtunnelError as error:
        assert "\n" not in str(error)
    else:
        assert np.isfinite(table.loss[keep]).all()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["params", "tokens", "loss", "a b", ""]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.dictionaries(st.sampled_from(["params", "tokens", "loss", "config"]), JSON, max_size=4),
        min_size=1,
        max_size=4,
    )
)
def test_any_json_is_read_or_refused(tmp_path: Path, rows: list[dict[str, object]]) -> None:
    try:
        flag_rows(read(tmp_path, "\n".join(map(json.dumps, rows))))
    except WindtunnelError as error:
        assert "\n" not in str(error)


def test_a_large_file(tmp_path: Path) -> None:
    # 100,000 rows keep the test short; a million take ten times as long (about 4 s).
    draw = np.random.default_rng(0)
    rows = 100_000
    columns = (
        draw.integers(10**6, 10**9, rows),
        draw.integers(10**9, 10**11, rows),
        draw.uniform(2, 4, rows),
    )
    lines = [f"{n},{d},{loss:.6f},run{n % 7}" for n, d, loss in zip(*columns, strict=True)]
    table = read(tmp_path, "params,tokens,loss,mix\n" + "\n".join(lines))
    keep, _ = flag_rows(table)
    assert len(table) == rows
    assert keep.all()
    assert table.lines[-1] == rows + 1
