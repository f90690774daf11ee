"""Where token files are kept between studies."""

from __future__ import annotations

import os
from pathlib import Path


def default_cache() -> Path:
    """`$WINDTUNNEL_CACHE`; else `windtunnel` in `$XDG_CACHE_HOME`; else `~/.cache/windtunnel`."""
    if own := os.environ.get("WINDTUNNEL_CACHE"):
        return Path(own).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "windtunnel"
