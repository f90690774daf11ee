from __future__ import annotations

import importlib.machinery
import sys
from types import ModuleType

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.torch_version import require_torch


def fake_torch(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    module = ModuleType("torch")
    module.__spec__ = importlib.machinery.ModuleSpec("torch", None)
    module.__version__ = version  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", module)


@pytest.mark.parametrize(
    "version", ["2.4.0", "2.9.0a0+abc", "2.13.0+cpu", "3.0", "2.10.0.dev20260101", "vendor-build"]
)
def test_new_enough_or_unknowable_versions_pass(
    monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    fake_torch(monkeypatch, version)
    require_torch()


@pytest.mark.parametrize("version", ["1.13.1+cu117", "2.3.1", "2.0.0a0+git123"])
def test_old_versions_are_refused_in_words(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    fake_torch(monkeypatch, version)
    with pytest.raises(WindtunnelError) as caught:
        require_torch()
    assert f"version {version} is too old" in str(caught.value)
    assert "2.4 or newer" in str(caught.value)


def test_a_missing_torch_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(WindtunnelError, match=r"pip install 'windtunnel\[train\]'"):
        require_torch()


def test_a_broken_torch_is_not_called_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Finder:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == "torch":
                raise ModuleNotFoundError("No module named 'numpy.core'", name="numpy.core")

    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    with pytest.raises(ModuleNotFoundError, match="numpy"):
        require_torch()
