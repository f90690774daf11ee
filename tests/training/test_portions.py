"""What can't be cut is refused before anything trains; `ranks` stands in for real processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.models import Family
from windtunnel.models.gpt import GPTFamily
from windtunnel.optimizers import optimizer_method
from windtunnel.scale import Run
from windtunnel.training.execution import Execution
from windtunnel.training.portions import portions


@dataclass(frozen=True)
class Counted:
    """So many processes."""

    data_count: int
    tensor_count: int = 1

    @property
    def count(self) -> int:
        return self.data_count * self.tensor_count


def cut(run: Run, family: Family, execution: Execution, ranks: Counted) -> tuple[int, int]:
    rule = optimizer_method(run.optimizer).rule
    signal = None if rule is None else rule.signal
    return portions(run, family, execution, cast(Any, ranks), signal)


@pytest.mark.parametrize(
    ("processes", "micro_batch", "passes"), [(1, None, 1), (2, None, 1), (2, 1, 2), (1, 3, 2)]
)
def test_passes_are_of_one_size(
    run: Run, family: Family, processes: int, micro_batch: int | None, passes: int
) -> None:
    found = cut(run, family, Execution(micro_batch=micro_batch), Counted(processes))
    assert found == (4, passes)


def test_a_batch_is_shared_equally(run: Run, family: Family) -> None:
    with pytest.raises(WindtunnelError, match="its 4 sequences can't be shared equally by 3"):
        cut(run, family, Execution(), Counted(3))


@pytest.mark.parametrize(("processes", "micro_batch"), [(2, None), (1, 1)])
def test_unit_scaled_gradients_take_a_whole_batch(
    run: Run, processes: int, micro_batch: int | None
) -> None:
    family = GPTFamily(vocabulary_size=16, head_size=4, unit_scaled=True)
    assert cut(run, family, Execution(), Counted(1)) == (4, 1)
    with pytest.raises(WindtunnelError, match="unit-scaled gradients depend on"):
        cut(run, family, Execution(micro_batch=micro_batch), Counted(processes))


def test_second_derivatives_take_a_whole_model(run: Run, family: Family) -> None:
    run = run.replace(optimizer="sophia-h")
    copies = Execution(sharding="ddp")
    assert cut(run, family, copies, Counted(2)) == (4, 1)
    assert cut(run, family, Execution(), Counted(1)) == (4, 1)
    for execution, ranks in ((Execution(), Counted(2)), (copies, Counted(1, 2))):
        with pytest.raises(WindtunnelError, match="sophia-h differentiates twice"):
            cut(run, family, execution, ranks)
    assert cut(run.replace(optimizer="sophia-g"), family, Execution(), Counted(2)) == (4, 1)
