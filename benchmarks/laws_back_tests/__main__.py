"""Every back-test that the data's README names, and every scale of six files left out in turn.

Default settings throughout, no switch for any file; beside them a plain fit (Chinchilla's form,
many starts, Huber, all rows) with its percentile bootstrap.

    python benchmarks/laws_back_tests --write      puts tables into benchmarks/results
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from pathlib import Path
from typing import Any

import numpy as np
from allocation import allocation_tests
from measure import Side, ours, plain
from settings import DATA, NAMED, datasets, named_rows, scales

sys.path.insert(0, str(Path(__file__).parents[1]))

import committed

LEAST_ROWS = 8  # to fit, when a scale is left out


def numbers(side: Side) -> dict[str, float]:
    """Errors, coverage and widths of one side, in percent."""
    return {
        "mean_abs": 100 * float(np.abs(side.errors).mean()),
        "max_abs": 100 * float(np.abs(side.errors).max()),
        "bias": 100 * float(side.errors.mean()),
        "coverage": 100 * float(side.inside.mean()),
        "halfwidth": 100 * float(np.median(side.halfwidths)),
        "interval_score": 100 * float(side.interval_score.mean()),
    }


def pooled(sides: list[Side]) -> dict[str, float]:
    """All rows of all tests together, and the median width over the median error."""
    joined = Side(
        *(np.concatenate([getattr(s, k) for s in sides]) for k in ("errors", "low", "high"))
    )
    ratio = float(np.median(joined.halfwidths) / np.median(np.abs(joined.errors)))
    by_test = 100 * float(np.mean([side.inside.mean() for side in sides]))
    return {**numbers(joined), "halfwidth_over_error": ratio, "coverage_by_test": by_test}


def named_tests() -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The named back-tests."""
    rows, mine, theirs = [], [], []
    for test in NAMED:
        fitted, foretold = named_rows(test)
        side, shown, how = ours(fitted, foretold)
        other = plain(fitted, shown, "chinchilla")
        mine.append(side)
        theirs.append(other)
        rows.append(
            {
                "name": test.name,
                "n": side.errors.size,
                "published_plain": test.published,
                **how,
                "ours": numbers(side),
                "plain": numbers(other),
            }
        )
        print(f"{test.name}: {rows[-1]['ours']}", flush=True)
    return rows, {"ours": pooled(mine), "plain": pooled(theirs)}


def scale_test(name: str) -> tuple[dict[str, Any], dict[str, list[Side]]]:
    """Each scale of one table left out in turn; the largest is an extrapolation."""
    table = dict(datasets())[name]
    form = "routed" if name.startswith("routed") else "chinchilla"
    parts: dict[str, list[Side]] = {"inner": [], "largest": [], "plain": [], "plain_inner": []}
    every = scales(table)
    how: dict[str, Any] = {"form": None}
    for place, mask in enumerate(every):
        kept = table.keep(~mask)
        if len(kept) < LEAST_ROWS or place == 0:
            continue
        side, shown, how = ours(kept, table.keep(mask))
        other = plain(kept, shown, form)
        last = place == len(every) - 1
        parts["largest" if last else "inner"].append(side)
        parts["plain" if last else "plain_inner"].append(other)
    row: dict[str, Any] = {"name": name, "scales": len(every), "form": how["form"]}
    for part, found in parts.items():
        row[part] = pooled(found) if found else None
    print(f"{name}: {row['largest']}", flush=True)
    return row, parts


def scale_tests(processes: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Every table, the extrapolations pooled apart from the interpolations."""
    with multiprocessing.Pool(processes) as pool:
        found = list(pool.imap(scale_test, [name for name, _ in datasets()]))
    together = {
        part: pooled([side for _, parts in found for side in parts[part]])
        for part in ("inner", "largest", "plain", "plain_inner")
    }
    return [row for row, _ in found], together


def page(content: dict[str, Any], where: dict[str, Any]) -> str:
    """The committed page."""
    named = content["named"]
    lines = [
        "# Back-tests of laws on real runs",
        "",
        "Default settings, no switch for any file. *Plain*: Chinchilla's form (for routed models "
        "Clark et al.'s), many starts, Huber, all rows, percentile bootstrap by run. Errors and "
        "half-widths in percent of the loss.",
        "",
        "## Named in the data's README",
        "",
        "| back-test | rows | mean error | plain | largest | bias | inside 90 % | half-width "
        "| verdict | chosen |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in named["tests"]:
        own = row["ours"]
        lines.append(
            f"| {row['name']} | {row['n']} | {own['mean_abs']:.2f} "
            f"| {row['plain']['mean_abs']:.2f} | {own['max_abs']:.1f} | {own['bias']:+.2f} "
            f"| {own['coverage']:.0f} % | {own['halfwidth']:.1f} | {row['verdict']} "
            f"| {row['form']}, prior {row['prior']}, {row['rows']} |"
        )
    lines += [
        "",
        _pooled_line("All rows together", named["pooled"]["ours"], named["pooled"]["plain"]),
    ]
    lines += ["", *_left_out(content["left_out"]), "", *_allocation(content["allocation"])]
    return "\n".join([*lines, *committed.footer("laws_back_tests", where)])


def _left_out(scaled: dict[str, Any] | None) -> list[str]:
    title = "## Every scale left out in turn"
    if scaled is None:
        return [title, "", "Not run yet: `python benchmarks/laws_back_tests --write`."]
    lines = [
        title,
        "",
        "Sizes, or octaves of sizes where there are more than twelve; the smallest is always kept. "
        "Inner scales are interpolated, the largest is foretold from all smaller ones.",
        "",
        "| runs | scales | inner error | plain | inside 90 % | largest error | plain "
        "| inside 90 % | half-width |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in scaled["tests"]:
        inner, largest = row["inner"], row["largest"]
        lines.append(
            f"| {row['name']} | {row['scales']} "
            + (
                f"| {inner['mean_abs']:.2f} | {row['plain_inner']['mean_abs']:.2f} "
                f"| {inner['coverage']:.0f} % "
                if inner
                else "| | | "
            )
            + (
                f"| {largest['mean_abs']:.2f} | {row['plain']['mean_abs']:.2f} "
                f"| {largest['coverage']:.0f} % | {largest['halfwidth']:.1f} |"
                if largest
                else "| | | | |"
            )
        )
    together = scaled["pooled"]
    return [
        *lines,
        "",
        _pooled_line("Largest scales together", together["largest"], together["plain"]),
        "",
        _pooled_line("Inner scales together", together["inner"], together["plain_inner"]),
    ]


def _allocation(tests: list[dict[str, Any]]) -> list[str]:
    lines = [
        "## Best sizes of the three largest budgets (iso-FLOP), from the smaller ones",
        "",
        "The size foretold by a power law of the optima, each weighted by its own uncertainty, "
        "over the file's best one; beside it a line through the file's optima in logs.",
        "",
        "| setting | foretold over actual | inside 90 % | line |",
        "|---|---|---|---|",
    ]
    for row in tests:
        ratios, line = (", ".join(f"{x:.2f}" for x in row[key]) for key in ("ratio", "line"))
        lines.append(f"| {row['name']} | {ratios} | {sum(row['inside'])} of 3 | {line} |")
    for key, what in (("ratio", "Foretold"), ("line", "The line")):
        errors = np.abs(np.log(np.concatenate([row[key] for row in tests])))
        lines += ["", f"{what}: mean error {100 * errors.mean():.1f} %."]
    return lines


def _pooled_line(what: str, own: dict[str, float], other: dict[str, float]) -> str:
    return (
        f"{what}: mean error {own['mean_abs']:.2f} (plain {other['mean_abs']:.2f}), "
        f"{own['coverage']:.0f} % of the rows inside their 90 % ranges (plain "
        f"{other['coverage']:.0f} %; every test counting the same "
        f"{own['coverage_by_test']:.0f} and {other['coverage_by_test']:.0f} %), median half-width "
        f"{own['halfwidth_over_error']:.2f} times the median error, mean interval score "
        f"{own['interval_score']:.2f} (plain {other['interval_score']:.2f})."
    )


def main() -> None:
    """Measure, print, and write if asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--named", action="store_true", help="no scale left out: a minute")
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    if not DATA.exists():
        raise SystemExit(f"{DATA} is not there; this benchmark needs the shared data")
    tests, together = named_tests()
    content: dict[str, Any] = {"named": {"tests": tests, "pooled": together}, "left_out": None}
    if not options.named:
        tests, together = scale_tests(options.processes)
        content["left_out"] = {"tests": tests, "pooled": together}
    content["allocation"] = allocation_tests()
    where = committed.environment()
    text = page(content, where)
    print(text)
    if options.write:
        committed.write("laws_back_tests", {**content, **where}, text)


if __name__ == "__main__":
    main()
