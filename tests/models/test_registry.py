from __future__ import annotations

import subprocess
import sys

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.models import build_family, family_names
from windtunnel.models.gpt import GPTFamily


def test_gpt_by_name() -> None:
    family = build_family("gpt", {"tied": True}, vocabulary_size=256, sequence_length=128)
    assert family == GPTFamily(vocabulary_size=256, tied=True)
    assert family.name == "gpt"
    assert "gpt" in family_names()


def test_an_unknown_family_is_named_and_the_known_ones_listed() -> None:
    with pytest.raises(WindtunnelError, match=r"^family\.name: no family 'gtp'; .*: .*\bgpt\b"):
        build_family("gtp", {}, vocabulary_size=256, sequence_length=128)


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(WindtunnelError, match=r"^family\.options\.heads: "):
        build_family("gpt", {"heads": 4}, vocabulary_size=256, sequence_length=128)


def test_importing_the_registries_does_not_import_torch() -> None:
    code = "import sys, windtunnel.models, windtunnel.optimizers; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
