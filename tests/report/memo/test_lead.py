"""The first paragraph, held against the numbers behind it."""

from __future__ import annotations

import dataclasses
import math

import pytest
from scipy import stats

from windtunnel.laws.deciding.budget import Budget
from windtunnel.laws.deciding.device import device_named
from windtunnel.report.formatting import quantity
from windtunnel.report.memo.findings import Question, find
from windtunnel.report.memo.lead import lead_sentences

TARGET = {"params": 7e9, "tokens": 2e11}


@pytest.fixture(scope="module")
def priced(runs_table):
    question = Question(
        TARGET,
        where="params<1e9",
        budget=Budget(20_000, "money"),
        device=device_named("h100"),
        mfu=0.4,
        rate=2.2,
        at_most=2.15,
    )
    return find(runs_table, question)


@pytest.fixture(scope="module")
def plain(runs_table):
    return find(runs_table, Question(TARGET))


def test_it_says_size_tokens_hours_and_money(priced):
    said = " ".join(lead_sentences(priced))
    split = priced.plan.allocation
    assert f"Train a model of {quantity(split.params.value)} parameters (90 % range " in said
    assert f"on {quantity(split.tokens.value)} tokens (" in said
    assert split.flops == pytest.approx(20_000 / 2.2 * 3600 * 0.4 * 989.4e12)
    assert "It takes 9.09\u202fk GPU-hours and costs 20\u202fk at 2.2 a GPU-hour." in said
    assert split.params.value * split.tokens.value * 6 == pytest.approx(split.flops, rel=1e-3)


def test_it_says_how_likely_it_is_to_miss(priced):
    said = " ".join(lead_sentences(priced))
    forecast = priced.planned.forecast
    assert f"ends above {forecast.ci90[1]:.3f} is about 5 %" in said
    # The range is normal in the log: its upper end is 1.645 standard deviations away.
    sd = math.log(forecast.ci90[1] / forecast.value) / stats.norm.ppf(0.95)
    chance = 100 * stats.norm.sf(math.log(2.15 / forecast.value) / sd)
    expected = f"about {chance:.0f} %" if 3 < chance < 97 else "3 %"
    assert expected in said and "the 2.15 that you need" in said


def test_a_range_that_could_not_be_checked_claims_no_chance(plain):
    spread = dataclasses.replace(plain.law.spread, groups=4)
    law = dataclasses.replace(plain.law, spread=spread)
    said = " ".join(lead_sentences(dataclasses.replace(plain, law=law)))
    assert "could not be checked: back-tests foretold 4 runs and 9 are needed" in said
    assert "5 %" not in said


def test_it_says_which_rows_were_left_out_and_why(priced, plain):
    used = int(priced.used.sum())
    said = lead_sentences(priced)[-1]
    assert said.startswith(f"{used} of 25 rows were used; left out: 4 by your --where")
    assert "params<1e9" in said and "line 26" in said
    assert lead_sentences(plain)[-1].startswith(
        "24 of 25 rows were used; left out: 1 row (line 26)"
    )


def test_one_more_run_is_that_of_the_outlook(priced):
    said = " ".join(lead_sentences(priced))
    if priced.planned.next_run is None:
        assert "No single run" in said
    else:
        run = priced.planned.next_run.runs[0]
        assert f"{quantity(run.inputs['params'])} parameters on" in said
        assert f"to \u00b1{priced.planned.next_run.after:.3f}"[:5] in said


def test_the_target_is_told_beside_the_plan(priced, plain):
    assert "The target you named, 7\u202fB parameters on 200\u202fB tokens, takes 8.4" in " ".join(
        lead_sentences(priced)
    )
    # By the law the target is the best split of its own cost, or near it.
    text = " ".join(lead_sentences(plain))
    assert "The target you named" not in text or "takes as much compute" in text


def test_without_a_price_it_asks_for_one(plain):
    assert "no --gpu and --rate were given" in " ".join(lead_sentences(plain))


def test_what_cannot_be_said_is_no_advice(runs_table):
    found = find(runs_table, Question({"params": 1e16, "tokens": 1e18}))
    said = " ".join(lead_sentences(found))
    assert said.startswith("These runs cannot say what to train")
    assert "do not train it yet" in said and "e+" not in said
    assert "Train a model" not in said


def test_a_law_of_one_input_says_what_it_can(runs_table):
    first = runs_table.numbers["params"][0]
    one_size = runs_table.numbers["params"] == first
    table = runs_table.keep(one_size)
    found = find(table, Question({"tokens": 2e9}))
    said = " ".join(lead_sentences(found))
    assert said.startswith("The target, 2\u202fB tokens, should reach a loss of")
    assert found.plan is None and "What one more run would buy is not known" in said
