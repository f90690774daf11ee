from __future__ import annotations

import dataclasses
import json
import math

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.laws.deciding.amount import amount
from windtunnel.laws.deciding.budget import Budget
from windtunnel.laws.deciding.cost import assumed_cost
from windtunnel.laws.deciding.device import device_named
from windtunnel.laws.deciding.plan import plan

E, A, B, ALPHA, BETA = 1.8172, 482.01, 2085.43, 0.3478, 0.3658
H100 = device_named("h100")


def test_money_by_hand(besiroglu):
    # 50,000 at 2.2 an hour: 22,727 hours of 989.4e12 x .4 FLOP/s: 3.238e22 FLOPs.
    cost = assumed_cost(H100, mfu=0.4, rate=2.2)
    found = plan(besiroglu, Budget.of(money=50000), cost=cost, device=H100)
    flops = 50000 / 2.2 * 3600 * 989.4e12 * 0.4
    assert found.allocation.flops == pytest.approx(flops)
    assert found.money.value == pytest.approx(50000)
    assert found.hours.value == pytest.approx(50000 / 2.2)
    g = (ALPHA * A / (BETA * B)) ** (1 / (ALPHA + BETA))
    assert found.allocation.params.value == pytest.approx(
        g * (flops / 6) ** (BETA / (ALPHA + BETA)), rel=1e-5
    )
    assert found.verdict == "ok"
    assert (
        found.sentences[0]
        == "Train 16.5B parameters on 327B tokens, 19.8 a parameter: 3.24e+22 FLOPs."
    )
    assert "22.7k GPU-hours and 50k in money, from NVIDIA H100 SXM" in " ".join(found.sentences)


def test_hours_and_flops_are_the_same_plan(besiroglu):
    cost = assumed_cost(H100)
    by_hours = plan(besiroglu, Budget.of(gpu_hours=5000), cost=cost)
    flops = by_hours.allocation.flops
    assert flops == pytest.approx(5000 * 3600 * 989.4e12 * 0.4)
    assert by_hours.hours.ci90 == pytest.approx((4000, 5000 * 4 / 3))
    by_flops = plan(besiroglu, Budget.of(flops=flops))
    assert by_flops.allocation.params == by_hours.allocation.params
    assert by_flops.hours is None and by_flops.money is None


def test_other_sizes_at_equal_compute_by_hand(besiroglu):
    found = plan(besiroglu, Budget.of(flops=1e22))
    n = found.allocation.params.value
    best = E + A / n**ALPHA + B / (1e22 / 6 / n) ** BETA
    for one in found.alternatives:
        other = n * one.times
        loss = E + A / other**ALPHA + B / (1e22 / 6 / other) ** BETA
        assert one.loss_change.value == pytest.approx(loss / best - 1)
        assert one.loss_change.value > 0
    assert [one.times for one in found.alternatives] == [0.5, 2.0]


def test_text_is_read_four_times_at_most(besiroglu):
    found = plan(besiroglu, Budget.of(flops=1e23), unique_tokens=2.5e10)
    assert found.allocation.tokens.value == pytest.approx(1e11, rel=1e-3)
    assert found.limits.epochs == pytest.approx(4, rel=1e-3)
    assert any("4 times over" in one for one in found.sentences)
    free = plan(besiroglu, Budget.of(flops=1e23), unique_tokens=1e14)
    assert free.allocation.tokens.value > 3e11
    assert not any("times over" in one for one in free.sentences)


def test_serving_makes_it_smaller(noisy):
    found = plan(noisy, Budget.of(flops=1e22), served_tokens=1e13)
    assert found.serving.params.value < found.allocation.params.value
    assert any(one.startswith("To serve 10T tokens as well") for one in found.sentences)
    assert not any("the text there is" in one for one in found.sentences)
    few = plan(noisy, Budget.of(flops=1e22), served_tokens=1e13, unique_tokens=1e11)
    assert "That takes more than 4 times the text there is." in few.sentences


def test_the_worse_verdict_counts(besiroglu, make_law):
    few = dataclasses.replace(besiroglu.spread, reach=0.1)
    refused = plan(dataclasses.replace(besiroglu, spread=few), Budget.of(flops=1e28))
    assert (refused.allocation.verdict, refused.verdict) == ("ok", "cannot say")
    assert refused.forecast.reason in " ".join(refused.sentences)
    # Rows up to 1e21 with much noise: the split is open whatever the forecast says.
    found = plan(make_law(noise=0.2), Budget.of(flops=1e23))
    assert found.verdict == "cannot say"
    assert any("leave the split so open" in one for one in found.sentences)


def test_json_holds_plain_finite_values(noisy):
    cost = assumed_cost(H100, rate=2.0)
    found = plan(
        noisy, Budget.of(money=1e5), cost=cost, device=H100, devices=8, days=30, served_tokens=1e12
    ).to_json()
    again = json.loads(json.dumps(found, allow_nan=False))
    assert again["params"]["ci90"][0] < again["params"]["value"] < again["params"]["ci90"][1]
    assert again["gpu_hours"]["value"] == pytest.approx(5e4)
    assert again["limits"]["days"]["value"] == pytest.approx(5e4 / 8 / 24)
    assert any("8 devices take 260 days" in one for one in again["sentences"])


def test_budgets_that_cannot_be_are_refused(besiroglu):
    with pytest.raises(WindtunnelError, match="2 budgets given; give one of --flops"):
        Budget.of(flops=1e20, money=3)
    with pytest.raises(WindtunnelError, match="0 budgets given"):
        Budget.of()
    with pytest.raises(WindtunnelError, match="--gpu-hours nan"):
        Budget.of(gpu_hours=math.nan)
    with pytest.raises(WindtunnelError, match="give --gpu, such as"):
        plan(besiroglu, Budget.of(gpu_hours=10))
    with pytest.raises(WindtunnelError, match="Give --rate"):
        plan(besiroglu, Budget.of(money=10), cost=assumed_cost(H100))
    with pytest.raises(WindtunnelError, match="-1 unique tokens"):
        plan(besiroglu, Budget.of(flops=1e20), unique_tokens=-1)


@pytest.mark.parametrize(
    ("value", "text"),
    [(7e9, "7B"), (1.4e12, "1.4T"), (999.7e6, "1B"), (22727, "22.7k"), (1e23, "1e+23"), (5, "5")],
)
def test_amounts_as_people_read_them(value, text):
    assert amount(value) == text
