"""The plan is data keyed by name: it survives whatever a model goes through."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from windtunnel.errors import WindtunnelError
from windtunnel.models.gpt import GPTFamily
from windtunnel.parametrization.apply import apply_
from windtunnel.parametrization.groups import clip_gradients_, param_groups
from windtunnel.parametrization.plan import Plan, plan
from windtunnel.scale import Scale

BASE, TARGET = Scale(16, 2), Scale(32, 3)
FAMILY = GPTFamily(vocabulary_size=32, head_size=8)
TIED = GPTFamily(vocabulary_size=32, head_size=8, tied=True)
PLAN = plan(FAMILY, BASE, TARGET, "completep")


def planned_model(family: GPTFamily = FAMILY, planned: Plan = PLAN) -> nn.Module:
    torch.manual_seed(0)
    model = family.build(TARGET)
    apply_(model, planned, family=family, init_seed=0)
    return model


def batch(step: int) -> tuple[Tensor, Tensor]:
    tokens = torch.randint(32, (2, 9), generator=torch.Generator().manual_seed(step))
    return tokens[:, :-1], tokens[:, 1:]


def losses(model: nn.Module, planned: Plan = PLAN, steps: int = 4) -> list[float]:
    groups = param_groups(model, planned, lr=0.01, weight_decay=0.1, eps=1e-4)
    optimizer = torch.optim.AdamW(groups)
    found = []
    for step in range(steps):
        optimizer.zero_grad()
        loss = FAMILY.loss(model, batch(step))
        loss.backward()
        clip_gradients_(model, planned, 0.5)
        optimizer.step()
        found.append(loss.item())
    return found


EXPECTED = losses(planned_model())


def compiled(model: nn.Module) -> nn.Module:
    # "eager": the graph is captured, so that a break in it shows, and names are wrapped, which is
    # all a plan could mind; Inductor would add a minute and a C++ compiler.
    return torch.compile(model, fullgraph=True, backend="eager")


def checkpointed(model: nn.Module) -> nn.Module:
    for index, block in enumerate(model.blocks):
        model.blocks[index] = checkpoint_wrapper(block)
    return model


def exported(model: nn.Module) -> nn.Module:
    return torch.export.export(model, (batch(0)[0],)).module()


def assigned(model: nn.Module) -> nn.Module:
    with torch.device("meta"):
        empty = FAMILY.build(TARGET)
    empty.load_state_dict(model.state_dict(), assign=True)
    return empty


def from_safetensors(model: nn.Module) -> nn.Module:
    safetensors = pytest.importorskip("safetensors.torch")
    saved = safetensors.save(dict(model.state_dict()))
    loaded = FAMILY.build(TARGET)
    loaded.load_state_dict(safetensors.load(saved))
    return loaded


def emptied(model: nn.Module) -> nn.Module:
    with torch.device("meta"):
        empty = FAMILY.build(TARGET)
    empty.to_empty(device="cpu")
    apply_(empty, PLAN, family=FAMILY, init_seed=0, replace=True)
    return empty


class InLightning(nn.Module):
    """A LightningModule holds the model as `model`."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.model(tokens)
        return logits


@pytest.mark.parametrize(
    "become",
    [
        copy.deepcopy,
        compiled,
        checkpointed,
        exported,
        assigned,
        from_safetensors,
        emptied,
        InLightning,
        nn.DataParallel,
        lambda model: compiled(InLightning(checkpointed(copy.deepcopy(model)))),
        lambda model: nn.DataParallel(compiled(model)),
    ],
)
def test_training_is_the_same(become: Callable[[nn.Module], nn.Module]) -> None:
    assert losses(become(planned_model())) == pytest.approx(EXPECTED, rel=1e-5)


@pytest.mark.parametrize(
    "become",
    [compiled, checkpointed, InLightning, lambda m: InLightning(compiled(checkpointed(m)))],
)
def test_a_wrapped_model_is_drawn_alike(become: Callable[[nn.Module], nn.Module]) -> None:
    torch.manual_seed(1)
    wrapped = become(FAMILY.build(TARGET))
    apply_(wrapped, PLAN, family=FAMILY, init_seed=0)
    expected = planned_model().parameters()
    assert all(torch.equal(a, b) for a, b in zip(wrapped.parameters(), expected, strict=True))


def test_an_average_of_weights_keeps_the_names() -> None:
    model = planned_model()
    average = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9)
    )
    average.update_parameters(model)
    assert losses(average.module) == pytest.approx(EXPECTED, rel=1e-5)
    of_average, of_model = (param_groups(m, PLAN, lr=1.0) for m in (average, model))
    assert [g["lr"] for g in of_average] == [g["lr"] for g in of_model]
    assert [[p.shape for p in g["params"]] for g in of_average] == [
        [p.shape for p in g["params"]] for g in of_model
    ]


def test_a_tied_model_survives_to_empty_and_assign() -> None:
    planned = plan(TIED, BASE, TARGET, "completep")
    model = planned_model(TIED, planned)
    expected = losses(copy.deepcopy(model), planned)
    with torch.device("meta"):
        empty, assigned = TIED.build(TARGET), TIED.build(TARGET)
    empty.to_empty(device="cpu")
    apply_(empty, planned, family=TIED, init_seed=0, replace=True)
    assigned.load_state_dict(model.state_dict(), assign=True)
    assert losses(empty, planned) == losses(assigned, planned) == expected


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_a_change_of_dtype_rounds_the_same_values(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = FAMILY.build(TARGET).to(dtype)
    apply_(model, PLAN, family=FAMILY, init_seed=0)
    for found, expected in zip(model.parameters(), planned_model().parameters(), strict=True):
        assert torch.equal(found, expected.to(dtype))
    if dtype is torch.float64:
        assert losses(model) == pytest.approx(EXPECTED, rel=1e-4)


def step_taken(groups: list[dict], loss: Tensor) -> None:
    loss.backward()
    torch.optim.SGD(groups).step()


def test_functional_call_takes_parameters_that_the_plan_has_drawn() -> None:
    model, (inputs, targets) = planned_model(), batch(0)
    values = {name: p.detach().clone().requires_grad_() for name, p in model.named_parameters()}
    groups = [{"params": [value], "lr": 0.1 * PLAN[name].lr} for name, value in values.items()]
    logits = torch.func.functional_call(model, values, (inputs,))
    step_taken(groups, nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten()))
    single = param_groups(model, PLAN, lr=0.1, weight_decay=None, eps=None)
    step_taken(single, FAMILY.loss(model, (inputs, targets)))
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(values[name], parameter)


def test_stacked_members_under_vmap_train_as_single_ones() -> None:
    members = []
    for seed in (0, 1):
        model = FAMILY.build(TARGET)
        apply_(model, PLAN, family=FAMILY, init_seed=seed)
        members.append(model)
    inputs, targets = batch(0)
    stacked, _ = torch.func.stack_module_state(members)
    skeleton = FAMILY.build(TARGET)

    def loss(values: dict[str, Tensor]) -> Tensor:
        logits = torch.func.functional_call(skeleton, values, (inputs,))
        return nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())

    groups = [{"params": [value], "lr": 0.1 * PLAN[name].lr} for name, value in stacked.items()]
    step_taken(groups, torch.func.vmap(loss)(stacked).sum())
    for index, model in enumerate(members):
        single = param_groups(model, PLAN, lr=0.1, weight_decay=None, eps=None)
        step_taken(single, FAMILY.loss(model, (inputs, targets)))
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(stacked[name][index], parameter, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("normalise", [weight_norm, spectral_norm])
def test_torch_parametrizations_are_refused_by_name(normalise: Callable[..., nn.Module]) -> None:
    """They rescale the weight they are given: its spread and its rate mean something else."""

    def plain(width: int, depth: int) -> nn.Module:
        return nn.Sequential(nn.Linear(width, width))

    def normalised(width: int, depth: int) -> nn.Module:
        return nn.Sequential(normalise(nn.Linear(width, width)))

    for build in (plain, normalised):
        with pytest.raises(
            WindtunnelError, match=r"0\.parametrizations\.weight\.original.*rescales"
        ):
            param_groups(normalised(16, 1), plan(build, Scale(8, 1), Scale(16, 1)), lr=1.0)
    stripped = normalised(16, 1)
    nn.utils.parametrize.remove_parametrizations(stripped[0], "weight")
    param_groups(stripped, plan(plain, Scale(8, 1), Scale(16, 1)), lr=1.0)
