"""What the rest of Windtunnel may ask of an optimizer."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from windtunnel.errors import WindtunnelError
from windtunnel.optimizers.update_rule import UpdateRule
from windtunnel.scale import Geometry, Recipe

if TYPE_CHECKING:
    from torch.optim import Optimizer


@dataclass(frozen=True, slots=True)
class OptimizerMethod:
    """An optimizer by name.

    Attributes:
        name: Name in the registry, `windtunnel.optimizers`.
        geometry: What its updates do to the sizes of hidden matrices: scaling rules are derived
            from it.
        rule: How it updates one parameter. None for a class of torch's that is known by its
            geometry alone.
        from_torch: Makes torch's own optimizer, where that is used: it is equal and faster.
        elsewhere: The method of all but hidden matrices, where that is another (Muon's AdamW).
        own_factor: From a matrix' shape to the factor that the optimizer itself puts on its rate:
            a plan divides by it, so that no shape is scaled twice.
        prepare: Turns a plan's epsilon into what the rule has in its place.
    """

    name: str
    geometry: Geometry
    rule: UpdateRule | None = None
    from_torch: Callable[[list[dict[str, Any]], Recipe], Optimizer] | None = None
    elsewhere: OptimizerMethod | None = None
    own_factor: Callable[[tuple[int, ...]], float] | None = None
    prepare: Callable[[list[dict[str, Any]], Recipe], list[dict[str, Any]]] | None = None

    def build(self, param_groups: list[dict[str, Any]], recipe: Recipe) -> Optimizer:
        """Make the torch optimizer.

        Args:
            param_groups: With `params`, `lr`, `weight_decay` and `eps`, already scaled by the
                plan, and the `method` of their parameters where it is not the same for all.
            recipe: Everything else.

        Raises:
            WindtunnelError: A group names a method that is no part of this one, or a
                parameter has a shape that it can't.
        """
        if self.elsewhere is None:
            return self._own(param_groups, recipe)
        from windtunnel.optimizers.classes.split import SplitOptimizer

        elsewhere = self.elsewhere
        return SplitOptimizer(
            param_groups,
            {
                self.name: lambda groups: self._own(groups, recipe),
                elsewhere.name: lambda groups: elsewhere.build(
                    groups, recipe.replace(optimizer_settings=())
                ),
            },
        )

    def check_settings(self, settings: Collection[str]) -> None:
        """Refuse settings that can't be set.

        Raises:
            WindtunnelError: One is none of the method's own, or the recipe sets it already.
        """
        rule = self.rule
        own = [] if rule is None else [n for n in rule.constants if n not in rule.from_recipe]
        for name in settings:
            if name not in own:
                has = f"it has {', '.join(own)}" if own else "it has none"
                raise WindtunnelError(
                    f"recipe.optimizer_settings.{name}: '{self.name}' has no such setting; {has}"
                )

    def _own(self, param_groups: list[dict[str, Any]], recipe: Recipe) -> Optimizer:
        own: dict[str, Any] = dict(recipe.optimizer_settings)
        self.check_settings(own)
        if self.from_torch is not None:
            return self.from_torch(param_groups, recipe)
        if self.rule is None:
            raise WindtunnelError(
                "optimizer: a geometry says what updates do to sizes, not how they are made; to "
                "train, name an optimizer, see windtunnel.optimizers.optimizer_names()"
            )
        from windtunnel.optimizers.classes.rule_optimizer import RuleOptimizer

        settings = {name: getattr(recipe, name) for name in self.rule.from_recipe}
        if self.prepare is not None:
            param_groups = self.prepare(param_groups, recipe)
        return RuleOptimizer(
            param_groups,
            self.rule,
            lr=recipe.lr,
            weight_decay=recipe.weight_decay,
            **settings,
            **own,
        )
