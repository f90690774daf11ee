"""The search policy chosen on the command line, which the study's folder remembers."""

from __future__ import annotations

import json
from pathlib import Path

from windtunnel.errors import WindtunnelError
from windtunnel.files import write_json
from windtunnel.spec import PolicySpec, SearchSpec

CHOSEN_FILE = "policy.json"


def with_policy(search: SearchSpec, chosen: str | None, folder: Path) -> SearchSpec:
    """The search with its policy: the study file's, else the one chosen now or earlier.

    Args:
        search: As the study file states it.
        chosen: A policy's name, to be remembered in the folder; None to take what is remembered.
        folder: The study's.

    Raises:
        WindtunnelError: The file names another policy, or what is remembered is damaged.
    """
    named = search.policy.name if "policy" in search.model_fields_set else None
    if chosen is not None and named not in (None, chosen):
        raise WindtunnelError(
            f"--policy: the study's file says search.policy: {named}; change it there"
        )
    if named is not None:
        return search
    if chosen is not None:
        write_json(folder / CHOSEN_FILE, {"name": chosen})
    remembered = chosen or _remembered(folder / CHOSEN_FILE)
    if remembered is None:
        return search
    return search.model_copy(update={"policy": PolicySpec(name=remembered)})


def _remembered(path: Path) -> str | None:
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["name"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise WindtunnelError(f"{path}: damaged; delete it and give --policy again.") from error
