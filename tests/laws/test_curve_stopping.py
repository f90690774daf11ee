from __future__ import annotations

import numpy as np
import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.laws.curve_stopping import follow_curve
from windtunnel.laws.forms.curves import CurveExponential

STEPS = np.geomspace(100, 20000, 14)


def curve(noise: float = 0.0) -> np.ndarray:
    luck = np.random.default_rng(0).standard_normal(STEPS.size)
    return 2.5 + 40 / STEPS**0.6 + noise * luck


def test_a_clean_curve_is_trusted_at_once_and_stops() -> None:
    trace = follow_curve(STEPS, curve(), end=1e6, threshold=0.01)
    assert trace.trusted_from is not None and trace.stop_at is not None
    assert trace.asymptote[trace.trusted_from :] == pytest.approx(2.5, abs=2e-3)
    assert trace.forecast[-1] == pytest.approx(2.5 + 40 / 1e6**0.6, abs=1e-3)
    # Six points are twice the parameters; the third asymptote from there is the eighth point's.
    assert trace.stop_at == pytest.approx(STEPS[7])


def test_a_smaller_threshold_never_stops_earlier() -> None:
    stops = [
        follow_curve(STEPS, curve(noise=0.004), end=1e6, threshold=threshold).stop_at
        for threshold in (0.3, 0.01)
    ]
    known = [STEPS[-1] + 1 if stop is None else stop for stop in stops]
    assert known == sorted(known) and known[0] < known[-1]
    assert stops[0] is not None


def test_a_curve_that_has_not_bent_is_not_trusted() -> None:
    # A pure power law far above its floor: nothing in it says where it ends.
    trace = follow_curve(STEPS, 40 / STEPS**0.3, end=1e6, threshold=0.5)
    assert trace.trusted_from is None and trace.stop_at is None


def test_another_form_may_be_followed() -> None:
    steps = np.linspace(100, 3000, 15)
    loss = 1.2 + 3 * np.exp(-steps / 500)
    trace = follow_curve(steps, loss, end=1e4, threshold=0.01, form=CurveExponential())
    assert trace.stop_at is not None
    assert trace.asymptote[-1] == pytest.approx(1.2, abs=1e-4)


def test_bad_curves_are_refused() -> None:
    with pytest.raises(WindtunnelError, match="3 points; give at least 4"):
        follow_curve(STEPS[:3], curve()[:3], end=1e5, threshold=0.1)
    with pytest.raises(WindtunnelError, match="steps that rise"):
        follow_curve(STEPS[::-1], curve(), end=1e5, threshold=0.1)
    with pytest.raises(WindtunnelError, match="threshold 0 must be above 0"):
        follow_curve(STEPS, curve(), end=1e5, threshold=0.0)
