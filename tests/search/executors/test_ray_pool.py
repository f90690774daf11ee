"""On a local cluster of two nodes, one of which is killed while trials run on it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray", reason="pip install 'windtunnel[ray]'")

import ray
from ray.cluster_utils import Cluster

from windtunnel.errors import WindtunnelError
from windtunnel.search.executors.ray_pool import RayPool
from windtunnel.search.space import Float, Space
from windtunnel.search.tune import Tuned, tune

SPACE = Space({"lr": Float(1e-4, 1.0, log=True)})


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    own = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    own.other = own.add_node(num_cpus=2)
    ray.init(address=own.address, log_to_driver=False)
    yield own
    ray.shutdown()
    own.shutdown()


def search(where: Path, seconds: float, **options: Any) -> Tuned:
    def objective(lr: float, fidelity: float, seed: int) -> float:
        with (where / "began").open("a") as file:
            file.write(f"{lr} {fidelity}\n")
        time.sleep(seconds)
        return math.log10(lr / 0.01) ** 2 + 1 / fidelity

    return tune(objective, SPACE, "hyperband", least=1, most=9, **options)


def test_it_has_to_be_connected() -> None:
    with pytest.raises(WindtunnelError, match=r"connected to no cluster; call ray.init\(\) first"):
        RayPool()


def test_the_table_is_the_same_and_a_killed_node_loses_nothing(
    cluster: Cluster, tmp_path: Path
) -> None:
    alone = search(tmp_path, 0.0)
    (tmp_path / "began").unlink()
    doomed = cluster.other

    def kill() -> None:
        while not (tmp_path / "began").exists() or len(lines(tmp_path)) < 6:
            time.sleep(0.05)
        cluster.remove_node(doomed, allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    spread = search(tmp_path, 0.3, workers=4, executor=RayPool())
    killer.join()
    assert spread == alone
    until = time.monotonic() + 60
    while sum(node["Alive"] for node in ray.nodes()) > 1 and time.monotonic() < until:
        time.sleep(0.2)
    assert sum(node["Alive"] for node in ray.nodes()) == 1
    assert len(lines(tmp_path)) >= len(alone.trials) + 3


def test_an_error_of_the_objective_is_raised(cluster: Cluster) -> None:
    def broken(lr: float, seed: int) -> float:
        raise KeyError("loss")

    with pytest.raises(KeyError):
        tune(broken, SPACE, trials=2, executor=RayPool())


def lines(folder: Path) -> list[str]:
    return (folder / "began").read_text().splitlines()
