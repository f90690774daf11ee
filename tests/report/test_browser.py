"""The report in a real browser, light and dark; skipped where there is none."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from windtunnel.report.figures.style import PALETTE

COLOURS = {colour.name: colour for colour in PALETTE}
LIGHT, DARK = "1", "0"  # blink's numbers for the preferred colour scheme


def browse(chromium: str, folder: Path, page: Path, *options: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--enable-logging=stderr",
            f"--user-data-dir={folder / 'profile'}",
            *options,
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


def console(log: str) -> list[str]:
    return [line for line in log.splitlines() if ":CONSOLE" in line]


def screenshot(chromium, folder, page, scheme) -> np.ndarray:
    shot = folder / "page.png"
    browse(
        chromium,
        folder,
        page,
        f"--screenshot={shot}",
        "--window-size=1200,2900",
        f"--blink-settings=preferredColorScheme={scheme}",
    )
    return np.round(imread(shot)[..., :3] * 255).astype(int)


def has(pixels: np.ndarray, colour: str) -> int:
    rgb = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
    return int((np.abs(pixels - rgb).max(axis=-1) <= 2).sum())


def test_the_page_opens_offline_without_a_complaint(chromium, report, tmp_path):
    done = browse(chromium, tmp_path, report, "--dump-dom")
    assert console(done.stderr) == []
    assert len(re.findall(r"<svg\b", done.stdout)) == 3
    assert done.stdout.count("<figcaption") == 3


def test_the_check_above_would_see_a_request(chromium, report, tmp_path):
    asking = tmp_path / "asking.html"
    page = report.read_text(encoding="utf-8")
    asking.write_text(page.replace("</main>", '<img src="http://example.invalid/x"></main>'))
    assert console(browse(chromium, tmp_path, asking, "--dump-dom").stderr) != []


@pytest.mark.parametrize(("scheme", "side"), [(LIGHT, "light"), (DARK, "dark")])
def test_light_and_dark_both_show_the_figures(chromium, report, tmp_path, scheme, side):
    pixels = screenshot(chromium, tmp_path, report, scheme)
    paper = getattr(COLOURS["paper"], side)
    assert has(pixels[:20], paper) == pixels[:20, :, 0].size
    # Colours of widths, modules, model sizes and the forecast can all be seen.
    for name in ("size-0", "size-4", "size-7", "size-2", "forecast", "ink"):
        assert has(pixels, getattr(COLOURS[name], side)) > 50, name
