from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def build(width: int, depth: int) -> Any:
    hidden = [torch.nn.Linear(width, width) for _ in range(depth)]
    return torch.nn.Sequential(torch.nn.Linear(16, width), *hidden, torch.nn.Linear(width, 4))


def test_the_python_example_runs_and_scales_the_hidden_rate() -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    names: dict[str, Any] = {"build": build}
    exec(block, names)
    rates = {
        parameter: group["lr"]
        for group in names["optimizer"].param_groups
        for parameter in group["params"]
    }
    model = names["model"]
    assert rates.keys() == set(model.parameters())
    assert rates[model[0].weight] == pytest.approx(3e-3)
    assert rates[model[1].weight] == pytest.approx(3e-3 * 64 / 256)
    inputs = torch.ones(2, 16)
    loss = (model(inputs) - 1).square().mean()
    loss.backward()
    names["optimizer"].step()
    assert (model(inputs) - 1).square().mean() < loss


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/glossary.md"])
def test_every_link_to_a_file_of_ours_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)", text)
    assert [link for link in links if not (ROOT / page).parent.joinpath(link).exists()] == []
