from __future__ import annotations

import json
import sys

import torch

from windtunnel.training.environment import DECISIVE, cpu_model, describe_environment, differences
from windtunnel.training.execution import Execution


def test_the_environment_is_plain_json_and_names_what_decides() -> None:
    found = describe_environment(torch.device("cpu"), threads=3, precision="bf16")
    assert json.loads(json.dumps(found)) == found
    several = Execution(micro_batch=2, compile=True).differences_in_rounding(ranks=4, tensor=2)
    assert set(DECISIVE) <= set(found) | set(several)
    assert Execution().differences_in_rounding(ranks=1, tensor=1) == {}
    assert found["threads"] == 3
    assert found["precision"] == "bf16"
    assert found["torch"] == torch.__version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["cpu"] == cpu_model() != ""


def test_only_what_can_change_a_loss_is_a_difference() -> None:
    now = describe_environment(torch.device("cpu"), threads=2, precision="fp32")
    assert differences(now, now) == []
    assert differences(now | {"system": "elsewhere"}, now) == []
    assert differences(now | {"threads": 1}, now) == ["threads 1 -> 2"]
    for name in DECISIVE:
        assert len(differences(now | {name: "other"}, now)) == 1
        if name not in now:
            continue
        without = {key: value for key, value in now.items() if key != name}
        assert differences(without, now) == [f"{name} None -> {now[name]}"]
