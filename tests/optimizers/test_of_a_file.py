from __future__ import annotations

from pathlib import Path

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.optimizers import method_of, optimizer_method

EXAMPLE = Path(__file__).parents[2] / "examples" / "compare" / "sign_momentum.py"


def test_a_method_is_taken_out_of_a_file() -> None:
    method = optimizer_method(f"{EXAMPLE}:METHOD")
    assert method.name == "sign-momentum"
    assert method_of(f"{EXAMPLE}:METHOD") is method


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "own.py: no such file"),
        ("1 / 0", "own.py can't be run: ZeroDivisionError: division by zero"),
        ("METHOD = 3", "own.py has no OptimizerMethod called 'METHOD'"),
    ],
)
def test_a_file_without_one_is_refused(tmp_path: Path, text: str | None, says: str) -> None:
    path = tmp_path / "own.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(WindtunnelError, match=f"optimizer: .*{says}"):
        optimizer_method(f"{path}:METHOD")
