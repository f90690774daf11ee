"""The forms a law can have, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from windtunnel.errors import WindtunnelError
from windtunnel.laws.forms.chinchilla import Chinchilla
from windtunnel.laws.forms.coupled import Coupled
from windtunnel.laws.forms.curves import (
    CurveExponential,
    CurveHyperbolic,
    CurvePower,
    CurveWeibull,
)
from windtunnel.laws.forms.data_constrained import DataConstrained
from windtunnel.laws.forms.downstream import Downstream
from windtunnel.laws.forms.form import Form
from windtunnel.laws.forms.kaplan import Kaplan
from windtunnel.laws.forms.over_training import OverTraining
from windtunnel.laws.forms.power import PowerCompute, PowerMembers, PowerParams, PowerTokens
from windtunnel.laws.forms.routed import Routed
from windtunnel.laws.forms.vocabulary import Vocabulary

_FORMS = (
    Chinchilla(),
    OverTraining(),
    Coupled(),
    Kaplan(),
    PowerParams(),
    PowerTokens(),
    PowerCompute(),
    DataConstrained(),
    Vocabulary(),
    Routed(),
    PowerMembers(),
    CurvePower(),
    CurveExponential(),
    CurveWeibull(),
    CurveHyperbolic(),
    Downstream(),
)
FORMS: Mapping[str, Form] = MappingProxyType({form.name: form for form in _FORMS})


def form_named(name: str) -> Form:
    """The form of that name.

    Raises:
        WindtunnelError: There is none.
    """
    form = FORMS.get(name)
    if form is None:
        raise WindtunnelError(f"form: no '{name}'; choose auto or one of {', '.join(FORMS)}.")
    return form
