from __future__ import annotations

import pytest

from windtunnel.laws.deciding.cost import assumed_cost
from windtunnel.laws.deciding.device import device_named
from windtunnel.laws.deciding.limits import check_limits

H100 = device_named("h100")


def test_memory_by_hand():
    # 70e9 x 16 bytes = 1,120 GB: 14 devices of 80 GB; 140 GB of weights: 2.
    found = check_limits(70e9, 1e12, 4.2e23, device=H100, devices=8)
    assert found.training_bytes == (1120e9, 1260e9)
    assert found.least_devices == 14
    assert found.serving_devices == 2
    assert "use at least 14 devices" in found.sentences[0]
    assert check_limits(70e9, 1e12, 4.2e23, device=H100, devices=14).sentences == ()


def test_days_by_hand():
    cost = assumed_cost(H100, mfu=0.5)
    day = 989.4e12 * 0.5 * 86400
    found = check_limits(1e9, 1e10, 80 * day, device=H100, devices=8, days=5, cost=cost)
    assert found.days.value == pytest.approx(10)
    assert "8 devices take 10 days" in found.sentences[0]
    assert f"{40 * day:.2g} FLOPs" in found.sentences[0]
    assert check_limits(1e9, 1e10, 80 * day, devices=8, days=11, cost=cost).sentences == ()


def test_epochs():
    assert check_limits(1e9, 4e10, 1e20, unique_tokens=1e10).sentences == ()
    found = check_limits(1e9, 8e10, 1e20, unique_tokens=1e10)
    assert found.epochs == pytest.approx(8)
    assert "read 8 times" in found.sentences[0]
    assert check_limits(1e9, 8e10, 1e20).epochs is None
