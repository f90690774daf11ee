"""What a rule expects of the sizes in a model, so that what is measured can be held against it."""

from __future__ import annotations

import dataclasses

from windtunnel.models.family import Declarations
from windtunnel.parametrization.names import below, declares, without_indices
from windtunnel.parametrization.plan import ParameterPlan, Plan
from windtunnel.parametrization.rule import BLOCK, BRANCH, Rule, load_rule
from windtunnel.parametrization.tied import tied_head
from windtunnel.scale import Geometry, Powers, Role


def moved_multipliers(plan: Plan, declarations: Declarations) -> dict[str, float]:
    """By module, the forward multiplier in its weights that the rule has behind it.

    A residual branch's lies behind its last layer, attention's behind the queries, a tied head's
    behind the final norm. They come from the rule and not from the plan, so that a plan without
    one of them shows.
    """
    rule = load_rule(plan.rule, plan.rule_content)
    width, depth = _ratios(plan)
    queries = Powers(fan_in=rule.attention * declarations.head_growth)
    gain = declarations.tied_head_gain
    found: dict[str, float] = {}
    ends, asking = (
        _modules(plan, patterns) for patterns in (declarations.branch_outputs, declarations.queries)
    )
    for entry in plan:
        module = entry.name.rpartition(".")[0]
        multiplier = Powers()
        if module in ends:
            multiplier *= rule.scaling(entry.geometry, BRANCH).multiplier
        if module in asking:
            multiplier *= queries
        if gain is not None and module == gain.rpartition(".")[0]:
            multiplier *= Powers(fan_in=tied_head(rule))
        own = _applied_by_the_model(declarations, module)
        is_gain = gain is not None and module == gain.rpartition(".")[0]
        multiplier /= own if is_gain else Powers(depth=own.depth)
        found[module] = multiplier.at(width, width, depth)
    return found


def own_updates(plan: Plan, declarations: Declarations) -> dict[str, float]:
    """By module, the factor by which a right plan lets its own update change from base to here.

    In width it is one, or what a published rate makes of it (u-muP's embedding). In depth the
    changes of all branches point the same way and add up in the stream, so what one of L branches
    adds, its multiplier included, has to shrink as 1/L. Inside a branch that is divided by L^a,
    changes shrink as L^(a - 1) if rates follow the depth: what the rule does there is taken as it
    is, and the stream's growth judges the rule itself (Dey et al. 2025, arXiv 2505.01618, section
    4; Yang et al. 2023, arXiv 2310.02244).
    """
    rule = load_rule(plan.rule, plan.rule_content)
    width, depth = _ratios(plan)
    moved = moved_multipliers(plan, declarations)
    ends = _modules(plan, declarations.branch_outputs)
    found: dict[str, float] = {}
    # Matrices last: a module's bias must not speak for it.
    for entry in sorted(plan, key=lambda entry: len(entry.shape) > 1):
        module = entry.name.rpartition(".")[0]
        if module in ends:
            power = -1.0 - _applied_by_the_model(declarations, module).depth
            found[module] = depth**power
        else:
            inside = rule.scaling(entry.geometry, BLOCK).lr.depth if entry.residual else 0.0
            if entry.residual and entry.geometry is Geometry.SGD:
                inside += rule.scaling(entry.geometry, BRANCH).multiplier.depth
            departure = _departure(rule, entry.geometry, entry.role).at(width, width, 1.0)
            found[module] = moved[module] * depth**inside * departure
    return found


def _departure(rule: Rule, geometry: Geometry, role: Role) -> Powers:
    """A rate that the paper sets over the one that keeps updates of order one."""
    published = rule.published.get((geometry, role), {})
    if "lr" not in published:
        return Powers()
    derived = dataclasses.replace(rule, published={}).scaling(geometry, role).lr
    return published["lr"] / derived


def drawn_level(plan: Plan) -> frozenset[str]:
    """Modules whose output begins at one size, whatever the width: all matrices but readouts.

    Indices of blocks are replaced by `*`.
    """
    return frozenset(
        without_indices(entry.name.rpartition(".")[0]) for entry in plan if _is_level(entry)
    )


def _is_level(entry: ParameterPlan) -> bool:
    return entry.role in (Role.INPUT, Role.HIDDEN) and len(entry.shape) > 1


def _applied_by_the_model(declarations: Declarations, module: str) -> Powers:
    own = Powers()
    for pattern, powers in declarations.multipliers:
        if below(pattern).fullmatch(module):
            own *= powers
    return own


def _modules(plan: Plan, patterns: tuple[str, ...]) -> frozenset[str]:
    """Modules that hold what is declared, themselves or one of their parameters."""
    return frozenset(
        entry.name.rpartition(".")[0]
        for entry in plan
        if any(declares(pattern, entry.name) for pattern in patterns)
    )


def _ratios(plan: Plan) -> tuple[float, float]:
    """Width and depth at the target over base's."""
    return plan.target.width / plan.base.width, plan.target.depth / plan.base.depth
