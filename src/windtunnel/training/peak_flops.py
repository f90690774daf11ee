"""The most floating-point operations a second that a device is able to do."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass

import torch

from windtunnel.training.device import cpu_threads

_LONG_ENOUGH = 0.02  # seconds that a product should take, so that its start does not count
_REPETITIONS = 4
_SIZES = (128, 256, 512, 1024, 2048, 4096, 8192)
_LARGEST_ON_CPU = 1024

# Dense bfloat16 peaks in FLOP/s by the whole name that torch gives: a laptop's GPU, a slice of one
# (MIG) and variants that do less have longer names.
_BFLOAT16_SHEETS = {
    "NVIDIA A100-PCIE-40GB": 312e12,
    "NVIDIA A100-SXM4-40GB": 312e12,
    "NVIDIA A100-SXM4-80GB": 312e12,
    "NVIDIA A100 80GB PCIe": 312e12,
    "NVIDIA GeForce RTX 4090": 165.2e12,
    "NVIDIA H100 80GB HBM3": 989.4e12,
    "NVIDIA H100 PCIe": 756e12,
    "NVIDIA H200": 989.4e12,
    "NVIDIA L4": 121e12,
}


@dataclass(frozen=True, slots=True)
class PeakFlops:
    """What one rank's device can do.

    Attributes:
        flops_per_second: Multiplications and additions, each counted.
        source: Where the number is from, for a reader.
    """

    flops_per_second: float
    source: str


def peak_flops(device: str, precision: str, threads: int) -> PeakFlops:
    """The peak of a device: its data sheet's where we have it, else a measured one.

    Sheets are taken for bf16 only, without sparsity: NVIDIA's of the A100 (312 TFLOP/s), the H100
    (SXM 989.4, PCIe 756) and the H200 (SXM, as the H100's), the L4 (121), and the Ada architecture
    paper for the RTX 4090 (165.2, with float32 sums). Float32 is measured: whether products may
    use TF32 is a setting of the process.

    Args:
        device: `cpu`, `cuda` or `cuda:1`.
        precision: `fp32`, or `bf16` for autocast.
        threads: CPU threads of the run.
    """
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    if torch.device(device).type == "cuda":
        name = torch.cuda.get_device_name(device)
        found = data_sheet_peak(name, dtype)
        if found is not None:
            return found
    return measured_peak(device, dtype, threads)


def data_sheet_peak(name: str, dtype: torch.dtype) -> PeakFlops | None:
    """The dense peak that a GPU's data sheet states; None where we don't have it.

    Args:
        name: As `torch.cuda.get_device_name` gives it.
        dtype: Of the factors.
    """
    if dtype != torch.bfloat16 or name not in _BFLOAT16_SHEETS:
        return None
    return PeakFlops(_BFLOAT16_SHEETS[name], f"data sheet: {name}, dense {_written(dtype)}")


@functools.cache
def measured_peak(device: str, dtype: torch.dtype, threads: int) -> PeakFlops:
    """The best of a few square matrix products, large enough to take 20 ms (1024 on a CPU).

    It takes about a tenth of a second, once a process. What else the machine does meanwhile
    counts, so that it is rather too low than too high.

    Args:
        device: `cpu`, `cuda` or `cuda:1`.
        dtype: Of the factors.
        threads: CPU threads; they mean nothing on a GPU.
    """
    place = torch.device(device)
    with cpu_threads(threads), torch.no_grad():
        for size in _SIZES:
            factor = torch.ones(size, size, dtype=dtype, device=place)
            seconds = min(_product_seconds(factor) for _ in range(2))
            if seconds >= _LONG_ENOUGH or (place.type == "cpu" and size == _LARGEST_ON_CPU):
                break
        if seconds < 2 * _LONG_ENOUGH:
            seconds = min(seconds, *(_product_seconds(factor) for _ in range(_REPETITIONS)))
    return PeakFlops(
        2.0 * size**3 / seconds,
        f"measured: {size} x {size} {_written(dtype)} matrix products {_where(place, threads)}",
    )


def _product_seconds(factor: torch.Tensor) -> float:
    on_gpu = factor.device.type == "cuda"
    if on_gpu:
        torch.cuda.synchronize(factor.device)
    started = time.perf_counter()
    factor @ factor
    if on_gpu:
        torch.cuda.synchronize(factor.device)
    return time.perf_counter() - started


def _written(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _where(place: torch.device, threads: int) -> str:
    if place.type == "cuda":
        return f"on {torch.cuda.get_device_name(place)}"
    return f"on {threads} thread{'' if threads == 1 else 's'}"
