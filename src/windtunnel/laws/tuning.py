"""The law of the best learning rate and batch size, from the runs of several sizes at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from windtunnel.laws.bowl import SHAPE, SHAPE_LEAST, SHAPE_MOST, SHAPE_SD, bowl
from windtunnel.laws.hyperparameters import HyperparameterLaw
from windtunnel.laws.solver import Array, Prior, minimize_huber
from windtunnel.laws.tuning_runs import GroupedRuns, grouped_runs

# A run's distance from the surface is noise, and a share of how far it lies above the best: what
# matters is the bottom, so a run 1 % above it is asked to be right to half a per cent.
_MISFIT = 0.5
# Noise of log loss before looking (half the .5 % of laws.optimum: these runs are larger), and the
# least that the runs may seem to have.
_NOISE, _LEAST_NOISE = 0.0025, 0.0003
_LOOKS = 5  # fits after the first, each with the noise and the scatter the one before it left
_DELTA = 1.5  # of these standard deviations: beyond it runs pull no harder (Huber's usual)
# How far a group's own optimum may lie from the law: half an octave before looking, which counts
# for a tenth of a group once the groups have spoken.
_SCATTER, _SCATTER_GROUPS = float(np.log(2.0)) / 2, 0.1
_SLOPE_SD = 1.0  # of an exponent around 0, before looking
_HEIGHT, _HEIGHT_SD, _HEIGHT_SLOPE_SD = float(np.log(0.05)), 2.0, 0.3


@dataclass(frozen=True, slots=True)
class Exponent:
    """What is known of an exponent before looking, as a normal distribution.

    Attributes:
        hyperparameter: `lr` or `batch`.
        input: Name of the input.
        centre: Mean.
        sd: Standard deviation.
    """

    hyperparameter: str
    input: str
    centre: float
    sd: float


# Step Law -.71 (N) and .31 (D), OLMo's ladder -.33 (N at fixed D / N, so both together), for
# the rate; Step Law .57 (D), OLMo .67 (both together), Power Lines .38 (D) for the batch. Where
# sources are read and how sure they are: windtunnel.laws.published_hyperparameters.
PUBLISHED = (
    Exponent("lr", "params", -0.6, 0.25),
    Exponent("lr", "tokens", 0.25, 0.2),
    Exponent("batch", "params", 0.0, 0.2),
    Exponent("batch", "tokens", 0.5, 0.15),
)


@dataclass(frozen=True, slots=True)
class TunedLaw:
    """Both laws and what they were fitted to.

    Attributes:
        lr: Law of the best learning rate.
        batch: Law of the best batch size, in the unit of the runs.
        optima: (groups, 2) each group's own best rate and batch, drawn towards the law.
        groups: The groups' inputs, (groups,) each.
        used: Runs that were fitted.
        walls: Runs left out because they diverged or lie above the wall.
    """

    lr: HyperparameterLaw
    batch: HyperparameterLaw
    optima: Array
    groups: Mapping[str, Array]
    used: int
    walls: int


def fit_tuning_law(
    inputs: Mapping[str, Array],
    lr: Array,
    batch: Array,
    loss: Array,
    *,
    beliefs: Sequence[Exponent] = (),
) -> TunedLaw:
    """One surface for all groups, each group's lowest point near a power law of its size.

    Runs of equal inputs are a group. All groups share the surface's shape (`bowl`); its height
    is a power law of the inputs, each group's level its own. A grid of each group does, and so do
    ten random runs: what one group does not show of the shape, the others do.

    Args:
        inputs: (n,) each, positive: params and tokens, say.
        lr: (n,) learning rates.
        batch: (n,) batch sizes.
        loss: (n,) final losses; not finite where a run diverged.
        beliefs: Optional, weak: `PUBLISHED`, or your own.

    Raises:
        WindtunnelError: Values that are not positive, a group in which all runs diverged, too
            few runs, or one rate or one batch size only.
    """
    rows = grouped_runs(inputs, lr, batch, loss)
    layout = _Layout(len(inputs), len(rows.best))
    prior = _prior(rows, layout, beliefs)
    noise, starts = _NOISE, _starts(prior.centre, layout)
    for _ in range(1 + _LOOKS):
        sd = noise + _MISFIT * (rows.loss - rows.best[rows.group])
        found = _minimum(rows, layout, prior, sd, starts)
        covariance, dof = _covariance(rows, layout, prior, sd, found)
        noise, starts = _noise(rows, layout, found, dof), found[None]
        scatter = _scatters(layout, found, covariance)
        prior = _with_scatter(prior, layout, scatter)
    return _result(rows, layout, found, covariance, scatter)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the parameters lie: the two laws, the height's, the shape, levels, own deviations."""

    inputs: int
    groups: int

    @property
    def wide(self) -> int:
        """Coefficients of one law."""
        return self.inputs + 1

    def law(self, place: int) -> slice:
        """Of the rate, the batch and the height."""
        return slice(place * self.wide, (place + 1) * self.wide)

    @property
    def shape(self) -> slice:
        """Of the surface."""
        return slice(3 * self.wide, 3 * self.wide + SHAPE.size)

    def own(self, place: int) -> slice:
        """Groups' levels, and deviations of their rates and batches from the laws."""
        first = self.shape.stop + place * self.groups
        return slice(first, first + self.groups)

    @property
    def size(self) -> int:
        """All parameters."""
        return int(self.own(2).stop)


def _minimum(rows: GroupedRuns, layout: _Layout, prior: Prior, sd: Array, starts: Array) -> Array:
    least, most = np.full(layout.size, -50.0), np.full(layout.size, 50.0)
    least[layout.shape], most[layout.shape] = SHAPE_LEAST, SHAPE_MOST
    solved = minimize_huber(
        lambda parameters: _surface(parameters, rows, layout, sd),
        starts,
        rows.loss / sd,
        delta=_DELTA,
        lower=least,
        upper=most,
        prior=prior,
        tolerance=1e-8,
    )
    found: Array = solved.parameters[solved.objective.argmin()]
    return found


def _covariance(
    rows: GroupedRuns, layout: _Layout, prior: Prior, sd: Array, found: Array
) -> tuple[Array, float]:
    """Of all parameters, and the degrees of freedom that are left.

    Data count at the noise they turn out to have, beliefs at what they say.
    """
    predicted, jacobian = (part[0] for part in _surface(found[None], rows, layout, sd))
    residuals = predicted - rows.loss / sd
    inside = np.minimum(1.0, _DELTA / np.maximum(np.abs(residuals), 1e-12))
    data = jacobian.T @ (inside[:, None] * jacobian)
    inverse = np.linalg.inv(data + np.diag(prior.precision))
    dof = max(residuals.size - float(np.trace(inverse @ data)), 1.0)
    scale = float((inside * residuals**2).sum()) / dof
    return inverse @ (scale * data + np.diag(prior.precision)) @ inverse, dof


def _noise(rows: GroupedRuns, layout: _Layout, found: Array, dof: float) -> float:
    """Standard deviation of the runs in the lowest third, where the shape's misfit is small."""
    predicted, _ = _surface(found[None], rows, layout, np.ones_like(rows.loss))
    rise = predicted[0] - found[layout.own(0)][rows.group]
    low = rise <= np.quantile(rise, 1 / 3)
    typical = 1.4826 * float(np.median(np.abs(predicted[0] - rows.loss)[low]))
    return max(typical * float(np.sqrt(rows.loss.size / dof)), _LEAST_NOISE)


def _prior(rows: GroupedRuns, layout: _Layout, beliefs: Sequence[Exponent]) -> Prior:
    centre, sd = np.zeros(layout.size), np.full(layout.size, np.inf)
    for place in (0, 1):
        sd[layout.law(place)][1:] = _SLOPE_SD
        sd[layout.own(1 + place)] = _SCATTER
    centre[layout.law(2).start], sd[layout.law(2).start] = _HEIGHT, _HEIGHT_SD
    sd[layout.law(2)][1:] = _HEIGHT_SLOPE_SD
    centre[layout.shape], sd[layout.shape] = SHAPE, SHAPE_SD
    centre[layout.own(0)] = rows.best - _NOISE / 2
    for belief in beliefs:
        if belief.input in rows.names:
            law = layout.law(("lr", "batch").index(belief.hyperparameter))
            place = law.start + 1 + rows.names.index(belief.input)
            centre[place], sd[place] = belief.centre, belief.sd
    return Prior(centre, 1 / sd**2)


def _starts(centre: Array, layout: _Layout) -> Array:
    """The prior's centre, and surfaces half and twice as high."""
    starts = np.tile(centre, (3, 1))
    starts[:, layout.law(2).start] += np.log([1.0, 0.5, 2.0])
    return starts


def _surface(
    parameters: Array, rows: GroupedRuns, layout: _Layout, sd: Array
) -> tuple[Array, Array]:
    """Log losses in units of their standard deviations, and the Jacobian."""
    design, group = rows.design[rows.group], rows.group
    each = np.arange(group.size)
    best = [
        parameters[:, layout.law(place)] @ design.T + parameters[:, layout.own(1 + place)][:, group]
        for place in (0, 1)
    ]
    rise, by_z, by_shape = bowl(
        rows.tuned - np.stack(best, axis=2),
        parameters[:, layout.law(2)] @ design.T,
        parameters[:, layout.shape],
    )
    jacobian = np.zeros((*rise.shape, layout.size))
    for place in (0, 1):
        jacobian[:, :, layout.law(place)] = -by_z[:, :, place, None] * design
        jacobian[:, each, layout.own(1 + place).start + group] = -by_z[:, :, place]
    jacobian[:, :, layout.law(2)] = rise[:, :, None] * design
    jacobian[:, :, layout.shape] = by_shape
    jacobian[:, each, layout.own(0).start + group] = 1.0
    total = parameters[:, layout.own(0)][:, group] + rise
    return total / sd, jacobian / sd[:, None]


def _scatters(layout: _Layout, found: Array, covariance: Array) -> Array:
    """(2,) standard deviations of the groups' rates and batches around the laws.

    Expected squares given the runs: one step of expectation maximisation a look.
    """
    squares = found**2 + np.diag(covariance)
    own = np.array([squares[layout.own(1 + place)].sum() for place in (0, 1)])
    before = _SCATTER_GROUPS * _SCATTER**2
    return np.asarray(np.sqrt((own + before) / (layout.groups + _SCATTER_GROUPS)))


def _with_scatter(prior: Prior, layout: _Layout, scatter: Array) -> Prior:
    precision = prior.precision.copy()
    for place in (0, 1):
        precision[layout.own(1 + place)] = 1 / scatter[place] ** 2
    return Prior(prior.centre, precision)


def _result(
    rows: GroupedRuns, layout: _Layout, found: Array, covariance: Array, scatter: Array
) -> TunedLaw:
    laws, optima = [], []
    for place in (0, 1):
        law, own = layout.law(place), layout.own(1 + place)
        coefficients = found[law].copy()
        optima.append(np.exp(rows.design @ coefficients + found[own] + rows.centre[place]))
        coefficients[0] += rows.centre[place]
        laws.append(
            HyperparameterLaw(
                rows.names,
                rows.middles,
                coefficients,
                covariance[law, law],
                float(scatter[place]),
                float(max(layout.groups - layout.wide, 1)),
                {name: (float(v.min()), float(v.max())) for name, v in rows.groups.items()},
            )
        )
    return TunedLaw(
        laws[0], laws[1], np.column_stack(optima), rows.groups, rows.loss.size, rows.walls
    )
