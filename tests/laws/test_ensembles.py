from __future__ import annotations

import numpy as np
import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.laws.ensembles import ensemble_limit

SIZES = np.array([0.15e9, 0.3e9, 0.6e9, 1.4e9])


def rows(sizes: np.ndarray, members: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Kim et al.'s shape: at each size L(K) = A / K^p + L_K, and L_K = .05 / N^1.02 + 3.17."""
    params, count = (part.ravel() for part in np.meshgrid(sizes, np.arange(1.0, members + 1)))
    floor = 0.05 / (params / 1e9) ** 1.02 + 3.17
    return params, count, 0.3 / count**0.8 + floor


def test_the_two_steps_find_the_joint_limit() -> None:
    limit = ensemble_limit(*rows(SIZES, 5))
    assert limit.loss == pytest.approx(3.17, abs=1e-3)
    assert limit.sizes.published()["alpha"] == pytest.approx(1.02, rel=0.01)
    assert limit.members[0.3e9].published()["alpha"] == pytest.approx(0.8, rel=0.01)
    assert limit.members[0.3e9].published()["E"] == pytest.approx(3.17 + 0.05 / 0.3**1.02, rel=1e-4)


def test_too_few_sizes_or_members_are_refused() -> None:
    with pytest.raises(WindtunnelError, match="2 sizes of members and 3 needed"):
        ensemble_limit(*rows(SIZES[:2], 5))
    with pytest.raises(WindtunnelError, match=r"2 numbers of members at 1.5e\+08 parameters"):
        ensemble_limit(*rows(SIZES, 2))
