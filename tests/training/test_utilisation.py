from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from windtunnel.data.batches import TokenBatches
from windtunnel.models import Family
from windtunnel.scale import Run
from windtunnel.training.loop import train
from windtunnel.training.peak_flops import (
    PeakFlops,
    data_sheet_peak,
    measured_peak,
    peak_flops,
)
from windtunnel.training.population import Population
from windtunnel.training.utilisation import utilisation

PEAK = PeakFlops(1e12, "data sheet: X, dense bfloat16")


def test_share_by_hand() -> None:
    found = utilisation(units=1000, seconds=2.0, flops_per_unit=4e8, peak=PEAK, ranks=1)
    assert found is not None
    assert found.model_flops_per_second == 2e11
    assert found.share == pytest.approx(0.2)
    assert found.peak_from == PEAK.source


def test_ranks_share_the_work() -> None:
    one = utilisation(units=1000, seconds=2.0, flops_per_unit=4e8, peak=PEAK)
    four = utilisation(units=4000, seconds=2.0, flops_per_unit=4e8, peak=PEAK, ranks=4)
    assert one and four
    assert four.share == pytest.approx(one.share)
    assert four.peak_flops_per_second == 4e12
    assert four.peak_from.endswith("times 4 ranks")


def test_plain_json_says_how_it_was_counted() -> None:
    found = utilisation(units=1000, seconds=2.0, flops_per_unit=4e8, peak=PEAK)
    assert found is not None
    value = json.loads(json.dumps(found.to_json()))
    assert value["share"] == pytest.approx(0.2)
    assert "attention's full square" in value["counted"]


def test_no_time_no_utilisation() -> None:
    assert utilisation(units=0, seconds=0.0, flops_per_unit=1.0, peak=PEAK) is None


def test_a_cpu_is_measured_once() -> None:
    threads = torch.get_num_threads()
    found = peak_flops("cpu", "fp32", 1)
    assert found.flops_per_second > 1e8
    assert found.source.startswith("measured: ")
    assert found.source.endswith(" float32 matrix products on 1 thread")
    assert measured_peak("cpu", torch.float32, 1) is found
    assert torch.get_num_threads() == threads


def test_threads_are_in_the_description() -> None:
    assert measured_peak("cpu", torch.float32, 2).source.endswith("on 2 threads")


@pytest.mark.parametrize(
    ("name", "teraflops"),
    [
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA H100 80GB HBM3", 989.4),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H200", 989.4),
        ("NVIDIA L4", 121),
        ("NVIDIA GeForce RTX 4090", 165.2),
    ],
)
def test_data_sheets(name: str, teraflops: float) -> None:
    found = data_sheet_peak(name, torch.bfloat16)
    assert found is not None
    assert found.flops_per_second == pytest.approx(teraflops * 1e12)
    assert found.source == f"data sheet: {name}, dense bfloat16"


@pytest.mark.parametrize("name", ["NVIDIA L40S", "NVIDIA A100-SXM4-40GB MIG 1g.5gb", "Other"])
def test_a_gpu_without_a_sheet_is_measured(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert data_sheet_peak(name, torch.bfloat16) is None
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)
    monkeypatch.setattr("windtunnel.training.peak_flops.measured_peak", lambda *given: PEAK)
    assert peak_flops("cuda", "bf16", 1) is PEAK


def test_float32_is_measured_on_any_gpu() -> None:
    assert data_sheet_peak("NVIDIA A100-SXM4-80GB", torch.float32) is None


def test_a_run_and_a_member_of_a_population_both_say_theirs(
    run: Run, family: Family, batches: TokenBatches, tmp_path: Path
) -> None:
    single = train(run, family=family, batches=batches, folder=tmp_path)
    population = Population([run, run.replace(init_seed=9)], family=family, batches=batches)
    population.train()
    for result in [single, *population.results()]:
        assert result is not None
        found = result.utilisation
        assert found is not None
        assert 0 < found["share"] < 1
        # The whole of the run's time has validation and building in it.
        assert found["model_flops_per_second"] > result.flops / result.seconds
        assert "measured" in found["peak_from"]
