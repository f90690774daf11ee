"""Gauges of one rule are one rule: the model trains to the same outputs in float64."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from windtunnel.models.family import Declarations
from windtunnel.models.function import FunctionFamily
from windtunnel.parametrization.groups import clip_gradients_, param_groups
from windtunnel.parametrization.plan import plan
from windtunnel.parametrization.rule import load_rule
from windtunnel.scale import Geometry, Role, Scale

BASE, TARGET = Scale(8, 2), Scale(32, 2)
M = TARGET.width / BASE.width
LR, DECAY, EPS, CLIP = 0.02, 0.3, 1e-3, 0.05
LEAST = 0.3  # about half of the parameters are drawn smaller, so that both sides of it are tried


class Net(nn.Module):
    """An MLP with a forward multiplier, so that Table 8 can be written as the paper has it."""

    def __init__(self, width: int, multiplier: float = 1.0) -> None:
        super().__init__()
        self.first = nn.Linear(6, width)
        self.hidden = nn.Linear(width, width)
        self.last = nn.Linear(width, 3, bias=False)
        self.multiplier = multiplier

    def forward(self, x: Tensor) -> Tensor:
        return self.multiplier * self.last(torch.relu(self.hidden(torch.relu(self.first(x)))))


class TiedNet(nn.Module):
    """A language model in miniature whose head is its embedding."""

    def __init__(self, width: int, multiplier: float = 1.0) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, width)
        self.hidden = nn.Linear(width, width)
        self.final_norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 11, bias=False)
        self.head.weight = self.embedding.weight
        self.multiplier = multiplier

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.embedding(x)
        hidden = hidden + torch.relu(self.hidden(hidden))
        return self.multiplier * self.head(self.final_norm(hidden))


class ResidualNet(nn.Module):
    """Blocks whose branches may carry an explicit multiplier."""

    def __init__(self, width: int, depth: int, multiplier: float = 1.0) -> None:
        super().__init__()
        self.first = nn.Linear(6, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.ReLU()).append(
                nn.Linear(width, width)
            )
            for _ in range(depth)
        )
        self.last = nn.Linear(width, 3)
        self.multiplier = multiplier

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x)
        for block in self.blocks:
            hidden = hidden + self.multiplier * block(hidden)
        return self.last(hidden)


def train(model: nn.Module, groups: list[dict], clip, inputs: Tensor, targets: Tensor) -> Tensor:
    """Outputs after a few steps of AdamW with decay, epsilon and clipping all at work."""
    optimizer = torch.optim.AdamW(groups, lr=LR, weight_decay=DECAY, eps=EPS)
    for _ in range(8):
        optimizer.zero_grad()
        F.cross_entropy(model(inputs), targets).backward()
        assert float(clip(model)) > CLIP  # otherwise clipping isn't tested
        optimizer.step()
    return model(inputs).detach()


def by_hand(model: nn.Module, settings: dict[str, tuple[float, float, float]]) -> list[dict]:
    """Groups from (rate, decay, epsilon) factors that the test writes down itself."""
    return [
        {
            "params": [parameter],
            "lr": LR * settings[name][0],
            "weight_decay": DECAY * settings[name][1],
            "eps": EPS * settings[name][2],
        }
        for name, parameter in model.named_parameters()
    ]


def plain_clip(model: nn.Module) -> Tensor:
    return nn.utils.clip_grad_norm_(model.parameters(), CLIP)


def assert_same(a: Tensor, b: Tensor) -> None:
    assert float((a - b).abs().max() / b.abs().max()) < 1e-12


def test_mup_equals_table_8_written_with_its_forward_multiplier() -> None:
    torch.manual_seed(0)
    inputs, targets = torch.randn(16, 6).double(), torch.randint(3, (16,))
    table8 = Net(TARGET.width, multiplier=1 / M).double()
    ours = Net(TARGET.width).double()
    ours.load_state_dict(table8.state_dict())
    with torch.no_grad():
        ours.last.weight.mul_(1 / M)
    vector, hidden = (1.0, 1.0, 1 / M), (1 / M, M, 1 / M)
    settings = {
        "first.weight": vector,
        "first.bias": vector,
        "hidden.weight": hidden,
        "hidden.bias": vector,
        "last.weight": (1.0, 1.0, 1 / M),
    }
    planned = plan(lambda width, depth: Net(width), BASE, TARGET, "mup")
    expected = train(table8, by_hand(table8, settings), plain_clip, inputs, targets)
    groups = param_groups(ours, planned, lr=LR, weight_decay=DECAY, eps=EPS)
    found = train(ours, groups, lambda m: clip_gradients_(m, planned, CLIP), inputs, targets)
    assert_same(found, expected)


ROLES = {
    "first.weight": Role.INPUT,
    "first.bias": Role.VECTOR,
    "hidden.weight": Role.HIDDEN,
    "hidden.bias": Role.VECTOR,
    "last.weight": Role.OUTPUT,
}
OPTIMIZERS = {
    Geometry.SIGN: lambda groups: torch.optim.AdamW(groups),
    Geometry.SGD: lambda groups: torch.optim.SGD(groups, momentum=0.9),
    Geometry.RELATIVE: lambda groups: torch.optim.Adafactor(groups),
}


def in_its_own_gauge(rule: str, geometry: Geometry, inputs: Tensor, targets: Tensor) -> Tensor:
    """Train with the rule's multipliers in the forward pass, as its paper writes it."""

    def at(quantity: str, name: str, of: str = rule) -> float:
        powers = getattr(load_rule(of).scaling(geometry, ROLES[name]), quantity)
        return powers.at(M, M, 1.0)

    torch.manual_seed(0)
    weights, groups = {}, []
    for name, parameter in Net(TARGET.width).named_parameters():
        drawn = torch.randn(parameter.shape, dtype=torch.float64) * 0.3 * at("init", name)
        weights[name] = drawn.requires_grad_()
        rates = {"lr": LR * at("lr", name), "weight_decay": DECAY * at("weight_decay", name)}
        if geometry is Geometry.SIGN:
            rates["eps"] = EPS * at("eps", name)
        if geometry is Geometry.RELATIVE:
            rates["eps"] = (None, LEAST * at("eps", name))
        groups.append({"params": [weights[name]], **rates})
    optimizer = OPTIMIZERS[geometry](groups)

    def model() -> Tensor:
        w = {name: at("multiplier", name) * weight for name, weight in weights.items()}
        x = torch.relu(inputs @ w["first.weight"].T + w["first.bias"])
        return torch.relu(x @ w["hidden.weight"].T + w["hidden.bias"]) @ w["last.weight"].T

    clipped_as = load_rule(rule).clipping or rule
    for _ in range(8):
        optimizer.zero_grad()
        F.cross_entropy(model(), targets).backward()
        norms = [
            w.grad.norm() * at("multiplier", name, clipped_as) / at("multiplier", name)
            for name, w in weights.items()
        ]
        norm = torch.stack(norms).norm()
        assert float(norm) > CLIP
        for weight in weights.values():
            weight.grad.mul_(CLIP / (norm + 1e-6))
        optimizer.step()
    return model().detach()


def planned(rule: str, geometry: Geometry, inputs: Tensor, targets: Tensor) -> Tensor:
    """Train the unmodified model under the rule's plan, from the same function."""
    entries = plan(lambda width, depth: Net(width), BASE, TARGET, rule, geometry)
    torch.manual_seed(0)
    model = Net(TARGET.width).double()
    for name, parameter in model.named_parameters():
        drawn = torch.randn(parameter.shape, dtype=torch.float64) * 0.3
        parameter.data.copy_(drawn * entries[name].init)
    eps = {Geometry.SIGN: EPS, Geometry.SGD: None, Geometry.RELATIVE: (None, LEAST)}[geometry]
    groups = param_groups(model, entries, lr=LR, weight_decay=DECAY, eps=eps)
    optimizer = OPTIMIZERS[geometry](groups)
    for _ in range(8):
        optimizer.zero_grad()
        F.cross_entropy(model(inputs), targets).backward()
        assert float(clip_gradients_(model, entries, CLIP)) > CLIP
        optimizer.step()
    return model(inputs).detach()


@pytest.mark.parametrize("geometry", OPTIMIZERS)
@pytest.mark.parametrize(
    "rules",
    [
        ("mup", "mup-table-3", "mup-table-9", "mean-field"),
        ("sp-full-alignment", "ntk-full-alignment"),
    ],
    ids=["mup and mean-field", "standard and NTK"],
)
def test_every_gauge_trains_the_same_function(rules: tuple[str, ...], geometry: Geometry) -> None:
    """With decay, epsilon and clipping on, to 1e-12; and so does the plan, without multipliers."""
    torch.manual_seed(1)
    inputs, targets = torch.randn(16, 6).double(), torch.randint(3, (16,))
    expected = in_its_own_gauge(rules[0], geometry, inputs, targets)
    for rule in rules:
        assert_same(in_its_own_gauge(rule, geometry, inputs, targets), expected)
        assert_same(planned(rule, geometry, inputs, targets), expected)
    other = planned("sp", geometry, inputs, targets)
    assert float((other - expected).abs().max()) > 1e-3


def test_mup_with_a_tied_head_equals_a_multiplier_after_the_head() -> None:
    torch.manual_seed(0)
    inputs, targets = torch.randint(11, (16,)), torch.randint(11, (16,))
    explicit = TiedNet(TARGET.width, multiplier=1 / M).double()
    ours = TiedNet(TARGET.width).double()
    ours.load_state_dict(explicit.state_dict())
    with torch.no_grad():
        ours.final_norm.weight.mul_(1 / M)
        ours.final_norm.bias.mul_(1 / M)
    vector, hidden = (1.0, 1.0, 1 / M), (1 / M, M, 1 / M)
    settings = {name: vector for name, _ in explicit.named_parameters()}
    settings["hidden.weight"] = hidden
    declared = Declarations(tied_head_gain="final_norm.weight")
    family = FunctionFamily(lambda width, depth: TiedNet(width), None, declared)
    planned = plan(family, BASE, TARGET, "mup")
    expected = train(explicit, by_hand(explicit, settings), plain_clip, inputs, targets)
    groups = param_groups(ours, planned, lr=LR, weight_decay=DECAY, eps=EPS)
    found = train(ours, groups, lambda m: clip_gradients_(m, planned, CLIP), inputs, targets)
    assert_same(found, expected)


def test_completep_equals_branches_with_an_explicit_multiplier() -> None:
    torch.manual_seed(0)
    depth = 6
    ratio = depth / BASE.depth
    inputs, targets = torch.randn(16, 6).double(), torch.randint(3, (16,))
    explicit = ResidualNet(BASE.width, depth, multiplier=1 / ratio).double()
    ours = ResidualNet(BASE.width, depth).double()
    ours.load_state_dict(explicit.state_dict())
    with torch.no_grad():
        for block in ours.blocks:
            block[3].weight.mul_(1 / ratio)
            block[3].bias.mul_(1 / ratio)
    settings = {
        name: (1.0, 1.0, 1 / ratio if name.startswith("blocks") else 1.0)
        for name, _ in explicit.named_parameters()
    }
    declared = Declarations(branch_outputs=("blocks.*.3",), blocks="blocks.*")
    family = FunctionFamily(ResidualNet, None, declared)
    planned = plan(family, BASE, BASE.replace(depth=depth), "completep")
    expected = train(explicit, by_hand(explicit, settings), plain_clip, inputs, targets)
    groups = param_groups(ours, planned, lr=LR, weight_decay=DECAY, eps=EPS)
    found = train(ours, groups, lambda m: clip_gradients_(m, planned, CLIP), inputs, targets)
    assert_same(found, expected)
