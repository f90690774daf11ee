from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.laws.deciding.compare_runs import compare_runs

BASE = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}
TARGET = {"params": 7e9, "tokens": 1.4e11}


@dataclasses.dataclass(frozen=True)
class Runs:
    source: str
    numbers: dict[str, np.ndarray]
    labels: dict[str, tuple[str, ...]]

    def keep(self, mask):
        return Runs(
            self.source,
            {name: values[mask] for name, values in self.numbers.items()},
            {
                name: tuple(text for text, kept in zip(texts, mask, strict=True) if kept)
                for name, texts in self.labels.items()
            },
        )


def runs_of(floors):
    """One row per mix; `fit` below knows its law from the row's floor."""
    return Runs(
        "runs.csv",
        {"floor": np.array(list(floors.values())), "params": np.ones(len(floors))},
        {"data_mix": tuple(floors)},
    )


@pytest.fixture
def fit(make_exact_law):
    def fitted(table, form):
        (floor,) = set(table.numbers["floor"])
        law = make_exact_law({**BASE, "E": floor})
        return dataclasses.replace(law, summary={"form_asked": form})

    return fitted


def test_two_mixes_in_the_order_of_the_table(fit):
    (found,) = compare_runs(runs_of({"web": 1.85, "code": 1.80}), "data_mix", TARGET, fit=fit)
    assert found.names == ("web", "code")
    assert found.verdict == "worse"
    assert found.losses[0] - found.losses[1] == pytest.approx(0.05)


def test_the_best_of_several_against_the_others(fit):
    floors = {"web": 1.85, "code": 1.80, "books": 1.82}
    found = compare_runs(runs_of(floors), "data_mix", TARGET, fit=fit)
    assert [one.names for one in found] == [("code", "web"), ("code", "books")]
    assert all(one.verdict == "better" for one in found)


def test_a_column_of_numbers(fit):
    found = compare_runs(runs_of({"a": 1.85, "b": 1.80}), "floor", TARGET, fit=fit)
    assert found[0].names == ("floor 1.85", "floor 1.8")


def renamed(law, name):
    """The same law under another form's name."""
    kind = type(law.fitted.form)
    other = type(f"Other{kind.__name__}", (kind,), {"name": name})
    return dataclasses.replace(law, fitted=dataclasses.replace(law.fitted, form=other()))


def test_the_form_with_the_better_back_tests_serves_both(make_exact_law):
    asked = []

    def fit(table, form):
        (floor,) = table.numbers["floor"]
        name = {"auto": "one" if floor > 1.82 else "two"}.get(form, form)
        asked.append((floor, form))
        error = {"one": 0.02, "two": 0.01}[name]
        law = renamed(make_exact_law({**BASE, "E": floor}), name)
        return dataclasses.replace(law, summary={"backtest": {"mean_abs_rel_error": error}})

    table = runs_of({"web": 1.85, "code": 1.80})
    (found,) = compare_runs(table, "data_mix", TARGET, fit=fit)
    assert found.verdict == "worse"
    assert (1.85, "two") in asked and (1.80, "one") in asked

    def only_one(table, form):
        if form == "two":
            raise WindtunnelError("too few sizes")
        return fit(table, form)

    compare_runs(table, "data_mix", TARGET, fit=only_one)  # form one suits both


def test_what_cannot_be_compared_is_refused(fit):
    with pytest.raises(WindtunnelError, match=r"runs.csv: no column 'mix'; choose one of data_mix"):
        compare_runs(runs_of({"a": 1.8}), "mix", TARGET, fit=fit)
    with pytest.raises(WindtunnelError, match="nothing to compare"):
        compare_runs(runs_of({"a": 1.8}), "data_mix", TARGET, fit=fit)

    def never(table, form):
        raise WindtunnelError("too few rows")

    with pytest.raises(WindtunnelError, match="a: too few rows"):
        compare_runs(runs_of({"a": 1.8, "b": 1.9}), "data_mix", TARGET, fit=never)
