"""A study file as its section values, or one line that says what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from windtunnel.errors import WindtunnelError
from windtunnel.spec.study import StudySpec


def load_study(path: Path) -> StudySpec:
    """Read and validate a study file.

    Raises:
        WindtunnelError: The file is missing, is not YAML, or breaks a rule; the message is one
            line that names the field's path.
    """
    value = read_yaml(path)
    try:
        return StudySpec.model_validate(value)
    except ValidationError as error:
        raise WindtunnelError(f"{path}: {one_line(error, value)}") from error


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a file of keys and values.

    Raises:
        WindtunnelError: It is missing, is no text, is not YAML, or holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise WindtunnelError(f"{path}: cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise WindtunnelError(f"{path}: not a text file (its encoding must be UTF-8).") from error
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise WindtunnelError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(value, dict):
        raise WindtunnelError(f"{path}: not a study; `windtunnel init` writes a commented example.")
    return value


def one_line(error: ValidationError, study: dict[str, Any]) -> str:
    """The first complaint with its field's path, in the file's own words.

    A misspelt key makes two: it is unknown, and what was meant is missing. The former tells more.
    """
    complaints = error.errors()
    first, count = complaints[0], len(complaints)
    if first["type"] == "missing":
        beside = (c for c in complaints if c["loc"][:-1] == first["loc"][:-1])
        first = next((c for c in beside if c["type"] == "extra_forbidden"), first)
    unit = str(study.get("unit", "tokens"))
    parts = [part for part in first["loc"] if part != "[key]"]
    place = ".".join(unit if part == "units" else str(part) for part in parts)
    if first["type"] == "extra_forbidden":
        message = "unknown key; `windtunnel init` writes a file with every key"
    elif first["type"] == "missing":
        message = "missing"
    elif first["type"] == "too_short":
        message = "empty; the ladder needs at least one size"
    else:
        message = " ".join(first["msg"].removeprefix("Value error, ").split())
    more = f" (and {count - 1} more)" if count > 1 else ""
    return f"{place}: {message}{more}" if place else f"{message}{more}"
