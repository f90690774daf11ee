"""The processes that train one run together, as torchrun starts them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from windtunnel.errors import WindtunnelError

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

DATA, TENSOR = "data", "tensor"


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among those that train the run; a single one has no mesh.

    Attributes:
        device: Where this process computes.
        mesh: All processes in two dimensions, `data` and `tensor`.
    """

    device: torch.device
    mesh: DeviceMesh | None = None

    @property
    def count(self) -> int:
        """How many there are."""
        return 1 if self.mesh is None else self.mesh.size()

    @property
    def rank(self) -> int:
        """Number of this one; the first decides, writes logs and results."""
        return 0 if self.mesh is None else dist.get_rank()

    @property
    def data_count(self) -> int:
        """In how many parts a batch is cut."""
        return 1 if self.mesh is None else self.mesh[DATA].size()

    @property
    def data_rank(self) -> int:
        """Which part of each batch is this process's."""
        return 0 if self.mesh is None else self.mesh[DATA].get_local_rank()

    @property
    def tensor_count(self) -> int:
        """Processes that hold one copy of the model's layers in parts."""
        return 1 if self.mesh is None else self.mesh[TENSOR].size()

    def total(self, values: Sequence[float]) -> list[float]:
        """Sums over all processes; the same on every one, bit for bit."""
        if self.mesh is None:
            return list(values)
        # On the CPU whatever the device: no process waits for a GPU here.
        given = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(given)
        return [float(value) for value in given.tolist()]

    def said_by_first(self, values: Sequence[float]) -> list[float]:
        """What the first process says, on every process."""
        if self.mesh is None:
            return list(values)
        given = torch.tensor(values, dtype=torch.float64)
        dist.broadcast(given, src=0)
        return [float(value) for value in given.tolist()]

    def all_say(self, yes: bool) -> bool:
        """Whether every process says yes."""
        return self.total([0.0 if yes else 1.0])[0] == 0.0

    def wait(self) -> None:
        """Wait until every process is here."""
        self.total([0.0])


@contextmanager
def joined_ranks(device: str, tensor: int = 1) -> Iterator[Ranks]:
    """Meet the other processes that torchrun started, and leave together.

    Args:
        device: `cpu` or `cuda`; each process takes the GPU of its number on its machine.
        tensor: Processes that hold one copy of the model's layers in parts (tensor parallelism).

    Raises:
        WindtunnelError: This process wasn't started by torchrun, or `tensor` doesn't divide the
            number of processes, or there are fewer GPUs than processes here.
    """
    try:
        world, local = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_RANK"])
    except (KeyError, ValueError) as error:
        raise WindtunnelError(
            "this process has no rank; start it by torchrun, such as `torchrun --standalone "
            "--nproc-per-node 2 -m windtunnel.train STUDY`, or use `windtunnel train STUDY`."
        ) from error
    if world % tensor:
        raise WindtunnelError(
            f"training.tensor: {tensor} does not divide the {world} processes that torchrun "
            "started; change one of them."
        )
    own = torch.device("cpu")
    if device == "cuda":
        if local >= torch.cuda.device_count():
            raise WindtunnelError(
                f"process {local} of this machine has no GPU (PyTorch sees "
                f"{torch.cuda.device_count()}); start as many processes as there are GPUs."
            )
        own = torch.device("cuda", local)
        torch.cuda.set_device(own)
    from torch.distributed.device_mesh import init_device_mesh

    _meet("cpu:gloo,cuda:nccl" if device == "cuda" else "gloo")
    try:
        mesh = init_device_mesh(own.type, (world // tensor, tensor), mesh_dim_names=(DATA, TENSOR))
        yield Ranks(own, mesh)
        dist.barrier()  # nobody leaves while another still talks to it
    finally:
        dist.destroy_process_group()


def _meet(backend: str) -> None:
    store, rank, count = next(rendezvous("env://"))
    if os.environ.get("GROUP_WORLD_SIZE") == "1":
        # After a restart on one machine torch 2.13 hands out the store of the processes that died,
        # with their addresses in it. (Machines count their restarts apart: several can't agree.)
        store = PrefixStore(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), store)
    dist.init_process_group(backend, store=store, rank=rank, world_size=count)
