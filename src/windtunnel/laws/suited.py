"""Which forms suit a table: by its columns, by what varies in them, and by its metric."""

from __future__ import annotations

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.laws.forms import form_named
from windtunnel.laws.forms.form import Form
from windtunnel.laws.table import RunTable

# By what has to vary, the richest first: the first set that the table has is taken. The forms in
# it are compared by back-tests.
_SUITED = (
    (("params", "experts"), ("routed",)),
    (("params", "tokens", "unique_tokens"), ("chinchilla", "data-constrained")),
    (("params", "tokens"), ("chinchilla", "coupled")),
    (("params",), ("power-params",)),
    (("tokens",), ("power-tokens",)),
    (("flops",), ("power-compute",)),
    (("steps",), ("curve-power", "curve-exponential")),
)


# Where rows are too few for any back-test, nothing can choose between forms or weigh beliefs: a
# special case with fewer parameters stands in, as Gadre et al. 2024 do for five runs.
_UNTESTED = {"chinchilla": "over-training"}


def untested_form(form: Form) -> Form:
    """What stands in for a form where nothing can be back-tested."""
    return form_named(_UNTESTED.get(form.name, form.name))


def suited_forms(table: RunTable) -> list[Form]:
    """The forms to compare, from few parameters to many.

    Raises:
        WindtunnelError: Nothing that a form needs varies, or no form fits this kind of metric.
    """
    for columns, names in _SUITED:
        if not all(_varies(table, name) for name in columns):
            continue
        forms = [form_named(name) for name in names]
        fitting = [form for form in forms if table.metric.kind in form.metrics]
        if not fitting:
            kinds = ", ".join(dict.fromkeys(kind for form in forms for kind in form.metrics))
            raise WindtunnelError(
                f"{table.source}: {table.metric.name} is of the kind '{table.metric.kind}', and "
                f"the forms for {' and '.join(columns)} are for {kinds}; choose another column "
                "with --columns loss=..., or name a form"
            )
        return sorted(fitting, key=lambda form: len(form.parameters))
    raise WindtunnelError(
        f"{table.source}: params, tokens, flops and steps are all absent or the same in every "
        "row; a law needs runs at two sizes or two lengths at least"
    )


def _varies(table: RunTable, name: str) -> bool:
    values = table.numbers.get(name)
    if values is None:
        return False
    finite = values[np.isfinite(values)]
    return bool(finite.size and np.ptp(finite) > 0)
