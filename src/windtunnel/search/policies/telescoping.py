"""Telescoping: a grid that shrinks around its best point each time the width doubles."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from windtunnel.errors import WindtunnelError
from windtunnel.search.policies.halving import better
from windtunnel.search.policy import Answer, Budget, Decision, Stop
from windtunnel.search.space import Float, Space
from windtunnel.search.table import Row, Table
from windtunnel.search.trial import Trial

_MOST_SHIFTS = 4  # of one width's grid; ours, the paper has no way back from an edge
_LEAST_POINTS = 3  # a point and its neighbours


class TelescopingPolicy:
    """Essential AI 2025 (2505.02222), section 3.3, for learning rate and weight decay under muP.

    The optimum moves as 1 / width, so each doubling halves what it may still move: with k
    hyperparameters a grid of m points an axis becomes one of m 4^(-1/k) points, its spacing shrinks
    by as much, and since a run of twice the width costs four times as much every width costs the
    same. Where the best point lies at the grid's edge, the grid moves there and is filled first;
    that is ours. The trial's fidelity is the width.

    Args:
        space: `Float` parameters on a log scale, whose optimum settles as the width grows.
        points: m, the points of each axis at the first width.
        widths: Each twice the one before.

    Raises:
        WindtunnelError: Another kind of parameter, or widths that don't double.
    """

    asynchronous = False

    def __init__(self, space: Space, *, points: int, widths: Sequence[float]) -> None:
        for name, parameter in space.parameters.items():
            if not isinstance(parameter, Float) or not parameter.log or parameter.when:
                raise WindtunnelError(
                    f"telescoping: {name} is no number on a log scale; it searches only these"
                )
        if any(b != 2 * a for a, b in itertools.pairwise(widths)) or not widths:
            raise WindtunnelError(
                f"telescoping: widths {', '.join(f'{w:g}' for w in widths)}; each has to be twice "
                "the one before, because the grid shrinks for a doubling"
            )
        self._space = space
        self._widths = tuple(widths)
        self._points = points

    def grid(self, stage: int) -> tuple[int, float]:
        """Points of each axis at a stage, and the share of the first spacing between them."""
        shrink = 4.0 ** (-stage / len(self._space))
        wanted = math.ceil(self._points * shrink - 1e-9)
        # Odd after the first, so that the last best point is in the middle.
        return max(_LEAST_POINTS, wanted + (stage > 0 and wanted % 2 == 0)), shrink

    def next(self, table: Table[Trial], budget: Budget, seed: int) -> Answer[Trial]:
        """The next width's grid around the last one's best point."""
        if budget.spent:
            return Stop(budget.spent)
        centre = [0.5] * len(self._space)
        position = 0
        for stage, width in enumerate(self._widths):
            seen: dict[tuple[float, ...], Row[Trial]] = {}
            for _ in range(_MOST_SHIFTS + 1):
                wanted = [p for p in self._mesh(stage, centre) if p not in seen]
                present = table[position : position + len(wanted)]
                if len(present) < len(wanted):
                    return [
                        Decision(self._trial(p, width, seed), f"width {width:g}")
                        for p in wanted[len(present) :]
                    ]
                if not all(row.done for row in present):
                    return []
                position += len(wanted)
                seen |= dict(zip(wanted, present, strict=True))
                places = {row.number: place for place, row in seen.items()}
                moved = list(places[better(list(seen.values()))[0].number])
                inside = not self._at_edge(stage, centre, moved)
                centre = moved
                if inside:
                    break
        best = self._space.at(centre)
        values = ", ".join(f"{name} {value:.4g}" for name, value in best.items())
        return Stop(f"the best point at width {self._widths[-1]:g} is {values}")

    def _mesh(self, stage: int, centre: Sequence[float]) -> list[tuple[float, ...]]:
        points, shrink = self.grid(stage)
        spacing = shrink / (self._points - 1)
        offsets = [(n - (points - 1) / 2) * spacing for n in range(points)]
        axes = [
            [round(at + offset, 12) for offset in offsets if -1e-9 <= at + offset <= 1 + 1e-9]
            for at in centre
        ]
        return list(itertools.product(*axes))

    def _at_edge(self, stage: int, centre: Sequence[float], best: Sequence[float]) -> bool:
        """Whether the best point is an end of an axis that could go on."""
        points, shrink = self.grid(stage)
        spacing = shrink / (self._points - 1)
        reach = (points - 1) / 2 * spacing
        return any(
            abs(abs(b - c) - reach) < 1e-9 and spacing - 1e-9 <= b <= 1 - spacing + 1e-9
            for b, c in zip(best, centre, strict=True)
        )

    def _trial(self, place: tuple[float, ...], width: float, seed: int) -> Trial:
        return Trial.of(self._space.at(place), fidelity=width, seed=seed)
