"""The published tables, row by row, held against what is derived from gauge and alignment."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.parametrization.derive import derive
from windtunnel.parametrization.gauge import move_into_weights
from windtunnel.parametrization.rule import Rule, Scaling, load_rule, rule_names
from windtunnel.scale import NONE, Geometry, Powers, Role

SIGN, SGD, RELATIVE = Geometry.SIGN, Geometry.SGD, Geometry.RELATIVE
ORTHOGONAL, KRONECKER = Geometry.ORTHOGONAL, Geometry.KRONECKER
LAYERS = (Role.INPUT, Role.HIDDEN, Role.OUTPUT)
Table = list[tuple[str, object, object]]  # what, derived, published


def width_power(powers: Powers) -> float:
    """The power of width where fan-in and fan-out grow together."""
    return powers.fan_in + powers.fan_out


# Everett et al. 2024 (arXiv 2407.05872), table 1: multiplier n^-a, init n^-b, rate n^-c for
# (embedding, hidden, readout). Readout entries marked "derived" differ in a transcription.
EVERETT_GAUGES = {
    "sp": ((0, 0, 0), (0, 1 / 2, 1 / 2)),
    "ntk": ((0, 1 / 2, 1 / 2), (0, 0, 0)),
    "mup": ((-1 / 2, 0, 1 / 2), (1 / 2, 1 / 2, 1 / 2)),
    "mean-field": ((0, 1 / 2, 1), (0, 0, 0)),
}
EVERETT_FULL = {
    "sp": {SGD: (-1 / 2, 1 / 2, 1), SIGN: (0, 1, 1), RELATIVE: (0, 1 / 2, 1 / 2)},
    "ntk": {SGD: (-1 / 2, -1 / 2, 0), SIGN: (0, 1 / 2, 1 / 2), RELATIVE: (0, 1 / 2, 1 / 2)},
    "mup": {SGD: (0, 0, 0), SIGN: (1 / 2, 1, 1 / 2), RELATIVE: (0, 1 / 2, 0)},
    "mean-field": {SGD: (-1, -1, -1), SIGN: (0, 1 / 2, 0), RELATIVE: (0, 1 / 2, 0)},
}
EVERETT_NONE = {
    "sp": {SGD: (-1 / 2, 0, 1 / 2), SIGN: (0, 1 / 2, 1 / 2), RELATIVE: (0, 0, 0)},
    "ntk": {SGD: (-1 / 2, -1, -1 / 2), SIGN: (0, 0, 0), RELATIVE: (0, 0, 0)},
    "mup": {
        SGD: (0, -1 / 2, -1 / 2),  # readout derived
        SIGN: (1 / 2, 1 / 2, 0),
        RELATIVE: (0, 0, -1 / 2),  # readout derived
    },
    "mean-field": {
        SGD: (-1, -3 / 2, -3 / 2),  # readout derived
        SIGN: (0, 0, -1 / 2),  # readout derived
        RELATIVE: (0, 0, -1 / 2),  # readout derived
    },
}
# In proportion to the gradient's entries: n^-g.
EVERETT_EPSILON = {
    "sp": (1 / 2, 1 / 2, 0),
    "ntk": (1 / 2, 1, 1 / 2),
    "mup": (1 / 2, 1, 1 / 2),
    "mean-field": (1, 3 / 2, 1),
}
FULL_NAMES = {
    "sp": "sp-full-alignment",
    "ntk": "ntk-full-alignment",
    "mup": "mup-table-9",
    "mean-field": "mean-field",
}


def everett(rule: Rule, key: str, rates: dict[str, dict[Geometry, tuple[float, ...]]]) -> Table:
    def powers(quantity: str, geometry: Geometry = SIGN) -> list[float]:
        return [-width_power(getattr(rule.scaling(geometry, role), quantity)) for role in LAYERS]

    a, b = EVERETT_GAUGES[key]
    rows: Table = [("a", powers("multiplier"), [*a]), ("b", powers("init"), [*b])]
    rows += [(f"c {g}", powers("lr", g), [*c]) for g, c in rates[key].items()]
    return [*rows, ("eps", powers("eps"), [*EVERETT_EPSILON[key]])]


def tensor_programs(rule: Rule, table: int) -> Table:
    """Yang et al. 2022 (arXiv 2203.03466), tables 3, 8 and 9, whose SGD rate of hidden matrices
    that aren't square is fan-out over fan-in (the mup package)."""
    rectangular = Powers(fan_in=-1, fan_out=1)
    grown, shrunk = Powers(fan_out=1), Powers(fan_in=-1)
    root, unroot = Powers(fan_in=-0.5), Powers(fan_out=-0.5)
    init, multiplier, adam, sgd = {
        3: (
            (NONE, root, shrunk),
            (NONE,) * 3,
            (NONE, shrunk, shrunk),
            (grown, rectangular, shrunk),
        ),
        8: (
            (NONE, root, NONE),
            (NONE, NONE, shrunk),
            (NONE, shrunk, NONE),
            (grown, rectangular, Powers(fan_in=1)),
        ),
        9: (
            (unroot, root, root),
            (Powers(fan_out=0.5), NONE, root),
            (unroot, shrunk, root),
            (NONE, rectangular, NONE),
        ),
    }[table]
    rows: Table = []
    for role, *published in zip(LAYERS, init, multiplier, adam, sgd, strict=True):
        found = rule.scaling(SIGN, role)
        derived = [found.init, found.multiplier, found.lr, rule.scaling(SGD, role).lr]
        rows.append((str(role), derived, published))
        # lr * weight_decay stays as it is at base (the mup package).
        rows.append((f"{role} decay", found.weight_decay, NONE / found.lr))
    vectors = [rule.scaling(g, Role.VECTOR).lr for g in (SIGN, SGD)]
    rows.append(("vectors go with the input", vectors, [adam[0], sgd[0]]))
    rows.append(("attention", rule.attention, -0.5))
    bottleneck = [getattr(rule.scaling(SIGN, Role.BOTTLENECK), q) for q in ("init", "lr", "eps")]
    rows.append(("bottleneck", bottleneck, [root, shrunk, NONE]))
    # Gradients' entries shrink as 1/width in Table 8; a multiplier M makes them M times larger.
    for role, factor in zip(LAYERS, multiplier, strict=True):
        below = NONE if role is Role.OUTPUT else Powers(fan_out=-1)
        rows.append((f"{role} epsilon", rule.scaling(SIGN, role).eps, below * factor))
    return rows


def completep(rule: Rule, alpha: float, rates: bool = True) -> Table:
    """Dey et al. 2025 (arXiv 2505.01618), table 1, and SGD after 2512.05620 and 2310.02244."""
    rows = tensor_programs(rule, 8)
    block, sgd = rule.scaling(SIGN, "block"), rule.scaling(SGD, "block")
    rows += [
        ("branch", rule.scaling(SIGN, "branch").multiplier, Powers(depth=-alpha)),
        ("block rate", block.lr, Powers(depth=alpha - 1 if rates else 0.0)),
        ("block epsilon", block.eps, Powers(depth=-alpha)),
        ("block decay", block.weight_decay, NONE),
        ("block rate, sgd", sgd.lr, Powers(depth=2 * alpha - 1)),
    ]
    return rows


def unit_scaled(rule: Rule) -> Table:
    """Blake et al. 2024 (arXiv 2407.17465), table 2."""
    rows: Table = []
    published = {
        Role.INPUT: (NONE, NONE, Powers(fan_out=-0.5)),
        Role.HIDDEN: (Powers(fan_in=-0.5), NONE, Powers(fan_in=-0.5)),
        Role.OUTPUT: (Powers(fan_in=-1), NONE, NONE),
        Role.VECTOR: (NONE, NONE, NONE),
    }
    for role, expected in published.items():
        found = rule.scaling(SIGN, role)
        rows.append((str(role), (found.multiplier, found.init, found.lr), expected))
        rows.append((f"{role} decay", found.weight_decay, NONE / found.lr))
        rows.append((f"{role} epsilon", found.eps, NONE))
    rows.append(("branch", rule.scaling(SIGN, "branch").multiplier, Powers(depth=-0.5)))
    block = Scaling(lr=Powers(depth=-0.5), weight_decay=Powers(depth=0.5))
    rows.append(("block", rule.scaling(SIGN, "block"), block))
    rows.append(("attention", rule.attention, -0.5))
    bottleneck = rule.scaling(SIGN, Role.BOTTLENECK)
    rows.append(("bottleneck", bottleneck.multiplier, Powers(fan_in=-0.5)))
    return rows


def one_rate(rule: Rule, name: str) -> Table:
    rows: Table = []
    for role in Role:
        root = Powers(fan_in=-0.5)
        matrix = role in (Role.HIDDEN, Role.OUTPUT, Role.BOTTLENECK)
        expected = {"sp": Scaling(init=root), "ntk": Scaling(multiplier=root)}[name]
        rows += [
            (f"{role} {g}", rule.scaling(g, role), expected if matrix else Scaling())
            for g in Geometry
        ]
    return rows


def robust(rule: Rule) -> Table:
    """2510.15262: muP's rates, and a decay that grows as sqrt(width) in hidden matrices."""
    hidden, vector = rule.scaling(SIGN, Role.HIDDEN), rule.scaling(SIGN, Role.VECTOR)
    rows: Table = [("decay", hidden.weight_decay, Powers(fan_in=0.5))]
    rows.append(("vectors", (vector.lr, vector.weight_decay), (NONE, NONE)))
    return rows + [row for row in tensor_programs(rule, 8) if "hidden decay" not in row[0]]


def spectral(rule: Rule) -> Table:
    """2310.17813, condition 1, and 2512.05620 for preconditioned updates."""
    ratio = Powers(fan_in=-0.5, fan_out=0.5)
    rows: Table = [
        (str(g), rule.scaling(g, Role.HIDDEN).lr, ratio) for g in (ORTHOGONAL, KRONECKER)
    ]
    return rows + tensor_programs(rule, 3)


TABLES: dict[str, Callable[[Rule], Table]] = {
    "sp": lambda rule: one_rate(rule, "sp"),
    "ntk": lambda rule: one_rate(rule, "ntk"),
    "mup": lambda rule: tensor_programs(rule, 8),
    "mup-table-3": lambda rule: tensor_programs(rule, 3),
    "completep": lambda rule: completep(rule, 1.0),
    "depth-mup": lambda rule: completep(rule, 0.5),
    "depth-branches": lambda rule: completep(rule, 0.5, rates=False),
    "u-mup": unit_scaled,
    "robust-layerwise": robust,
    "spectral": spectral,
    "sp-full-alignment": lambda rule: everett(rule, "sp", EVERETT_FULL),
    "sp-no-alignment": lambda rule: everett(rule, "sp", EVERETT_NONE),
    "ntk-full-alignment": lambda rule: everett(rule, "ntk", EVERETT_FULL),
    "ntk-no-alignment": lambda rule: everett(rule, "ntk", EVERETT_NONE),
    "mean-field": lambda rule: everett(rule, "mean-field", EVERETT_FULL),
    "mean-field-no-alignment": lambda rule: everett(rule, "mean-field", EVERETT_NONE),
    "mup-table-9": lambda rule: tensor_programs(rule, 9) + everett(rule, "mup", EVERETT_FULL),
    "mup-no-alignment": lambda rule: everett(rule, "mup", EVERETT_NONE),
}


def mistakes(name: str, rule: Rule) -> list[str]:
    return [what for what, derived, published in TABLES[name](rule) if derived != published]


@pytest.mark.parametrize("name", rule_names())
def test_the_published_table_row_by_row(name: str) -> None:
    assert mistakes(name, load_rule(name)) == []


def mutants(rule: Rule) -> Iterator[tuple[str, Rule]]:
    """The rule with each of its exponents changed in turn."""
    for role in LAYERS:
        layer = rule.layers.get(role, Scaling())
        for quantity in ("init", "multiplier"):
            for axis in ("fan_in", "fan_out"):
                powers = getattr(layer, quantity)
                if not getattr(powers, axis):
                    continue
                changed = dataclasses.replace(powers, **{axis: getattr(powers, axis) / 2})
                new = dataclasses.replace(layer, **{quantity: changed})
                yield (
                    f"{role}.{quantity}",
                    dataclasses.replace(rule, layers={**rule.layers, role: new}),
                )
    if rule.alignment is not None:
        for role in (Role.HIDDEN, Role.OUTPUT):
            measured = {**rule.alignment, role: 0.75}
            yield f"alignment.{role}", dataclasses.replace(rule, alignment=measured)
    if rule.branch is not None:
        yield "branch", dataclasses.replace(rule, branch=0.75)
        yield "block rates", dataclasses.replace(rule, block_rates=not rule.block_rates)
        if rule.branch != 1 and rule.block_rates:  # else rates don't follow the depth
            yield "block decay", dataclasses.replace(rule, block_decay=not rule.block_decay)
    for key in rule.published:
        kept = {k: v for k, v in rule.published.items() if k != key}
        yield f"published {key}", dataclasses.replace(rule, published=kept)


@pytest.mark.parametrize("name", rule_names())
def test_any_changed_exponent_is_noticed(name: str) -> None:
    silent = [what for what, rule in mutants(load_rule(name)) if not mistakes(name, rule)]
    assert silent == []


@pytest.mark.parametrize("geometry", [SIGN, SGD, RELATIVE, ORTHOGONAL])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("mup", "mup-table-3"),
        ("mup", "mup-table-9"),
        ("mup", "mean-field"),
        ("sp-full-alignment", "ntk-full-alignment"),
        ("sp-no-alignment", "ntk-no-alignment"),
        ("mup-no-alignment", "mean-field-no-alignment"),
    ],
)
def test_gauges_of_one_function_have_one_plan(one: str, other: str, geometry: Geometry) -> None:
    """Everett et al. 2024: NTK and standard are equivalent, and mean-field and muP."""
    for role in (*LAYERS, Role.VECTOR):
        moved = [
            move_into_weights(load_rule(name).scaling(geometry, role), NONE, geometry)
            for name in (one, other)
        ]
        assert moved[0] == moved[1], role


def test_kfac_like_updates_keep_one_rate_in_mean_and_muon_needs_none_for_squares() -> None:
    """Spectral: a square matrix' orthogonal update needs no factor at any width."""
    lr = load_rule("spectral").scaling(ORTHOGONAL, Role.HIDDEN).lr
    assert lr.at(7.0, 7.0, 1.0) == pytest.approx(1.0)
    assert lr.at(4.0, 1.0, 1.0) == pytest.approx(0.5)


exponents = st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])
powers = st.builds(Powers, exponents, exponents, exponents)


@given(powers, powers, st.sampled_from(list(Geometry)))
def test_moving_a_multiplier_and_its_inverse_changes_nothing(
    first: Powers, other: Powers, geometry: Geometry
) -> None:
    scaling = Scaling(init=first, lr=first, weight_decay=other, eps=other)
    there = move_into_weights(scaling, first, geometry)
    assert move_into_weights(there, NONE / first, geometry) == scaling


@given(powers, powers)
def test_a_scalar_never_scales(first: Powers, other: Powers) -> None:
    rule = load_rule("mup")
    layers = {role: Scaling(init=first, multiplier=other) for role in LAYERS}
    changed = dataclasses.replace(rule, layers=layers)
    assert derive(changed, SIGN, Role.SCALAR) == Scaling()
