"""Derive a rule's learning rates, epsilons and decays from its gauge and an alignment.

A layer computes `y = M * (W x)`, where the entries of W have standard deviation s, and M and s are
powers of its fan-in and fan-out. Its update must change y by an amount of order one, whatever the
width (Yang et al. 2022, arXiv 2203.03466, appendix J; Everett et al. 2024, arXiv 2407.05872,
section 3). By how much an update of W changes y depends on the optimizer's geometry and on how
well update and input are aligned: products of entries add up as fan_in ** alignment. So with

- sign updates (Adam), whose entries are of order one: `lr ~ 1 / (M fan_in^a)`;
- the gradient itself (SGD), whose entries are `M d`, d being the gradient at y: `lr ~ 1 / (M^2 d
  fan_in^a)`;
- updates relative to the weights (Adafactor): `lr ~ 1 / (M s fan_in^a)`;
- updates with singular values of order one (Muon; Shampoo in one block): an input keeps
  its length, spread over fan_out entries instead of fan_in: `lr ~ sqrt(fan_out / fan_in) / M`
  (Yang et al. 2023, arXiv 2310.17813; 2512.05620).

Adam's epsilon follows the gradient, `M d`. The least size that a relative update takes weights to
have follows their own, s: where they start at zero it takes the place of their size.

d is what the readout passes back, `M s` of the readout as a power of its fan-in, hence of the
fan-out of whatever is before it. At the readout itself, which does not grow, it is of order one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from windtunnel.parametrization.rule import BLOCK, BRANCH, Scaling
from windtunnel.scale import NONE, Geometry, Powers, Role

if TYPE_CHECKING:
    from windtunnel.parametrization.rule import Rule


def derive(rule: Rule, geometry: Geometry, kind: Role | str) -> Scaling:
    """How a role scales under a rule, or what is added for a `block` or `branch`.

    Args:
        rule: Its gauge, and what its rates follow from.
        geometry: What the optimizer's update does to sizes.
        kind: A role, `block` or `branch`.
    """
    if kind == BRANCH:
        return Scaling(multiplier=_to_depth(-rule.branch if rule.branch else 0.0))
    if kind == BLOCK:
        return _block(rule, geometry)
    role = Role(kind)
    gauge = rule.layers.get(role, Scaling())
    if role is Role.SCALAR:
        return gauge
    lr = _growing(role, _rate(rule, geometry, role, gauge))
    eps = NONE
    if rule.epsilon == "gradient" and geometry is Geometry.SIGN:
        eps = _growing(role, gauge.multiplier * _gradient_at_output(rule, role))
    if rule.alignment is not None and geometry is Geometry.RELATIVE:
        eps = gauge.init  # a least size of weights, not of gradients
    published = rule.published.get((geometry, role), {})
    lr = published.get("lr", lr)
    return Scaling(
        init=gauge.init,
        multiplier=gauge.multiplier,
        lr=lr,
        weight_decay=published.get("weight_decay", _decay(rule, lr)),
        eps=published.get("eps", eps),
    )


def _rate(rule: Rule, geometry: Geometry, role: Role, gauge: Scaling) -> Powers:
    if rule.alignment is None:
        return NONE
    added_up = Powers(fan_in=rule.alignment[role])
    match geometry:
        case Geometry.SIGN:
            change = gauge.multiplier * added_up
        case Geometry.SGD:
            gradient = gauge.multiplier * _gradient_at_output(rule, role)
            change = gauge.multiplier * gradient * added_up
        case Geometry.RELATIVE:
            change = gauge.multiplier * gauge.init * added_up
        case Geometry.ORTHOGONAL | Geometry.KRONECKER:
            change = gauge.multiplier * Powers(fan_in=0.5, fan_out=-0.5)
    return NONE / change


def _growing(role: Role, powers: Powers) -> Powers:
    """The powers of what grows with width in this role; the rest is one."""
    return Powers(
        fan_in=powers.fan_in if role in (Role.HIDDEN, Role.OUTPUT, Role.BOTTLENECK) else 0.0,
        fan_out=powers.fan_out if role in (Role.HIDDEN, Role.INPUT, Role.VECTOR) else 0.0,
    )


def _gradient_at_output(rule: Rule, role: Role) -> Powers:
    """Entries of the loss' gradient at the layer's output."""
    readout = rule.layers.get(Role.OUTPUT, Scaling())
    return Powers(fan_out=(readout.multiplier * readout.init).fan_in)


def _decay(rule: Rule, lr: Powers) -> Powers:
    """Decay beside a rate; torch multiplies the two."""
    if rule.weight_decay == "one":
        return NONE
    share = 0.5 if rule.weight_decay == "sqrt" else 1.0
    return Powers(-share * lr.fan_in, -share * lr.fan_out, -share * lr.depth)


def _block(rule: Rule, geometry: Geometry) -> Scaling:
    """What depth adds inside the residual stack, with each branch divided by depth^b.

    The changes of L branches point the same way and add up to `L * L^-b` times one branch's, which
    must be of order one: it is of order L^(b - 1). Gradients inside a branch are divided by L^b
    as well (Dey et al. 2025, arXiv 2505.01618, table 1; Yang et al. 2023, arXiv 2310.02244).
    """
    if rule.branch is None:
        return Scaling()
    change = rule.branch - 1
    if geometry is Geometry.SGD:
        change += rule.branch
    follows = rule.epsilon == "gradient" and geometry is Geometry.SIGN
    rate = change if rule.block_rates and rule.alignment is not None else 0.0
    return Scaling(
        lr=_to_depth(rate),
        weight_decay=_to_depth(-rate if rule.block_decay else 0.0),
        eps=_to_depth(-rule.branch if follows else 0.0),
    )


def _to_depth(power: float) -> Powers:
    return Powers(depth=power) if power else NONE
