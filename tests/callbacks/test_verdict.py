from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from windtunnel.callbacks.verdict import verdict
from windtunnel.errors import WindtunnelError


@pytest.mark.parametrize(
    ("forecast", "sentence"),
    [
        ({"loss": 2.0, "ci90": [1.9, 2.1]}, "inside the forecast's 90 % range, 1.9000 to 2.1000."),
        ({"loss": 3.0, "ci90": [2.9, 3.1]}, "OUTSIDE the forecast's 90 % range, 2.9000 to 3.1000."),
        ({"loss": 3.0, "ci90": None}, "the forecast, 3.0000, had no range."),
        ({"loss": None, "ci90": None}, "no forecast to hold it against."),
    ],
)
def test_the_sentence(tmp_path: Path, forecast: dict[str, Any], sentence: str) -> None:
    (tmp_path / "forecast.json").write_text(json.dumps(forecast))
    said = verdict(2.05, tmp_path)
    assert said.startswith("Reached loss 2.0500")
    assert said.endswith(sentence)


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(WindtunnelError, match="first run `windtunnel forecast"):
        verdict(2.0, tmp_path)
    for damaged in ("{", "[]", '{"loss": 1}', '{"loss": 1, "ci90": ["a"]}'):
        (tmp_path / "forecast.json").write_text(damaged)
        with pytest.raises(WindtunnelError, match="damaged"):
            verdict(2.0, tmp_path)
