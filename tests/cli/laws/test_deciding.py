from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from windtunnel.cli.laws import deciding
from windtunnel.errors import WindtunnelError
from windtunnel.laws.fitting import fit_form
from windtunnel.laws.forms.chinchilla import Chinchilla
from windtunnel.laws.law import Law, Spread
from windtunnel.laws.rows import Rows


@pytest.fixture
def command():
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(deciding.plan)
    app.command("next")(deciding.next_)
    app.command()(deciding.compare)

    def run(*arguments):
        result = CliRunner().invoke(app, list(arguments))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def small_law(floor=1.8172, seed=0):
    budgets, ratios = np.meshgrid(np.geomspace(1e18, 1e21, 5), np.geomspace(4, 100, 5))
    params = np.sqrt(budgets / 6 / ratios).ravel()
    tokens = budgets.ravel() / 6 / params
    noise = np.exp(0.002 * np.random.default_rng(seed).standard_normal(params.size))
    loss = (floor + 482.01 / params**0.3478 + 2085.43 / tokens**0.3658) * noise
    inputs = {"params": params, "tokens": tokens}
    fitted = fit_form(Rows.of(Chinchilla(), inputs, loss), delta=0.01)
    scatter = np.random.default_rng(seed).standard_normal((20, 5))
    draws = fitted.parameters + 0.002 * scatter
    return Law(fitted, draws, "loss", inputs, loss, Spread(0.002, 0.002, 1.0, 12, 4.0), {})


@pytest.fixture
def fit(tmp_path):
    path = tmp_path / "FIT.json"
    path.write_text(json.dumps(small_law().to_json()))
    return str(path)


def test_plan_in_words_and_in_json(command, fit):
    words = command("plan", fit, "--money", "50000", "--gpu", "h100", "--rate", "2.2")
    assert words.exit_code == 0
    assert words.stdout.startswith("Train ")
    assert "22.7k (18.2k to 30.3k) GPU-hours and 50k (40k to 66.7k) in money" in words.stdout
    found = json.loads(
        command("plan", fit, "--flops", "1e22", "--served-tokens", "1T", "--json").stdout
    )
    assert found["flops"] == 1e22
    assert found["serving"]["params"]["value"] < found["params"]["value"]
    assert found["gpu_hours"] is None


def test_plan_by_hours_takes_the_given_share(command, fit):
    options = ("--gpu-hours", "5000", "--gpu", "h100", "--mfu", "0.5", "--json")
    found = json.loads(command("plan", fit, *options).stdout)
    assert found["flops"] == pytest.approx(5000 * 3600 * 989.4e12 * 0.5)


def test_next_in_words_and_in_json(command, fit):
    target = ("--target", "params=7B,tokens=2T", "--budget", "1e21")
    assert command("next", fit, *target).stdout.startswith(("Add ", "No run within"))
    found = json.loads(command("next", fit, *target, "--json").stdout)
    assert found["target"] == {"params": 7e9, "tokens": 2e12}
    assert found["halfwidth_after"] <= found["halfwidth_before"]


def test_mistakes_are_named(command, fit, tmp_path):
    with pytest.raises(WindtunnelError, match="--flops: 'lots' is not a number"):
        command("plan", fit, "--flops", "lots")
    with pytest.raises(WindtunnelError, match="0 budgets given"):
        command("plan", fit)
    with pytest.raises(WindtunnelError, match="give --gpu as well"):
        command("plan", fit, "--flops", "1e20", "--mfu", "0.4")
    with pytest.raises(WindtunnelError, match=r"none\.json: No such file"):
        command("plan", str(tmp_path / "none.json"), "--flops", "1e20")
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    with pytest.raises(WindtunnelError, match="this is no JSON"):
        command("next", str(broken), "--target", "params=1e9,tokens=1e10", "--budget", "1e20")


def test_compare_a_table(command, tmp_path):
    rows = ["params,tokens,loss,data_mix"]
    for name, floor, seed in (("web", 1.85, 0), ("code", 1.75, 1)):
        law = small_law(floor, seed)
        rows += [
            f"{n:.6e},{d:.6e},{loss:.6f},{name}"
            for n, d, loss in zip(
                law.inputs["params"], law.inputs["tokens"], law.observed, strict=True
            )
        ]
    path = Path(tmp_path) / "RUNS.csv"
    path.write_text("\n".join(rows) + "\n")
    options = (str(path), "--by", "data_mix", "--at", "params=2B,tokens=4e10")
    (found,) = json.loads(command("compare", *options, "--json").stdout)["comparisons"]
    assert found["names"] == ["web", "code"]
    assert found["verdict"] == "worse"
    assert "web is worse than code" in command("compare", *options).stdout
