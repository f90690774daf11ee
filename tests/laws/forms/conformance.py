"""What every form promises, as functions that its test calls with an example of the form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from windtunnel.laws.fitting import FittedForm, fit_form, predict
from windtunnel.laws.forms.form import Form, Scaling
from windtunnel.laws.rows import Rows
from windtunnel.laws.solver import Array

Columns = Mapping[str, Array]


@dataclass(frozen=True)
class Example:
    """A form with known parameters.

    Attributes:
        form: The form.
        inputs: Rows at which it is known.
        parameters: Of the solver.
        formula: The paper's own formula: `published()` and inputs to the metric.
        exponents: Names in `published()` that noiseless data at `inputs` fix.
        farther: Factors from the last rows to where the fit is asked; 10 by default.
    """

    form: Form
    inputs: Columns
    parameters: tuple[float, ...]
    formula: Callable[[Mapping[str, float], Columns], Array]
    exponents: tuple[str, ...]
    farther: Mapping[str, float] = field(default_factory=dict)

    def scaling(self) -> Scaling:
        """The scaling the parameters are meant in: the inputs' middles and a metric near 3."""
        return Scaling.of(self.form, self.inputs, np.array([3.0]))

    def metric(self, inputs: Columns) -> Array:
        return predict(self.form, self.scaling(), np.array([self.parameters]), inputs)[0]

    def beyond(self) -> Columns:
        """The same rows moved 10 times up."""
        return {name: v * self.farther.get(name, 10.0) for name, v in self.inputs.items()}


def assert_jacobian_is_the_derivative(example: Example, *, seed: int = 0) -> None:
    """Central differences at the example's parameters and near them."""
    form = example.form
    scaled = example.scaling().scale(example.inputs)
    noise = 0.1 * np.random.default_rng(seed).standard_normal((4, len(form.parameters)))
    noise[0] = 0
    at = np.clip(np.array(example.parameters) + noise, form.lower + 1e-4, form.upper - 1e-4)
    _, jacobian = form.predict(at, scaled)
    step = 1e-5
    for k in range(at.shape[1]):
        move = step * np.eye(at.shape[1])[k]
        difference = form.predict(at + move, scaled)[0] - form.predict(at - move, scaled)[0]
        np.testing.assert_allclose(
            jacobian[:, :, k],
            difference / (2 * step),
            rtol=1e-6,
            atol=1e-7,
            err_msg=f"{form.name}: {form.parameters[k].name}",
        )


def assert_noiseless_data_are_fitted_back(example: Example) -> None:
    """Predictions to 1e-6 at the rows and ten times beyond, exponents to 1e-3."""
    fitted = _fit(example, example.inputs, example.metric(example.inputs))
    for inputs in (example.inputs, example.beyond()):
        np.testing.assert_allclose(fitted(inputs), example.metric(inputs), rtol=1e-6)
    known = example.form.published(np.array(example.parameters), example.scaling())
    found = fitted.published()
    for name in example.exponents:
        np.testing.assert_allclose(found[name], known[name], rtol=1e-3, err_msg=name)


def assert_units_drop_out(example: Example) -> None:
    """Inputs and metric in other units: the same predictions but for the metric's factor."""
    form = example.form
    factors = {name: 10.0 ** (3 - 2 * i) for i, name in enumerate(form.inputs)}
    factors |= {name: factors[other] for name, other in form.shared_middles.items()}
    factors |= dict.fromkeys(form.counts, 1.0)
    metric = example.metric(example.inputs)
    changed = {name: v * factors[name] for name, v in example.inputs.items()}
    beyond = example.beyond()
    changed_beyond = {name: v * factors[name] for name, v in beyond.items()}
    before, after = _fit(example, example.inputs, metric), _fit(example, changed, 0.01 * metric)
    np.testing.assert_allclose(after(changed_beyond), 0.01 * before(beyond), rtol=1e-6)
    # And what it publishes is in the units it was given.
    np.testing.assert_allclose(
        example.formula(after.published(), changed_beyond), 0.01 * before(beyond), rtol=1e-6
    )


def assert_published_is_the_paper_s_formula(example: Example) -> None:
    """`published()` put into the formula as the paper writes it gives `predict`."""
    published = example.form.published(np.array(example.parameters), example.scaling())
    for inputs in (example.inputs, example.beyond()):
        np.testing.assert_allclose(
            example.formula(published, inputs), example.metric(inputs), rtol=1e-9
        )


def assert_says_what_it_is(form: Form) -> None:
    """Names, source, bounds, priors and what data it needs are complete and fit together."""
    assert form.name and form.formula and form.source and form.metrics
    assert set(form.metrics) <= {"loss", "error", "normalised loss"}
    names = [parameter.name for parameter in form.parameters]
    assert len(set(names)) == len(names)
    assert (form.lower < form.upper).all()
    inputs = set(form.inputs)
    assert set(form.least_values) == inputs, "say for each input how many values it takes"
    assert set(form.counts) <= inputs
    assert set(form.shared_middles) | set(form.shared_middles.values()) <= inputs
    for beliefs in form.priors.values():
        for belief in beliefs:
            place = names.index(belief.parameter)
            assert form.lower[place] < belief.centre < form.upper[place] and belief.sd > 0


def _fit(example: Example, inputs: Columns, metric: Array) -> FittedForm:
    return fit_form(Rows.of(example.form, inputs, metric))
