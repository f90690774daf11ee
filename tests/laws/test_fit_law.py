from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from windtunnel.errors import WindtunnelError
from windtunnel.laws.fit_law import fit_law
from windtunnel.laws.forecasting import forecast_law
from windtunnel.laws.law import Law
from windtunnel.laws.reading import table_from_columns

TARGET = {"params": 7e9, "tokens": 2e11}
FEW = settings(
    deadline=None,
    max_examples=3,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(autouse=True)
def no_warning_is_left_unexplained() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def fitted(columns: dict, *, headings: dict | None = None, **options: object) -> Law:
    return fit_law(table_from_columns(columns, columns=headings), draws=10, **options)


def said(law: Law, target: dict[str, float] = TARGET) -> list[float]:
    found = forecast_law(law, target)
    return [found.value, *found.ci90]


def rules(law: Law) -> list[str]:
    return [flag["rule"] for flag in law.summary["flags"]]


def test_the_summary_has_what_the_issue_lists(runs: Callable[..., dict]) -> None:
    law = fitted(runs(4, 4))
    assert {
        "form", "params", "ci90", "objective", "n_used", "flags", "seconds", "backtest",
        "candidates",
    } <= set(law.summary)  # fmt: skip
    assert law.summary["params"]["E"] == pytest.approx(1.8172, rel=0.1)
    for name, (low, high) in law.summary["ci90"].items():
        assert low <= high
        assert np.isfinite(law.summary["params"][name])
    (chosen,) = [each for each in law.summary["candidates"] if each["chosen"]]
    assert (chosen["form"], chosen["prior"]) == (law.summary["form"], law.summary["prior"])
    errors = [each["mean_abs_rel_error"] for each in law.summary["candidates"]]
    assert errors == sorted(errors)
    json.dumps(law.to_json(), allow_nan=False)


def test_the_target_is_foretold(runs: Callable[..., dict], true_loss: Callable[..., float]) -> None:
    found = forecast_law(fitted(runs(4, 4, noise=0.001)), TARGET)
    assert found.value == pytest.approx(true_loss(**TARGET), rel=0.02)
    assert found.ci90[0] < true_loss(**TARGET) < found.ci90[1]
    assert found.verdict in ("ok", "wide")


def test_a_form_by_name_is_fitted_to_every_row_and_believes_nothing(
    runs: Callable[..., dict],
) -> None:
    law = fitted(runs(4, 4, least_ratio=6.0), form="over-training")
    summary = law.summary
    assert (summary["form"], summary["prior"], summary["rows"]) == (
        "over-training", "none", "all rows",
    )  # fmt: skip
    assert summary["n_used"] == 16
    assert fitted(runs(4, 4), form="chinchilla", prior="balanced").summary["prior"] == "balanced"


def test_the_seed_fixes_every_draw(runs: Callable[..., dict]) -> None:
    columns = runs(2, 3)
    first, again, other = (fitted(columns, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.draws, again.draws)
    assert (first.draws != other.draws).any()
    assert said(first)[0] == said(other)[0]


@FEW
@given(st.sampled_from([1e-3, 1e3]), st.sampled_from([1e-3, 1e3]), st.floats(0.2, 3.0))
def test_units_of_size_length_and_loss_change_the_forecast_by_the_factor_alone(
    runs: Callable[..., dict], by_params: float, by_tokens: float, by_loss: float
) -> None:
    columns = runs(3, 4, least_ratio=25.0)
    plain = said(fitted(columns, form="chinchilla", prior="balanced"))
    scaled = {
        "params": columns["params"] * by_params,
        "tokens": columns["tokens"] * by_tokens,
        "loss": columns["loss"] * by_loss,
    }
    headings = {name: f"{name} (1)" for name in ("params", "tokens")}  # take them as they are
    law = fitted(scaled, form="chinchilla", prior="balanced", headings=headings)
    target = {"params": TARGET["params"] * by_params, "tokens": TARGET["tokens"] * by_tokens}
    np.testing.assert_allclose(said(law, target), np.array(plain) * by_loss, rtol=1e-4)


@FEW
@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(runs: Callable[..., dict], random: object) -> None:
    columns = runs(4, 4)
    order = list(range(16))
    random.shuffle(order)  # type: ignore[attr-defined]
    plain, shuffled = (
        fitted({name: values[at] for name, values in columns.items()})
        for at in (np.arange(16), order)
    )
    for name in ("form", "prior", "rows", "n_used"):
        assert shuffled.summary[name] == plain.summary[name]
    assert said(shuffled)[0] == pytest.approx(said(plain)[0], rel=1e-4)


def test_rows_given_twice_count_once(runs: Callable[..., dict]) -> None:
    columns = runs(2, 3)
    twice = fitted({name: np.concatenate([v, v]) for name, v in columns.items()})
    assert rules(twice)[0] == "duplicate"
    assert twice.summary["n_used"] == 6
    assert said(twice) == said(fitted(columns))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -2.0, 0.0, 1e9])
def test_a_loss_that_is_none_is_left_out_and_said(runs: Callable[..., dict], bad: float) -> None:
    columns = runs(2, 3)
    whole = fitted({name: np.delete(values, 5) for name, values in columns.items()})
    columns["loss"][5] = bad
    law = fitted(columns)
    assert law.summary["flags"][0]["rows"] == [6]
    assert law.summary["flags"][0]["dropped"]
    assert said(law) == said(whole)


@pytest.mark.parametrize("stray", [1e-9, 0.1, 9.0])
def test_one_stray_loss_hardly_moves_the_forecast(
    runs: Callable[..., dict], true_loss: Callable[..., float], stray: float
) -> None:
    columns = runs(4, 4)
    columns["loss"][7] = stray
    law = fitted(columns, rows="auto", form="chinchilla", prior="balanced")
    assert "outlier" in rules(law)
    assert said(law)[0] == pytest.approx(true_loss(**TARGET), rel=0.03)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"loss": np.full(12, 3.0)}, "3 in every row"),
        ({"loss": np.zeros(12)}, "0 rows are left to fit"),
        ({"loss": np.array([3.0, 2.9, *[np.nan] * 10])}, "2 rows are left to fit"),
        ({"loss": np.full(12, -3.0)}, "negative in every row"),
        ({"loss": np.array([1e-300, *np.linspace(3, 4, 11)])}, "line 1: loss 1e-300"),
        ({"params": np.array([1e-300, *np.full(11, 1e8)])}, "line 1: params 1e-300"),
        ({"tokens": np.array([1e-300, *np.full(11, 1e10)])}, "line 1: tokens 1e-300"),
        ({"params": np.full(12, 1e208)}, "in which unit are the params"),
        ({"params": np.full(12, 1e8), "tokens": np.full(12, 1e10)}, "the same in every row"),
    ],
)
def test_what_cannot_be_fitted_is_refused_in_one_line(
    runs: Callable[..., dict], change: dict, words: str
) -> None:
    with pytest.raises(WindtunnelError, match=words) as refused:
        fitted(runs(3, 4) | change)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_too_few_rows_are_refused(runs: Callable[..., dict], rows: int) -> None:
    columns = {name: values[:rows] for name, values in runs(3, 4).items()}
    with pytest.raises(WindtunnelError, match=f"{rows} rows are left to fit"):
        fitted(columns)


@pytest.mark.parametrize("name", ["params", "tokens"])
def test_one_size_or_length_says_nothing_of_another(runs: Callable[..., dict], name: str) -> None:
    law = fitted(runs(3, 4) | {name: np.full(12, 1e9)})
    other = {"params": "tokens", "tokens": "params"}[name]
    assert law.summary["form"] == f"power-{other}"
    assert forecast_law(law, {other: TARGET[other], name: 1e9}).axes[-1].verdict == "ok"
    assert forecast_law(law, TARGET).verdict == "cannot say"


@pytest.mark.parametrize("shape", [(2, 2), (2, 3)])
def test_a_few_rows_are_fitted_without_a_back_test_and_at_best_wide(
    runs: Callable[..., dict], shape: tuple[int, int]
) -> None:
    law = fitted(runs(*shape))
    assert law.summary["form"] == "over-training"
    assert law.summary["backtest"]["folds"] == 0
    assert forecast_law(law, {"params": 1e9, "tokens": 3e10}).verdict != "ok"
    json.dumps(law.to_json(), allow_nan=False)


def test_rows_that_lack_an_input_are_left_out_and_said(runs: Callable[..., dict]) -> None:
    unique = np.resize([1e9, 2e9, 4e9, np.nan], 12)
    law = fitted(runs(3, 4) | {"unique_tokens": unique})
    (flag,) = [flag for flag in law.summary["flags"] if flag["rule"] == "incomplete"]
    assert flag["rows"] == [4, 8, 12]
    assert flag["dropped"]
    assert law.summary["n_used"] == 9


def test_checkpoints_of_a_run_stay_together(true_loss: Callable[..., np.ndarray]) -> None:
    params = np.repeat(np.geomspace(2e7, 2e9, 8), 4)
    tokens = np.tile(np.geomspace(4e9, 6e10, 4), 8)
    stray = np.exp(0.002 * np.random.default_rng(0).standard_normal(32))
    columns = {"params": params, "tokens": tokens, "loss": true_loss(params, tokens) * stray}
    law = fitted(columns | {"run": [f"run {i // 4}" for i in range(32)]}, form="chinchilla")
    assert law.spread.groups <= 8
    assert "unannealed" in rules(law)


def test_weights_say_which_rows_count(
    runs: Callable[..., dict], true_loss: Callable[..., float]
) -> None:
    """Short runs that follow another law bend the forecast less, the less they weigh."""
    columns = runs(4, 4, noise=0.0005)
    short = columns["tokens"] < np.median(columns["tokens"])
    bent = columns | {"loss": columns["loss"] * np.where(short, 1.03, 1.0)}
    law = {
        power: fitted(
            bent | {"w": columns["tokens"] ** power}, headings={"weight": "w"}, form="chinchilla"
        )
        for power in (0.0, 4.0)
    }
    miss = {power: abs(said(each)[0] / true_loss(**TARGET) - 1) for power, each in law.items()}
    assert miss[4.0] < 0.5 * miss[0.0]
    assert law[0.0].weight is not None
    doubled = fitted(bent | {"w": np.full(16, 2.0)}, headings={"weight": "w"}, form="chinchilla")
    assert said(doubled) == pytest.approx(said(law[0.0]), rel=1e-9)


def test_known_noise_sets_the_range_and_keeps_the_fit_off_single_rows(
    runs: Callable[..., dict],
) -> None:
    columns = runs(4, 4, noise=0.01)
    quiet, loud = (
        fitted(columns, form="chinchilla", prior="weak", seed_noise=noise) for noise in (0.01, 0.04)
    )
    assert (quiet.spread.noise, loud.spread.noise) == (0.01, 0.04)
    assert quiet.delta == pytest.approx(0.01345)
    assert np.ptp(said(loud)[1:]) > 1.5 * np.ptp(said(quiet)[1:])
    weight = np.ones(16)
    weight[0] = 0.8
    other = fitted(
        columns | {"weight": weight},
        headings={"weight": "weight"},
        form="chinchilla",
        prior="weak",
        seed_noise=0.01,
    )
    assert said(other)[0] == pytest.approx(said(quiet)[0], rel=3e-3)


@pytest.mark.parametrize("noise", [0.0, -0.1, 1.5, np.nan])
def test_noise_that_is_no_share_is_refused(runs: Callable[..., dict], noise: float) -> None:
    with pytest.raises(WindtunnelError, match=r"no share of the metric; give 0.01 for 1 %"):
        fitted(runs(3, 4), seed_noise=noise)


def test_a_column_or_a_form_that_is_not_there(runs: Callable[..., dict]) -> None:
    with pytest.raises(WindtunnelError, match="needs params, experts, and there is no experts"):
        fitted(runs(3, 4), form="routed")
    with pytest.raises(WindtunnelError, match="form: no 'linear'"):
        fitted(runs(3, 4), form="linear")
    with pytest.raises(WindtunnelError, match="no form here has a prior 'mine'"):
        fitted(runs(3, 4), prior="mine")
    with pytest.raises(WindtunnelError, match="the form downstream is for error"):
        fitted(runs(3, 4), form="downstream")


def test_a_million_rows(true_loss: Callable[..., np.ndarray]) -> None:
    generator = np.random.default_rng(0)
    params, tokens = (np.exp(generator.uniform(*np.log(ends), 1_000_000)) for ends in (
        (1e7, 1e9), (2e8, 1e11),
    ))  # fmt: skip
    stray = np.exp(0.003 * generator.standard_normal(params.size))
    columns = {"params": params, "tokens": tokens, "loss": true_loss(params, tokens) * stray}
    law = fitted(columns, form="chinchilla")
    assert law.summary["n_used"] == 1_000_000
    found = law.summary["params"]
    assert [found[name] for name in ("E", "alpha", "beta")] == pytest.approx(
        [1.8172, 0.3478, 0.3658], rel=2e-3
    )
    assert said(law)[0] == pytest.approx(true_loss(**TARGET), rel=1e-3)
    assert len(json.dumps(law.to_json()["law"])) < 200_000  # not every row is written
