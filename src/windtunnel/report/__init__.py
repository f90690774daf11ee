"""Figures, the HTML report and the terminal; called, `windtunnel.report_row`'s function.

A training script says `windtunnel.report(step=..., loss=...)`, and the package of that name is
this one.
"""

from __future__ import annotations

import sys
from types import ModuleType

from windtunnel.report_row import report_row


class _Reporting(ModuleType):
    def __call__(self, step: int, **values: float) -> None:
        report_row(step, **values)


sys.modules[__name__].__class__ = _Reporting
