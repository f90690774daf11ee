"""In how many pieces a batch is worked through."""

from __future__ import annotations

from windtunnel.errors import WindtunnelError
from windtunnel.models.family import Family
from windtunnel.optimizers.update_rule import Signal
from windtunnel.scale import Run
from windtunnel.training.execution import Execution
from windtunnel.training.ranks import Ranks


def whole_sequences(run: Run) -> int:
    """Sequences in a batch.

    Raises:
        WindtunnelError: It is no whole number of them.
    """
    sequences, remainder = divmod(run.recipe.batch_units, run.data.sequence_length)
    if remainder or not sequences:
        raise WindtunnelError(
            f"recipe.batch: {run.recipe.batch_units:,} is no whole number of sequences of "
            f"{run.data.sequence_length:,}; change one of them."
        )
    return sequences


def portions(
    run: Run, family: Family, execution: Execution, ranks: Ranks, signal: Signal | None
) -> tuple[int, int]:
    """Sequences in a batch, and the passes in which each process sees its part of them.

    Passes are of one size: the largest that divides the part and is no larger than asked for.

    Raises:
        WindtunnelError: The batch can't be cut like that; the message says what to change.
    """
    sequences = whole_sequences(run)
    own, remainder = divmod(sequences, ranks.data_count)
    if remainder or not own:
        raise WindtunnelError(
            f"recipe.batch: its {sequences:,} sequences can't be shared equally by "
            f"{ranks.data_count} processes; start a number that divides them."
        )
    most = min(execution.micro_batch or own, own)
    passes = own // next(size for size in range(most, 0, -1) if own % size == 0)
    if passes * ranks.data_count > 1 and family.declarations.scaled_gradients:
        raise WindtunnelError(
            f"family {family.name}: its unit-scaled gradients depend on how many sequences are "
            "seen at once, so a batch can't be cut; leave training.micro_batch out and use one "
            "process"
        )
    copied = ranks.count == 1 or (execution.sharding == "ddp" and ranks.tensor_count == 1)
    if signal is not None and signal.kind == "hessian-vector" and not copied:
        raise WindtunnelError(
            f"optimizer: {run.optimizer} differentiates twice, which a model in parts can't; use "
            "training.sharding: ddp without training.tensor, one process, or sophia-g"
        )
    return sequences, passes
