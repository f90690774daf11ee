from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from windtunnel.errors import WindtunnelError
from windtunnel.models.family import Declarations
from windtunnel.models.function import FunctionFamily
from windtunnel.models.gpt import GPTFamily
from windtunnel.optimizers import optimizer_method
from windtunnel.optimizers.method import OptimizerMethod
from windtunnel.parametrization.expectations import own_updates
from windtunnel.parametrization.plan import Plan, plan
from windtunnel.parametrization.rule import load_rule
from windtunnel.scale import Geometry, Powers, Role, Scale

BASE = Scale(32, 2)


def gpt(**options) -> GPTFamily:
    return GPTFamily(vocabulary_size=64, **options)


def factors(p: Plan, name: str) -> tuple[float, ...]:
    entry = p[name]
    return (entry.init, entry.lr, entry.weight_decay, entry.eps, entry.gauge)


def test_roles_of_gpt() -> None:
    p = plan(gpt(qk_norm=True, query_groups=2), BASE, Scale(128, 4), "mup")
    roles = {entry.name.split(".", 2)[-1] if "blocks" in entry.name else entry.name: entry.role
             for entry in p}  # fmt: skip
    assert roles["embedding.weight"] is Role.INPUT
    assert roles["head.weight"] is Role.OUTPUT
    assert roles["final_norm.weight"] is roles["mlp_norm.weight"] is Role.VECTOR
    assert roles["attention.query_norm.weight"] is Role.SCALAR
    matrices = ("attention.query", "attention.key", "attention.output", "mlp.up", "mlp.down")
    assert all(roles[f"{matrix}.weight"] is Role.HIDDEN for matrix in matrices)
    assert all(entry.residual == entry.name.startswith("blocks.") for entry in p)


def test_mup_factors_at_four_times_the_width() -> None:
    p = plan(gpt(), BASE, Scale(128, 2), "mup")
    assert factors(p, "embedding.weight") == (1, 1, 1, 1 / 4, 1)
    assert factors(p, "blocks.0.mlp.down.weight") == (1 / 2, 1 / 4, 4, 1 / 4, 1)
    assert factors(p, "blocks.1.mlp_norm.weight") == (1, 1, 1, 1 / 4, 1)
    assert factors(p, "head.weight") == (1 / 4, 1 / 4, 4, 1, 1 / 4)


def test_a_tied_head_puts_its_multiplier_into_the_final_norm() -> None:
    """The trap of mup's MuSharedReadout: there the shared table grows with width."""
    p = plan(gpt(tied=True), BASE, Scale(128, 2), "mup")
    assert p["embedding.weight"].also == ("head.weight",)
    assert factors(p, "embedding.weight") == (1, 1, 1, 1 / 4, 1)
    assert factors(p, "final_norm.weight") == (1 / 4, 1 / 4, 4, 1, 1 / 4)
    assert factors(plan(gpt(tied=True), BASE, Scale(128, 2), "sp"), "final_norm.weight") == (1,) * 5


def test_a_tied_head_has_one_plan_in_every_gauge_of_mup() -> None:
    expected = plan(gpt(tied=True), BASE, Scale(128, 2), "mup")
    for rule in ("mup-table-3", "mup-table-9", "spectral"):
        found = plan(gpt(tied=True), BASE, Scale(128, 2), rule)
        assert all(factors(found, e.name) == factors(expected, e.name) for e in expected)


@pytest.mark.parametrize(
    ("rule", "optimizer"),
    [
        ("sp-full-alignment", "adamw"),
        ("ntk-full-alignment", "adamw"),
        ("mup-no-alignment", "adamw"),
        ("u-mup", "adamw"),  # its embedding's rate, 1/sqrt(width), is published and no readout's
        ("u-mup", "muon"),  # whose tables AdamW moves
    ],
)
def test_a_tied_head_is_refused_where_its_two_rates_differ(rule: str, optimizer: str) -> None:
    with pytest.raises(WindtunnelError, match=r"embedding\.weight: tied with head.*untie them"):
        plan(gpt(tied=True), BASE, Scale(128, 2), rule, optimizer)
    plan(gpt(tied=True), BASE, BASE, rule, optimizer)  # at base there is nothing to refuse


def test_a_tied_head_is_planned_where_no_rate_is_published() -> None:
    """In SGD's and Adafactor's geometry u-muP is mup in another gauge."""
    for optimizer in ("sgd", "adafactor"):
        found = plan(gpt(tied=True), BASE, Scale(128, 2), "u-mup", optimizer)
        expected = plan(gpt(tied=True), BASE, Scale(128, 2), "mup", optimizer)
        assert all(factors(found, e.name)[:4] == factors(expected, e.name)[:4] for e in expected)


def test_unit_scaled_operations_are_refused_where_rates_follow_from_the_gradient() -> None:
    unit_scaled = gpt(unit_scaled=True)
    for target in (Scale(128, 2), Scale(32, 8)):
        with pytest.raises(WindtunnelError, match=r"optimizer 'sgd'.*use adamw, or turn"):
            plan(unit_scaled, BASE, target, "u-mup", "sgd")
    for rule, optimizer in (("u-mup", "adamw"), ("u-mup", "adafactor"), ("sp", "sgd")):
        plan(unit_scaled, BASE, Scale(128, 2), rule, optimizer)
    plan(unit_scaled, BASE, BASE, "u-mup", "sgd")
    found, expected = (plan(gpt(), BASE, Scale(128, 2), r, "sgd") for r in ("u-mup", "mup"))
    assert all(factors(found, e.name)[:4] == factors(expected, e.name)[:4] for e in expected)


def test_the_least_size_of_a_relative_update_follows_the_parameter() -> None:
    """Else what starts at zero moves by it, at every width alike."""
    p = plan(gpt(), BASE, Scale(128, 8), "completep", "adafactor")
    assert all(entry.eps == entry.init for entry in p)
    assert p["head.weight"].eps == 1 / 4
    assert p["blocks.0.mlp.down.weight"].eps == 1 / 8


class Heads(nn.Module):
    """Two heads whose size grows, their queries separate."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.query_norm = nn.RMSNorm(width // 2)
        self.first, self.last = nn.Linear(5, width), nn.Linear(width, 3)


def test_growing_heads_move_the_attention_s_scale_into_the_queries() -> None:
    """Yang et al. 2022, definition 4.1: q k / d, and the model itself has q k / sqrt(d)."""
    build = FunctionFamily(lambda width, depth: Heads(width))
    grown = replace(build, declarations=Declarations(queries=("query",), head_growth=1.0))
    p = plan(grown, Scale(8, 1), Scale(32, 1), "mup")
    assert factors(p, "query.weight") == (1 / 2 / 2, 1 / 4 / 2, 4 * 2, 1 / 4 * 2, 1 / 2)
    assert factors(p, "query.bias") == (1 / 2, 1 / 2, 2, 1 / 4 * 2, 1 / 2)
    assert factors(p, "key.weight") == (1 / 2, 1 / 4, 4, 1 / 4, 1)
    normed = replace(build, declarations=Declarations(queries=("query_norm",), head_growth=1.0))
    q = plan(normed, Scale(8, 1), Scale(32, 1), "mup")
    assert factors(q, "query_norm.weight") == (1 / 2, 1 / 2, 2, 1 / 4 * 2, 1 / 2)
    assert factors(plan(grown, Scale(8, 1), Scale(32, 1), "sp"), "query.bias") == (1,) * 5
    unknown = replace(build, declarations=Declarations(head_growth=1.0))
    with pytest.raises(WindtunnelError, match=r"queries are not known.*declare Declarations"):
        plan(unknown, Scale(8, 1), Scale(32, 1), "mup")


def test_a_multiplier_of_the_model_s_own_is_not_applied_again() -> None:
    build = FunctionFamily(lambda width, depth: Heads(width))
    own = replace(build, declarations=Declarations(multipliers=(("last", Powers(fan_in=-1)),)))
    p = plan(own, Scale(8, 1), Scale(32, 1), "mup")
    assert factors(p, "last.weight") == (1, 1, 1, 1 / 4, 1)
    with pytest.raises(WindtunnelError, match=r"declarations\.multipliers: no module"):
        wrong = Declarations(multipliers=(("lost", Powers(fan_in=-1)),))
        plan(replace(build, declarations=wrong), Scale(8, 1), Scale(32, 1), "mup")


def test_an_optimizer_s_own_factor_is_not_applied_again() -> None:
    """Muon on hidden matrices only, its own rate growing as the longer side's square root."""
    muon = OptimizerMethod(
        name="muon-like",
        geometry=Geometry.ORTHOGONAL,
        elsewhere=optimizer_method("adamw"),
        own_factor=lambda shape: max(shape) ** 0.5,
    )
    p = plan(gpt(), BASE, Scale(128, 2), "mup", muon)
    hidden, plain = p["blocks.0.mlp.down.weight"], plan(gpt(), BASE, Scale(128, 2), "mup")
    assert hidden.geometry is Geometry.ORTHOGONAL
    assert hidden.lr == pytest.approx(1 / 4**0.5)  # 1 by the rule, over the optimizer's own 2
    assert hidden.lr * hidden.weight_decay == pytest.approx(1)
    assert plan(gpt(), BASE, Scale(128, 2), "sp", muon)["blocks.0.mlp.down.weight"].lr == 1
    for name in ("embedding.weight", "head.weight", "final_norm.weight"):
        assert p[name] == plain[name]
    assert p.optimizer == "muon-like"


def test_sp_and_mup_do_not_depend_on_depth() -> None:
    for rule in ("sp", "mup"):
        deep = plan(gpt(), BASE, Scale(32, 8), rule)
        assert all(factors(deep, entry.name) == (1,) * 5 for entry in deep)
        assert len(deep.parameters) > len(plan(gpt(), BASE, BASE, rule).parameters)


def test_completep_factors_at_four_times_the_depth() -> None:
    p = plan(gpt(), BASE, Scale(32, 8), "completep")
    assert factors(p, "blocks.5.mlp.up.weight") == (1, 1, 1, 1 / 4, 1)
    assert factors(p, "blocks.5.mlp.down.weight") == (1 / 4, 1 / 4, 4, 1, 1 / 4)
    assert factors(p, "blocks.5.attention.output.weight") == (1 / 4, 1 / 4, 4, 1, 1 / 4)
    assert factors(p, "blocks.5.mlp_norm.weight") == (1, 1, 1, 1 / 4, 1)
    assert factors(p, "head.weight") == factors(p, "embedding.weight") == (1,) * 5


def test_every_rule_changes_nothing_at_base_and_goes_through_json() -> None:
    for rule in ("sp", "mup", "completep"):
        p = plan(gpt(tied=True), BASE, BASE.replace(units=7), rule)
        assert p.is_identity
        assert all(factors(p, entry.name) == (1,) * 5 for entry in p)
    p = plan(gpt(tied=True), BASE, Scale(64, 3), "completep")
    assert not p.is_identity
    assert Plan.from_json(json.loads(json.dumps(p.to_json(), allow_nan=False))) == p


def test_a_plan_by_a_rule_of_ones_own_carries_it(tmp_path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('extends = "mup"\ntitle = "x"\nsource = "x"\nstatus = "x"\nrates.hidden = 0.5')
    p = plan(gpt(), BASE, Scale(128, 2), str(path))
    path.unlink()
    assert (p.rule, p["blocks.0.mlp.up.weight"].lr) == ("mine.toml", 1 / 2)
    assert Plan.from_json(json.loads(json.dumps(p.to_json()))) == p
    assert own_updates(p, gpt().declarations)  # what a check asks of the rule, without its file
    assert plan(gpt(), BASE, Scale(128, 2), load_rule(p.rule, p.rule_content)) == p
    assert "rule_content" not in plan(gpt(), BASE, BASE).to_json()


def test_planning_leaves_the_random_state_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    plan(gpt(), BASE, Scale(128, 4), "mup")
    assert torch.equal(torch.rand(3), expected)


def test_blocks_are_matched_by_place_whatever_their_index_means() -> None:
    """In this model the index of the readout depends on depth."""

    def build(width: int, depth: int) -> nn.Module:
        hidden = [nn.Linear(width, width) for _ in range(depth)]
        return nn.Sequential(nn.Linear(5, width), *hidden, nn.Linear(width, 3))

    p = plan(build, Scale(8, 1), Scale(16, 4), "mup")
    assert [p[f"{i}.weight"].role.value for i in range(6)] == ["input", *["hidden"] * 4, "output"]
    origins = [p[f"{i}.weight"].base_name for i in range(6)]
    assert origins == [f"{i}.weight" for i in (0, 1, 1, 1, 1, 2)]


def test_convolutions_and_vectors_of_any_shape_have_a_role() -> None:
    class Net(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.first = nn.Conv2d(3, width, 3)
            self.deep = nn.Conv2d(width, 2 * width, 3)
            self.depthwise = nn.Conv2d(2 * width, 2 * width, 3, groups=2 * width)
            self.up = nn.ConvTranspose2d(2 * width, 4, 2)
            self.token = nn.Parameter(torch.zeros(1, 1, width))
            self.attention = nn.MultiheadAttention(width, 2)
            self.fixed = nn.Linear(4, 4)

    p = plan(lambda width, depth: Net(width), Scale(8, 1), Scale(32, 1), "mup")
    roles = {entry.name: entry.role.value for entry in p}
    assert (roles["first.weight"], roles["depthwise.weight"]) == ("input", "vector")
    assert roles["deep.weight"] == roles["attention.in_proj_weight"] == "hidden"
    assert roles["up.weight"] == "output" and roles["up.bias"] == "scalar"
    assert roles["token"] == roles["deep.bias"] == "vector"
    assert roles["fixed.weight"] == "bottleneck"
    assert p["up.weight"].lr == 1 / 4


def test_wide_to_fixed_inside_a_block_is_no_readout() -> None:
    def build(width: int, depth: int) -> nn.Module:
        block = nn.ModuleList([nn.Linear(width, 4, bias=False), nn.Linear(4, width)])
        return nn.ModuleDict({"blocks": nn.ModuleList([block]), "head": nn.Linear(width, 4)})

    declared = Declarations(blocks="blocks.*")
    p = plan(build, Scale(8, 1), Scale(32, 1), "mup", declarations=declared)
    assert p["blocks.0.0.weight"].role is Role.BOTTLENECK
    assert factors(p, "blocks.0.0.weight") == (1 / 2, 1 / 4, 4, 1, 1)
    assert p["head.weight"].role is Role.OUTPUT


class Bare(nn.Module):
    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(shape))


def tied(width: int, depth: int) -> nn.Module:
    model = nn.ModuleDict({"embedding": nn.Embedding(5, width), "norm": nn.LayerNorm(width)})
    model["head"] = nn.Linear(width, 5, bias=False)
    model["head"].weight = model["embedding"].weight
    return model


def needs_values(width: int) -> nn.Module:
    return nn.Linear(3, width, bias=bool(torch.ones(1).item()))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda w, d: Bare(7, w), r"table \[7, 8\]: no role"),
        (lambda w, d: Bare(2, w, w), r"table \[2, 8, 8\]: no role"),
        (lambda w, d: nn.Embedding(w, 3), r"weight \[8, 3\]: no role.*rows"),
        (lambda w, d: nn.Conv1d(2, 2, w), "kernel grows"),
        (tied, "embedding.weight: tied with head.weight.*declare Declarations.tied_head_gain"),
        (lambda w, d: needs_values(w), r"build\(width=8, depth=1\): fails under torch.device"),
        (lambda w, d: nn.Linear(5 if w < 20 else 6, w), "weight: .*does not follow from"),
        (lambda w, d: nn.Linear(w, w, bias=w < 20), "bias: a parameter of"),
    ],
)
def test_what_cannot_be_placed_is_refused_by_name(build, message: str) -> None:
    with pytest.raises(WindtunnelError, match=message):
        plan(build, Scale(8, 1), Scale(32, 1), "mup")


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (Declarations(), r"declare Declarations\(blocks="),
        (Declarations(blocks="blocks.*"), "branch_outputs="),
        (Declarations(blocks="layers.*"), "no parameter is below 'layers"),
        (Declarations(blocks="blocks.*", branch_outputs=("blocks.*.nope",)), "is called 'blocks"),
        (Declarations(tied_head_gain="final_norm.weight"), "no head is tied"),
        (Declarations(tied_head_gain="nope"), "no parameter is called 'nope'"),
    ],
)
def test_missing_or_wrong_declarations_are_named(declared: Declarations, message: str) -> None:
    with pytest.raises(WindtunnelError, match=message):
        plan(gpt(), BASE, Scale(64, 4), "completep", declarations=declared)


def test_unknown_names_are_errors() -> None:
    with pytest.raises(WindtunnelError, match="no rule 'mu'"):
        plan(gpt(), BASE, BASE, "mu")
    with pytest.raises(WindtunnelError, match="no optimizer 'adamm'"):
        plan(gpt(), BASE, BASE, "mup", "adamm")
