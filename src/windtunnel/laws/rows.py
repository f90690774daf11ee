"""What a form is fitted to: inputs and metric, scaled, with weights and groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from windtunnel.laws.forms.form import Form, Inputs, Scaling
from windtunnel.laws.solver import Array


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one form.

    Attributes:
        form: The form.
        scaling: What was taken off.
        inputs: (n,) each.
        observed: (n,) in the form's space.
        weights: (n,), mean 1.
        groups: (n,) number of each row's group: rows of one run stay together.
    """

    form: Form
    scaling: Scaling
    inputs: Inputs
    observed: Array
    weights: Array
    groups: np.ndarray

    @staticmethod
    def of(
        form: Form,
        inputs: Mapping[str, Array],
        metric: Array,
        weights: Array | None = None,
        groups: np.ndarray | None = None,
    ) -> Rows:
        """Scale rows as they are given.

        Args:
            form: The form.
            inputs: (n,) positive, for each of the form's inputs; others are left aside.
            metric: (n,).
            weights: (n,) relative weights; 1 by default.
            groups: (n,) numbers; every row for itself by default.
        """
        scaling = Scaling.of(form, inputs, metric)
        return Rows(
            form,
            scaling,
            scaling.scale({name: inputs[name] for name in form.inputs}),
            to_space(form, metric, scaling),
            np.ones(metric.size) if weights is None else weights / weights.mean(),
            np.arange(metric.size) if groups is None else groups,
        )

    def __len__(self) -> int:
        """Number of rows."""
        return self.observed.size

    def take(self, at: np.ndarray) -> Rows:
        """The rows at these indices, with the same scaling."""
        return Rows(
            self.form,
            self.scaling,
            {name: values[at] for name, values in self.inputs.items()},
            self.observed[at],
            self.weights[at] / self.weights[at].mean(),
            self.groups[at],
        )


def to_space(form: Form, metric: Array, scaling: Scaling) -> Array:
    """The metric in the form's space, scaled."""
    scaled: Array = (
        np.log(metric) - scaling.metric if form.space == "log" else metric / np.exp(scaling.metric)
    )
    return scaled


def from_space(form: Form, values: Array, scaling: Scaling) -> Array:
    """Back to the metric's own unit."""
    unit = np.exp(scaling.metric)
    metric: Array = np.exp(values) * unit if form.space == "log" else values * unit
    return metric
