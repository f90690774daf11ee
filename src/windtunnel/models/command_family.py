"""The family of a study that trains by the user's own command: sizes by formula, no model."""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from windtunnel.arithmetic import evaluate
from windtunnel.errors import WindtunnelError
from windtunnel.models.family import JSON, Batch, Declarations, ParameterCount

if TYPE_CHECKING:
    from torch import Tensor, nn

    from windtunnel.scale import Scale


_LARGEST = 10_000_000  # bytes of a file that is hashed: a script, not a program or data


@dataclass(frozen=True)
class CommandFamily:
    """What can be known of models that only the command builds.

    Attributes:
        command: As the study file has it.
        params: Formula of the parameters in `width` and `depth`.
        files: SHA-256 of the files that the command names, by the name: another script makes other
            runs.
    """

    command: str
    params: str
    files: tuple[tuple[str, str], ...] = ()

    name = "command"
    declarations = Declarations()

    def options(self) -> dict[str, JSON]:
        """What identifies a run: the command, the formula and the files."""
        files = ", ".join(f"{name} {content}" for name, content in self.files)
        return {"command": self.command, "params": self.params, "files": files}

    @staticmethod
    def of(command: str, params: str, folder: Path, model: str | None = None) -> CommandFamily:
        """The family of a command in its folder, and of the model that it is planned for."""
        words = dict.fromkeys(shlex.split(command))
        if model is not None:
            words[model.rpartition(":")[0]] = None
        files = {word: folder / word for word in words if "{" not in word}
        hashes = {
            word: hashlib.sha256(path.read_bytes()).hexdigest()[:16]
            for word, path in files.items()
            if path.is_file() and path.stat().st_size < _LARGEST
        }
        return CommandFamily(command, params, tuple(sorted(hashes.items())))

    def build(self, scale: Scale) -> nn.Module:
        """Not here.

        Raises:
            WindtunnelError: Always.
        """
        _no_model()

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """As `build`."""
        _no_model()

    def sequence_losses(self, model: nn.Module, batch: Batch) -> Tensor:
        """As `build`."""
        _no_model()

    def parameter_count(self, scale: Scale) -> ParameterCount:
        """By the formula; all of them count as non-embedding.

        Raises:
            WindtunnelError: The formula gives no positive number there.
        """
        sizes = {"width": float(scale.width), "depth": float(scale.depth)}
        count = evaluate(self.params, sizes)
        if count < 1:
            raise WindtunnelError(
                f"scale.width: run.params, {self.params}, gives {count:g} parameters at width "
                f"{scale.width}, depth {scale.depth}"
            )
        return ParameterCount(total=round(count), embedding=0)

    def flops_per_unit(self, scale: Scale, sequence_length: int) -> float:
        """6 a parameter: forward and backward of matrix products."""
        return 6.0 * self.parameter_count(scale).total


def _no_model() -> NoReturn:
    raise WindtunnelError(
        "run: this study trains by your own command, so Windtunnel never sees the model; in your "
        "own script `windtunnel.plan`, `check` and `param_groups` do this for it"
    )
