"""Why a rule can't be resolved for a model: each refusal names the parameter and the remedy."""

from __future__ import annotations

from collections.abc import Sequence

from windtunnel.errors import WindtunnelError
from windtunnel.models.family import Declarations
from windtunnel.optimizers.method import OptimizerMethod
from windtunnel.parametrization.names import declares, matches
from windtunnel.parametrization.roles import Kind
from windtunnel.parametrization.rule import BLOCK, BRANCH, Rule, Scaling
from windtunnel.parametrization.tied import tied_head, tied_rates
from windtunnel.scale import Geometry, Scale


def refuse_misfits(
    rule: Rule,
    method: OptimizerMethod,
    declared: Declarations,
    base: Scale,
    target: Scale,
    kinds: Sequence[Kind],
) -> None:
    """Refuse a model that the rule can't place, or lacks a declaration for.

    Args:
        rule: What is to be resolved.
        method: What trains the model.
        declared: What is declared of the model.
        base: Scale at which the recipe is quoted.
        target: Scale of the model to be trained.
        kinds: Its parameters.

    Raises:
        WindtunnelError: The message names the parameter or declaration, and what to do.
    """
    names = [kind.name for kind in kinds]
    _refuse_unknown_names(declared, names)
    if base.width != target.width:
        _refuse_tied_head(rule, method, declared, kinds)
        _refuse_undeclared_queries(rule, declared)
    if base.depth != target.depth:
        _refuse_undeclared_branches(rule, method, declared)
    if (base.width, base.depth) != (target.width, target.depth):
        _refuse_scaled_gradients(rule, method, declared)


def _refuse_unknown_names(declared: Declarations, names: Sequence[str]) -> None:
    patterns = {
        "branch_outputs": declared.branch_outputs,
        "queries": declared.queries,
        "multipliers": tuple(pattern for pattern, _ in declared.multipliers),
    }
    for field, found in patterns.items():
        for pattern in found:
            if not any(declares(pattern, name) for name in names):
                raise WindtunnelError(
                    f"declarations.{field}: no module with parameters is called '{pattern}'"
                )
    blocks = declared.blocks
    if blocks is not None and not any(matches(blocks, name) for name in names):
        raise WindtunnelError(f"declarations.blocks: no parameter is below '{blocks}'")


def _refuse_tied_head(
    rule: Rule, method: OptimizerMethod, declared: Declarations, kinds: Sequence[Kind]
) -> None:
    gain = declared.tied_head_gain
    if gain is not None and all(kind.name != gain for kind in kinds):
        raise WindtunnelError(f"declarations.tied_head_gain: no parameter is called '{gain}'")
    head = next((kind for kind in kinds if kind.tied_head), None)
    if gain is not None and head is None:
        raise WindtunnelError(
            f"declarations.tied_head_gain: '{gain}' is declared but no head is tied to an "
            "embedding; drop the declaration"
        )
    if head is None:
        return
    as_embedding, as_readout = tied_rates(rule, (method.elsewhere or method).geometry)
    if as_embedding != as_readout:
        raise WindtunnelError(
            f"{head.name}: tied with {', '.join(head.names[1:])}, and rule '{rule.name}' needs "
            "another rate for a readout than for a table; untie them, or use mup"
        )
    if gain is None and tied_head(rule):
        raise WindtunnelError(
            f"{head.name}: tied with {', '.join(head.names[1:])}, so the readout's multiplier "
            "can't go into it; declare Declarations(tied_head_gain=...), the final norm's gain "
            "that only the head reads"
        )


def _refuse_undeclared_queries(rule: Rule, declared: Declarations) -> None:
    if declared.head_growth and rule.attention and not declared.queries:
        raise WindtunnelError(
            f"rule '{rule.name}' scales attention where heads grow, and the queries are not "
            "known; declare Declarations(queries=('blocks.*.query', ...)), or keep the head size "
            "fixed and let the number of heads grow"
        )


def _refuse_undeclared_branches(
    rule: Rule, method: OptimizerMethod, declared: Declarations
) -> None:
    block = rule.scaling(method.geometry, BLOCK)
    branch = rule.scaling(method.geometry, BRANCH)
    if block != Scaling() and declared.blocks is None:
        raise WindtunnelError(
            f"rule '{rule.name}' scales residual blocks with depth and none are known; declare "
            "Declarations(blocks='blocks.*')"
        )
    if branch != Scaling() and not declared.branch_outputs:
        raise WindtunnelError(
            f"rule '{rule.name}' scales residual branches with depth and none are known; declare "
            "Declarations(branch_outputs=('blocks.*.down', ...)), the last linear module of each "
            "branch"
        )


def _refuse_scaled_gradients(rule: Rule, method: OptimizerMethod, declared: Declarations) -> None:
    """Rates for the gradient itself follow from its size, and this model changes it."""
    if declared.scaled_gradients and method.geometry is Geometry.SGD and rule.alignment is not None:
        raise WindtunnelError(
            f"optimizer '{method.name}' moves weights by their gradients, which the model's "
            f"unit-scaled operations rescale, so the rates of rule '{rule.name}' don't hold for "
            "it; use adamw, or turn family.options.unit_scaled off"
        )
