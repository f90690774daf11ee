from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.comparing.reading import read_method_runs
from windtunnel.errors import WindtunnelError
from windtunnel.laws.reading.file import read_raw

HEAD = "optimizer,d_model,tokens,seed,val_loss,total FLOPs,runtime (min),state bytes,lr,state,stage"
ROWS = (
    "muon,64,1M,0,3.1,1e12,2,100,0.01,finished,",
    "muon,64,1M,1,nan,1e12,2,100,0.01,finished,final",
    "adamw,64,1M,0,3.2,,2,200,0.02,finished,final",
    "adamw,64,1M,1,3.3,1e12,2,200,0.02,diverged,final",
    "adamw,64,1M,2,,1e12,2,200,0.02,running,final",
    "adamw,64,1M,0,3.4,1e12,2,200,0.04,finished,tuning",
    "adamw,64,1M,0,3.4,1e12,2,200,0.04,finished,spot_check",
)


@pytest.fixture
def read(tmp_path):
    def reader(rows=ROWS, head=HEAD, given=None, where=None):
        path = tmp_path / "runs.csv"
        path.write_text("\n".join([head, *rows]))
        return read_method_runs(read_raw(path), given or {}, where)

    return reader


def test_a_table_as_trackers_write_them(read):
    table = read()
    assert table.methods == ("muon", "adamw") and table.unit == "tokens"
    first = table.runs[0]
    assert (first.method, first.scale, first.units, first.seed) == (
        "muon",
        {"width": 64.0},
        1e6,
        "0",
    )
    assert (first.loss, first.flops, first.seconds) == (3.1, 1e12, 120)
    assert (first.state_bytes, first.settings, first.line) == (100, {"lr": 0.01}, 2)
    assert [math.isinf(run.loss) for run in table.runs[:4]] == [False, True, False, True]
    assert table.runs[2].flops is None
    assert [run.stage for run in table.runs[-2:]] == ["tuning", "spot check"]
    assert table.remarks == ("1 rows whose status is 'running' are left out.",)


def test_rows_and_columns_are_chosen(read):
    assert {run.method for run in read(where="method==adamw").runs} == {"adamw"}
    assert {run.scale["width"] for run in read(where="width>=64").runs} == {64}
    named = read(given={"method": "lr", "lr": ""})
    assert named.methods == ("0.01", "0.02") and named.runs[0].settings == {}


@pytest.mark.parametrize(
    ("head", "row", "said"),
    [
        ("width,seed,loss", "64,0,3", "no column looks like the methods' names"),
        ("method,width,loss", "a,64,3", "no column looks like seeds, which pair the runs"),
        ("method,seed,width", "a,0,64", "no column looks like a loss"),
        ("method,seed,width,loss", "a,0,-3,2", "line 2, column 'width': -3 where width has to be"),
        ("method,seed,width,loss", ",0,3,2", "line 2, column 'method': empty, and every run needs"),
        ("method,seed,width,loss", "a,0,3,x", "no column looks like a loss"),
        ("method,seed,loss,stage", "a,0,3,later", "'later' is no stage; write final, tuning"),
        ("method,seed,loss", "a,0,-1", "negative in every row"),
        ("method,seed,loss", "a,0,", "no column looks like a loss"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(read, head, row, said):
    with pytest.raises(WindtunnelError, match=said.replace("(", r"\(")):
        read((row,), head)


def test_sizes_by_parameters_only_where_no_width_is(read):
    table = read(("a,1M,0,3,1e9",), "method,params,seed,loss,tokens")
    assert table.runs[0].scale == {"params": 1e6} and table.runs[0].params == 1e6
    table = read(("a,64,1M,0,3",), "method,width,params,seed,loss")
    assert table.runs[0].scale == {"width": 64.0} and table.unit == "runs"


@given(st.lists(st.text("ab0.,;\" -\n'", max_size=12), min_size=1, max_size=4))
def test_any_text_is_read_or_refused_in_words(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("any") / "runs.csv"
    path.write_text("\n".join(["method,seed,loss", *lines]))
    try:
        table = read_method_runs(read_raw(path), {})
    except WindtunnelError as error:
        assert "\n" not in str(error)
    else:
        assert all(run.loss > 0 and run.method for run in table.runs)
