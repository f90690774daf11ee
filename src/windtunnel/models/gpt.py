"""Family `gpt`: a decoder-only transformer in its usual present-day form, without biases."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from windtunnel.errors import WindtunnelError
from windtunnel.models.family import JSON, Batch, Declarations, ParameterCount
from windtunnel.models.gpt_blocks import GPT
from windtunnel.models.gpt_ops import Ops, PlainOps, UnitScaledOps
from windtunnel.models.unit_scaling import cross_entropy
from windtunnel.scale import Powers, Scale

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

    from windtunnel.models.stacked import Stacked

__all__ = ["GPT", "GPTFamily"]

Activation = Literal["swiglu", "relu2"]

_ALPHAS = (
    "alpha_ffn_act",
    "alpha_attn_softmax",
    "alpha_res",
    "alpha_res_attn_ratio",
    "alpha_loss_softmax",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GPTFamily:
    """Decoder-only transformer: RMSNorm, rotary positions, gated or squared-ReLU MLP.

    Depth counts blocks; the number of heads grows with width, at a fixed head size.

    Attributes:
        vocabulary_size: Distinct tokens.
        head_size: Channels of one attention head.
        activation: `swiglu` (Shazeer 2020) or `relu2`, squared ReLU (So et al. 2021).
        tied: Whether the head reads the embedding table instead of its own weight.
        query_groups: Query heads that share one key and value head (Ainslie et al. 2023).
        qk_norm: Whether queries and keys are normalised over each head (Dehghani et al. 2023).
        mlp_ratio: Hidden channels of the MLP over width. By default 4 for `relu2` and 3 for
            `swiglu`: the usual 8/3 leaves a remainder at most widths, and then the shape of the
            model, not just its size, changes with width.
        unit_scaled: Whether all operations are unit-scaled, after u-muP (Blake et al. 2024, arXiv
            2407.17465): for rule `u-mup`. The alphas are its hyperparameters and need it.
        separator: Id of the token that ends a document. Attention then stays within documents,
            and positions count from where each begins in its row, so that documents packed into
            a row are seen as if each were alone. A separator belongs to the document that it ends,
            as `windtunnel.data` writes it; the token that it predicts is the next one's first.
            None for attention to the whole row. Not with `unit_scaled`, whose attention takes its
            factor from the length of the row.
        alpha_ffn_act: Sharpness of SwiGLU's gate.
        alpha_attn_softmax: Factor on the attention logits, beside 1 / head size.
        alpha_res: Contribution of all residual branches over the embedding's.
        alpha_res_attn_ratio: Contribution of attention over the MLPs'.
        alpha_loss_softmax: Factor on the logits.
    """

    vocabulary_size: int
    head_size: int = 16
    activation: Activation = "swiglu"
    tied: bool = False
    query_groups: int = 1
    qk_norm: bool = False
    mlp_ratio: float | None = None
    unit_scaled: bool = False
    separator: int | None = None
    alpha_ffn_act: float = 1.0
    alpha_attn_softmax: float = 1.0
    alpha_res: float = 1.0
    alpha_res_attn_ratio: float = 1.0
    alpha_loss_softmax: float = 1.0

    name = "gpt"

    def __post_init__(self) -> None:
        """Refuse values that no model can have.

        Raises:
            WindtunnelError: One of them is wrong; the message names it.
        """
        for option in ("head_size", "query_groups"):
            value = getattr(self, option)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise _wrong(option, value, "a whole number from 1 up")
        if self.head_size % 2:
            raise _wrong("head_size", self.head_size, "an even number: positions rotate pairs")
        if self.activation not in get_args(Activation):
            raise _wrong("activation", self.activation, " or ".join(get_args(Activation)))
        for option in ("tied", "qk_norm", "unit_scaled"):
            if not isinstance(getattr(self, option), bool):
                raise _wrong(option, getattr(self, option), "true or false")
        self._refuse_separator()
        ratio: Any = self.mlp_ratio
        if ratio is None:
            ratio = 4 if self.activation == "relu2" else 3
        object.__setattr__(self, "mlp_ratio", _positive("mlp_ratio", ratio))
        for option in _ALPHAS:
            object.__setattr__(self, option, _positive(option, getattr(self, option)))
            if not self.unit_scaled and getattr(self, option) != 1.0:
                raise _wrong(option, getattr(self, option), "1.0, or turn unit_scaled on")
        if self.activation == "relu2" and self.alpha_ffn_act != 1.0:
            raise _wrong("alpha_ffn_act", self.alpha_ffn_act, "1.0: relu2 is as sharp at any scale")

    @staticmethod
    def from_options(options: dict[str, Any], *, vocabulary_size: int) -> GPTFamily:
        """Build the family from a study's options.

        Raises:
            WindtunnelError: An option is unknown or its value is wrong; the message names it.
        """
        known = {field.name for field in dataclasses.fields(GPTFamily)} - {"vocabulary_size"}
        for option in options:
            if option not in known:
                raise WindtunnelError(
                    f"family.options.{option}: family 'gpt' has no such option; "
                    f"known options: {', '.join(sorted(known))}"
                )
        return GPTFamily(vocabulary_size=vocabulary_size, **options)

    @property
    def declarations(self) -> Declarations:
        """Both branches of every block, and the final norm's gain where the head is tied."""
        branches = ("blocks.*.attention.output", "blocks.*.mlp.down")
        return Declarations(
            branch_outputs=branches,
            tied_head_gain="final_norm.weight" if self.tied else None,
            blocks="blocks.*",
            multipliers=self._multipliers(branches) if self.unit_scaled else (),
            scaled_gradients=self.unit_scaled,
        )

    def _multipliers(self, branches: tuple[str, ...]) -> tuple[tuple[str, Powers], ...]:
        """The powers of size that unit-scaled layers multiply their outputs by."""
        gate = ("blocks.*.mlp.gate",) if self.activation == "swiglu" else ()
        inner = *(f"blocks.*.attention.{name}" for name in ("query", "key", "value")), *gate
        # A tied head's multiplier is sought at the gain, whose own dimension is the head's fan-in.
        head = ("final_norm", Powers(fan_out=-1)) if self.tied else ("head", Powers(fan_in=-1))
        return (
            *((pattern, Powers(fan_in=-0.5)) for pattern in (*inner, "blocks.*.mlp.up")),
            *((pattern, Powers(fan_in=-0.5, depth=-0.5)) for pattern in branches),
            head,
        )

    def options(self) -> dict[str, JSON]:
        """All options; the vocabulary is the data's, and is not among them.

        A separator only where there is one: runs from before it was an option keep their keys.
        """
        values = dataclasses.asdict(self)
        del values["vocabulary_size"]
        if self.separator is None:
            del values["separator"]
        return values

    def build(self, scale: Scale) -> GPT:
        """Build the model: matrices N(0, 1/fan_in), gains 1, queries and readout 0.

        With `unit_scaled`, all matrices and the embeddings are N(0, 1).

        Queries and readout start at zero as Yang et al. 2022 (arXiv 2203.03466, appendix D.2)
        recommend. A normalised query starts as any other matrix: the norm's slope at zero is
        1/sqrt(eps). Embeddings are N(0, 1), or N(0, 0.02^2) if tied.

        Raises:
            WindtunnelError: The width does not divide into whole groups of heads.
        """
        self._validate(scale)
        return GPT(self, scale)

    def stacked(self, scale: Scale) -> Stacked:
        """Many models of this scale as one; see `windtunnel.models.stacked`."""
        from windtunnel.models.gpt_stacked import StackedGPT

        self._validate(scale)
        return StackedGPT(self, scale)

    def tensor_parallel(self, model: GPT, mesh: DeviceMesh) -> None:
        """Spread each layer over processes; see `windtunnel.models.gpt_tensor_parallel`."""
        from windtunnel.models.gpt_tensor_parallel import tensor_parallel_

        tensor_parallel_(model, mesh)

    def ops(self, scale: Scale) -> Ops:
        """The operations that the model of this scale is made of."""
        if not self.unit_scaled:
            return PlainOps()
        alphas = {name.removeprefix("alpha_"): getattr(self, name) for name in _ALPHAS}
        return UnitScaledOps(branches=2 * scale.depth, **alphas)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Mean cross-entropy, nats a token; inputs and targets are (batch, length) token ids.

        With `unit_scaled` the gradient isn't that of the mean: each parameter's is scaled to size
        one. Adam doesn't see it but for its epsilon; clipping by norm does, so turn it off.
        """
        _, targets = batch
        logits = self.logits(model, batch)
        if self.unit_scaled:
            return cross_entropy(logits.flatten(0, 1), targets.flatten())
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())

    def logits(self, model: nn.Module, batch: Batch) -> Tensor:
        """What the model predicts, shape (batch, length, vocabulary)."""
        found: Tensor = model(batch[0])
        return found

    def sequence_losses(self, model: nn.Module, batch: Batch) -> Tensor:
        """Mean cross-entropy of each sequence, nats a token, shape (batch,)."""
        _, targets = batch
        logits = self.logits(model, batch)
        losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        return losses.view_as(targets).mean(dim=1)

    def parameter_count(self, scale: Scale) -> ParameterCount:
        """Count exactly; a tied table counts once, as the head's (so as non-embedding)."""
        self._validate(scale)
        table = self.vocabulary_size * scale.width
        gains = scale.depth * (2 * scale.width + 2 * self.head_size * self.qk_norm) + scale.width
        inside = scale.depth * self._block_matrices(scale.width) + gains
        return ParameterCount(
            total=inside + (1 if self.tied else 2) * table, embedding=0 if self.tied else table
        )

    def flops_per_unit(self, scale: Scale, sequence_length: int) -> float:
        """Training FLOPs a token: three times those of the forward pass's matrix products.

        The backward pass computes two products for each one of the forward pass. The head and
        attention's two products (scores and weighted values) are included; attention counts the
        full square of positions, as torch's FLOP counter does, although half of it is masked, and
        with `separator` all that is in other documents.
        Elementwise work and the embedding lookup count nothing.
        """
        self._validate(scale)
        matrices = scale.depth * self._block_matrices(scale.width)
        head = self.vocabulary_size * scale.width
        attention = scale.depth * 2 * sequence_length * scale.width
        return 3.0 * 2.0 * (matrices + head + attention)

    def mlp_width(self, width: int) -> int:
        """Hidden channels of the MLP."""
        return max(1, round(cast(float, self.mlp_ratio) * width))

    def _block_matrices(self, width: int) -> int:
        attention = 2 * width * width + 2 * width * (width // self.query_groups)
        products = 3 if self.activation == "swiglu" else 2
        return attention + products * width * self.mlp_width(width)

    def _refuse_separator(self) -> None:
        separator: Any = self.separator
        if separator is None:
            return
        number = isinstance(separator, int) and not isinstance(separator, bool)
        if not (number and 0 <= separator < self.vocabulary_size):
            raise _wrong("separator", separator, f"a token id below {self.vocabulary_size}")
        if self.unit_scaled:
            raise _wrong(
                "separator",
                separator,
                "none, or turn unit_scaled off: its attention is scaled by "
                "the length of the row, not of the document",
            )

    def _validate(self, scale: Scale) -> None:
        unit = self.head_size * self.query_groups
        if scale.width < 1 or scale.width % unit:
            raise WindtunnelError(
                f"scale.width: {scale.width} is no whole multiple of {unit} "
                f"(head_size {self.head_size} x query_groups {self.query_groups}); "
                f"use {max(1, round(scale.width / unit)) * unit}"
            )
        if scale.depth < 1:
            raise WindtunnelError(f"scale.depth: {scale.depth} blocks; use 1 or more")


def _positive(option: str, value: Any) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and 0 < value < math.inf):
        raise _wrong(option, value, "a number above 0")
    return float(value)


def _wrong(option: str, value: object, wanted: str) -> WindtunnelError:
    return WindtunnelError(f"family.options.{option}: {value!r} won't do; give {wanted}")
