from __future__ import annotations

from pathlib import Path

import pytest

from windtunnel.training.available_memory import available_memory


def stated(folder: Path, available: str, most: str | None, taken: str = "1048576") -> int | None:
    meminfo = folder / "meminfo"
    meminfo.write_text(f"MemTotal:  9999 kB\n{available}")
    if most is not None:
        (folder / "memory.max").write_text(f"{most}\n")
        (folder / "memory.current").write_text(f"{taken}\n")
    return available_memory("cpu", meminfo=meminfo, limits=folder)


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (None, 4096 * 1024),  # no container
        ("max", 4096 * 1024),  # a container without a limit
        ("3145728", 2097152),  # the container has less than the system
        ("104857600", 4096 * 1024),  # the system has less than the container
        ("1000", 0),  # over its limit
    ],
)
def test_the_lesser_of_system_and_container(
    tmp_path: Path, most: str | None, expected: int
) -> None:
    assert stated(tmp_path, "MemAvailable:  4096 kB\n", most) == expected


def test_unknown_where_nothing_is_stated(tmp_path: Path) -> None:
    assert stated(tmp_path, "", None) is None
    assert available_memory("cpu", meminfo=tmp_path / "none", limits=tmp_path) is None
