"""Where the cache is."""

from __future__ import annotations

from pathlib import Path

import pytest

from windtunnel.data import default_cache


def test_own_variable_then_the_system_s_then_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WINDTUNNEL_CACHE", "/a")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert default_cache() == Path("/a")
    monkeypatch.delenv("WINDTUNNEL_CACHE")
    assert default_cache() == Path("/b/windtunnel")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert default_cache() == tmp_path / ".cache" / "windtunnel"
