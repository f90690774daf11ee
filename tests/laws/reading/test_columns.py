"""Which column is taken for what."""

from __future__ import annotations

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.laws.reading import parse_columns, table_from_columns
from windtunnel.laws.table import RunTable

COUNTS = [1e8, 2e8, 4e8]
OTHERS = {"params": COUNTS, "tokens": [2e9, 4e9, 8e9], "loss": [3.5, 3.2, 3.0]}


def taken(name: str, *headings: str, values: list[float] | None = None) -> str | None:
    """The heading taken for a name, from several with unlike values."""
    table = table_with(name, *headings, values=values)
    use = table.use(name)
    return None if use is None else use.heading


def table_with(
    name: str,
    *headings: str,
    values: list[float] | None = None,
    columns: dict[str, str] | None = None,
) -> RunTable:
    rest = {key: column for key, column in OTHERS.items() if key != name}
    own = values or OTHERS.get(name, [1.0, 2.0, 3.0])
    columns_of = {h: [v * (1 + 0.001 * i) for v in own] for i, h in enumerate(headings)}
    return table_from_columns(columns_of | rest, columns=columns)


@pytest.mark.parametrize(
    ("name", "heading"),
    [
        *(
            ("params", h)
            for h in ("n_params", "N", "num_parameters", "non_embedding_params", "nParams")
        ),
        *(("params", h) for h in ("Model Size", "#params", "total_parameter_count", "n")),
        *(("params", h) for h in ("config/n_params", "non-embedding parameters")),
        *(("tokens", h) for h in ("D", "n_tokens", "train_tokens", "tokens_seen", "Dataset size")),
        *(
            ("loss", h)
            for h in ("val_loss", "eval/loss", "C4 loss", "Loss", "validation NLL", "lm_loss")
        ),
        *(("loss", h) for h in ("cross-entropy", "evalLoss", "final_val_loss", "test ce", "bpb")),
        *(("lr", h) for h in ("learning_rate", "peak_lr", "LR", "config.lr")),
        ("batch_tokens", "batch size (tokens)"),
        ("experts", "num_experts"),
        ("vocabulary", "vocab_size"),
        ("unique_tokens", "unique tokens"),
        ("weight_decay", "wd"),
        ("steps", "global_step"),
        ("seed", "random_seed"),
        ("seconds", "train_runtime"),
        ("seconds", "wall_time_s"),
        ("vocabulary_params", "vocab_params"),
        ("members", "ensemble size"),
        ("loss", "L"),
    ],
)
def test_usual_names(name: str, heading: str) -> None:
    assert taken(name, heading, "x") == heading


@pytest.mark.parametrize(
    ("name", "heading"),
    [
        ("params", "embedding_params"),
        ("params", "router_params"),
        ("tokens", "tokens_per_second"),
        ("tokens", "d_model"),
        ("flops", "flops_per_step"),
        ("lr", "lr_schedule_steps"),
        ("batch_tokens", "batch_size"),
        ("seconds", "seconds_per_step"),
    ],
)
def test_names_that_mean_something_else(name: str, heading: str) -> None:
    assert taken(name, heading) != heading


@pytest.mark.parametrize(
    ("name", "headings", "best"),
    [
        ("params", ["non_embedding_params", "params"], "params"),
        ("params", ["size", "n_params"], "n_params"),
        ("loss", ["train_loss", "val_loss"], "val_loss"),
        ("loss", ["loss", "eval_loss"], "eval_loss"),
        ("loss", ["train/loss", "eval/ppl"], "eval/ppl"),
        ("loss", ["val_ppl", "val_loss"], "val_loss"),
        ("loss", ["val_bpb", "val_loss"], "val_loss"),
        ("loss", ["loss_star", "loss"], "loss"),
        ("loss", ["aux_loss", "val_loss", "val_loss_std", "loss_scale"], "val_loss"),
        ("loss", ["train_loss", "C4 loss"], "C4 loss"),
        ("loss", ["accuracy", "loss"], "loss"),
        ("tokens", ["unique_tokens", "tokens"], "tokens"),
    ],
)
def test_the_better_of_several(name: str, headings: list[str], best: str) -> None:
    assert taken(name, *headings) == best


@pytest.mark.parametrize(
    ("name", "headings"),
    [
        ("params", ["total_params", "non_embedding_params"]),
        ("params", ["n_params", "non_embedding_params"]),
        ("loss", ["C4 loss", "Pile loss"]),
        ("loss", ["val_loss", "test_loss"]),
        ("loss", ["eval/c4/loss", "eval/pile/loss", "train/loss"]),
        ("loss", ["val_loss", "loss_c4"]),
        ("loss", ["hellaswag_acc", "arc_acc"]),
        ("tokens", ["train_tokens", "tokens_seen"]),
    ],
)
def test_it_asks_where_two_fit_equally(name: str, headings: list[str]) -> None:
    values = [0.2, 0.3, 0.4] if "acc" in headings[0] else None
    with pytest.raises(WindtunnelError) as raised:
        taken(name, *headings, values=values)
    message = str(raised.value)
    assert f"which column is {name}" in message
    assert all(f"'{heading}'" in message or heading == "train/loss" for heading in headings)
    asked_for = message.split("Add --columns ")[1].split("=", 1)
    assert asked_for[0] == name
    answer = asked_for[1].strip('"')
    assert table_with(name, *headings, values=values, columns={name: answer}).use(name) is not None


def test_a_single_letter_needs_values_of_the_right_size() -> None:
    assert taken("tokens", "D") == "D"
    assert taken("tokens", "D", values=[512.0, 1024.0, 2048.0]) is None  # a width
    assert taken("params", "N", values=[512.0, 1024.0, 2048.0]) is None


@pytest.mark.parametrize(
    ("heading", "factor"),
    [
        ("params (B)", 1e9),
        ("params_M", 1e6),
        ("params [millions]", 1e6),
        ("parameters in billions", 1e9),
        ("N (x1e6)", 1e6),
        ("n_params (10^6)", 1e6),
        ("model size (M params)", 1e6),
    ],
)
def test_units_in_headings(heading: str, factor: float) -> None:
    table = table_with("params", heading, values=[100, 200, 400])
    assert table.numbers["params"].tolist() == [100 * factor, 200 * factor, 400 * factor]


@pytest.mark.parametrize(
    ("heading", "factor"),
    [
        ("compute (PF-days)", 8.64e19),
        ("compute in PF-days", 8.64e19),
        ("EFLOPs", 1e18),
        ("train_zettaflops", 1e21),
        ("FLOPs (1e18)", 1e18),
        ("pflops_days", 8.64e19),
    ],
)
def test_units_of_compute(heading: str, factor: float) -> None:
    table = table_from_columns({heading: [1.0, 2.0], "params": [1e9, 2e9], "loss": [3.0, 2.0]})
    assert table.numbers["flops"].tolist() == [factor, 2 * factor]
    assert table.numbers["tokens"][0] == pytest.approx(factor / 6e9)


def test_units_of_time() -> None:
    table = table_from_columns({**OTHERS, "wall_time_h": [1, 2, 3]})
    assert table.numbers["seconds"].tolist() == [3600, 7200, 10800]


def test_a_cell_s_own_unit_goes_before_the_heading_s() -> None:
    table = table_from_columns(
        {
            "params (B)": ["0.5", "350M", "1.3B"],
            "tokens": ["10B tokens", "7e9", "26B"],
            "loss": [3, 3, 2],
        }
    )
    assert table.numbers["params"].tolist() == [5e8, 3.5e8, 1.3e9]
    assert table.numbers["tokens"].tolist() == [1e10, 7e9, 2.6e10]


def test_a_nominal_size_gives_way_to_a_count() -> None:
    columns = {"model_size": ["130M", "370M"], "n_params": [132163576, 368123904]}
    table = table_from_columns(columns | {"tokens": [2e9, 4e9], "loss": [3, 2.5]})
    use = table.use("params")
    assert use is not None
    assert use.heading == "n_params"
    assert "not 'model_size'" in use.reason


def test_a_unit_the_file_does_not_say_can_be_given() -> None:
    columns = {"size": [0.1, 0.4], "tokens": [2e9, 4e9], "val": [30.0, 20.0]}
    given = {"params": "size (B)", "loss": "val (perplexity)"}
    table = table_from_columns(columns, columns=given)
    assert table.numbers["params"].tolist() == [1e8, 4e8]
    assert table.loss.tolist() == pytest.approx([3.4012, 2.9957], abs=1e-4)
    assert (table.metric.name, table.metric.unit) == ("val", "nats")


def test_bits_per_byte_stay_what_they_are() -> None:
    table = table_with("loss", "val_bpb", values=[1.1, 1.0, 0.9])
    assert table.metric.unit == "bits per byte"
    assert table.loss.tolist() == [1.1, 1.0, 0.9]


@pytest.mark.parametrize(
    ("heading", "values"), [("acc (%)", [45.0, 50.0, 60.0]), ("accuracy", [45.0, 50.0, 60.0])]
)
def test_percentages_become_shares(heading: str, values: list[float]) -> None:
    table = table_with("loss", heading, values=values)
    assert (table.metric.kind, table.metric.unit) == ("accuracy", "share")
    assert table.loss.tolist() == [0.45, 0.5, 0.6]


def test_a_loss_less_the_unigram_s() -> None:
    table = table_with("loss", "unigram_normalised_loss", values=[-3.0, -3.2, -3.4])
    assert table.metric.kind == "normalised loss"
    with pytest.raises(WindtunnelError, match=r"normalised loss"):
        table_with("loss", "loss", values=[-3.0, -3.2, -3.4])


def test_a_name_that_goes_with_several_sizes_is_no_run() -> None:
    columns = {**OTHERS, "name": ["a", "a", "b"]}
    assert table_from_columns(columns).use("run") is None
    assert table_from_columns(columns, columns={"run": "name"}).groups().tolist() == [0, 0, 1]


def test_leaving_a_column_out() -> None:
    table = table_from_columns({**OTHERS, "flops": [1e18, 2e18, 3e18]}, columns={"flops": ""})
    assert table.numbers["flops"][0] == 6 * 1e8 * 2e9
    assert table.numbers["flops (unused)"].tolist() == [1e18, 2e18, 3e18]


def test_parsing_what_the_user_names() -> None:
    assert parse_columns(["loss=C4 loss", "params=N,tokens=D"]) == {
        "loss": "C4 loss",
        "params": "N",
        "tokens": "D",
    }
    assert parse_columns(["loss=loss, final, tokens=D"]) == {"loss": "loss, final", "tokens": "D"}
    assert parse_columns(["flops="]) == {"flops": ""}


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["C4 loss"], "is not NAME=HEADING"),
        (["los=C4 loss"], "no column is called 'los'"),
        (["loss=a", "loss=b"], "loss is given twice"),
    ],
)
def test_what_the_user_names_wrongly(texts: list[str], words: str) -> None:
    with pytest.raises(WindtunnelError, match=words):
        parse_columns(texts)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"loss": "lost"}, "there is no column 'lost' to take as loss; there are 'params'"),
        ({"params": "params (bananas)"}, "there is no column 'params .bananas.'"),
        ({"lr": "text"}, "column 'text' holds no numbers"),
        ({"size": "params"}, "no column is called 'size'"),
    ],
)
def test_given_columns_that_are_not_there(given: dict[str, str], words: str) -> None:
    with pytest.raises(WindtunnelError, match=words):
        table_from_columns({**OTHERS, "text": ["a", "b", "c"]}, columns=given)


def test_a_weight_is_never_guessed_and_has_to_be_positive() -> None:
    table = table_with("weight", "weight", values=[1.0, 2.0, 3.0])
    assert table.use("weight") is None
    assert table.weight.tolist() == [1, 1, 1]
    given = table_with("weight", "w", values=[1.0, 2.0, 3.0], columns={"weight": "w"})
    assert given.weight.tolist() == [1, 2, 3]
    with pytest.raises(WindtunnelError, match=r"row 2, column 'w': -2 where weight has to be a"):
        table_with("weight", "w", values=[1.0, -2.0, 3.0], columns={"weight": "w"})
