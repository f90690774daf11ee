"""Whether a model trained elsewhere reached what a study had forecast, in a sentence."""

from __future__ import annotations

import json
from pathlib import Path

from windtunnel.errors import WindtunnelError


def verdict(loss: float, study: Path) -> str:
    """Hold a final loss against a study's forecast.

    Args:
        loss: What was reached, as the study measures it.
        study: The study's folder, with `forecast.json`.

    Raises:
        WindtunnelError: There is no readable forecast.
    """
    path = study / "forecast.json"
    try:
        forecast = json.loads(path.read_text(encoding="utf-8"))
        said, ci90 = forecast["loss"], forecast["ci90"]
        low, high = (None, None) if ci90 is None else (float(ci90[0]), float(ci90[1]))
    except FileNotFoundError as error:
        raise WindtunnelError(
            f"{path}: there is none; first run `windtunnel forecast {study}`"
        ) from error
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise WindtunnelError(
            f"{path}: damaged; delete it and run `windtunnel forecast {study}` again"
        ) from error
    reached = f"Reached loss {loss:.4f}"
    if said is None:
        return f"{reached}; the study had no forecast to hold it against."
    if low is None or high is None:
        return f"{reached}; the forecast, {said:.4f}, had no range."
    side = "inside" if low <= loss <= high else "OUTSIDE"
    return f"{reached}: {side} the forecast's 90 % range, {low:.4f} to {high:.4f}."
