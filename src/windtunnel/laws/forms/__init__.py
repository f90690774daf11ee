"""The forms a law can have, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from windtunnel.errors import WindtunnelError
from windtunnel.laws.forms.chinchilla import Chinchilla
from windtunnel.laws.forms.form import Form

FORMS: Mapping[str, Form] = MappingProxyType({form.name: form for form in (Chinchilla(),)})


def form_named(name: str) -> Form:
    """The form of that name.

    Raises:
        WindtunnelError: There is none.
    """
    form = FORMS.get(name)
    if form is None:
        raise WindtunnelError(f"form: no '{name}'; choose auto or one of {', '.join(FORMS)}.")
    return form
