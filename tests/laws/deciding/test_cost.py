from __future__ import annotations

import json

import numpy as np
import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.laws.deciding.cost import assumed_cost, measured_cost, recorded_cost
from windtunnel.laws.deciding.device import device_named


def test_device_hours_and_money_by_hand():
    # 1e21 FLOPs / (989.4e12 x .4) = 2,526,784 s = 701.9 h; at 2.2 an hour 1,544.1.
    cost = assumed_cost(device_named("H100"), mfu=0.4, rate=2.2)
    assert cost.hours(1e21).value == pytest.approx(701.88, abs=0.01)
    assert cost.money(1e21).value == pytest.approx(1544.14, abs=0.01)
    assert cost.hours(1e21).ci90 == (cost.hours(1e21).value,) * 2  # the share was given
    assert cost.flops_of_hours(cost.hours(1e21).value) == pytest.approx(1e21)
    assert cost.flops_of_money(cost.money(1e21).value) == pytest.approx(1e21)


def test_an_assumed_share_has_a_range_and_says_so():
    cost = assumed_cost(device_named("a100"))
    hours = cost.hours(312e12 * 3600)
    assert hours.value == pytest.approx(1 / 0.4)
    assert hours.ci90 == pytest.approx((1 / 0.5, 1 / 0.3))
    assert cost.seconds_per_flop.ci90[0] < cost.seconds_per_flop.ci90[1]
    assert "0.4 of the peak (0.3 to 0.5), assumed" in cost.source
    assert "data sheet" in cost.source
    assert cost.money(1e21) is None
    with pytest.raises(WindtunnelError, match="Give --rate"):
        cost.flops_of_money(1000)


def test_measured_seconds():
    flops = np.array([1e18, 2e18, 4e18])
    columns = {"flops": flops, "seconds": flops / 1e14 * [1, 2, 4], "devices": np.full(3, 8.0)}
    cost = measured_cost(columns)
    # The median run makes 1e14 / 2 FLOP/s on 8 devices.
    assert cost.seconds_per_flop.value == pytest.approx(8 * 2e-14)
    assert cost.seconds_per_flop.ci90 == pytest.approx((8e-14, 32e-14))


def test_seconds_a_step_with_steps_or_with_the_batch():
    base = {
        "params": np.array([1e8]),
        "tokens": np.array([1e9]),
        "seconds_per_step": np.array([0.5]),
    }
    expected = 0.5 * 2000 / 6e17
    for more in ({"steps": np.array([2000.0])}, {"batch_tokens": np.array([5e5])}):
        assert measured_cost(base | more).seconds_per_flop.value == pytest.approx(expected)
    assert "one device as far as the table says" in measured_cost(base | more).source
    assert measured_cost(base) is None
    assert measured_cost({"flops": np.array([1e18]), "seconds": np.array([np.nan])}) is None


def test_a_fit_keeps_what_was_measured():
    cost = measured_cost({"flops": np.array([1e18, 3e18]), "seconds": np.array([1e5, 2e5])})
    again = recorded_cost({"cost": json.loads(json.dumps(cost.to_json()))}, rate=2.0)
    assert again.seconds_per_flop == cost.seconds_per_flop
    assert again.source == cost.source
    assert again.money(1e18).value == pytest.approx(2 * cost.hours(1e18).value)
    assert recorded_cost({}) is None
    with pytest.raises(WindtunnelError, match="cost is damaged"):
        recorded_cost({"cost": {"seconds_per_flop": 3}})


def test_what_cannot_be_is_refused():
    with pytest.raises(WindtunnelError, match="no 'abacus' is known; choose one of h100"):
        device_named("abacus")
    with pytest.raises(WindtunnelError, match=r"mfu: 40 is not a share"):
        assumed_cost(device_named("h100"), mfu=40)
    with pytest.raises(WindtunnelError, match="no price"):
        assumed_cost(device_named("h100"), rate=-2.0)
    with pytest.raises(WindtunnelError, match="no price"):
        measured_cost({}, rate=0.0)
