"""A study opened from its folder: the spec, the data, the family, and the runs they make."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from windtunnel.data import Corpus, TokenBatches, default_cache, open_corpus
from windtunnel.errors import WindtunnelError
from windtunnel.files import write_json
from windtunnel.models import build_family
from windtunnel.models.command_family import CommandFamily
from windtunnel.optimizers import optimizer_method
from windtunnel.parametrization.rule import Rule, load_rule
from windtunnel.python_file import split_name
from windtunnel.scale import DataIdentity, Recipe, Run, Scale
from windtunnel.schedules import recipe_multiplier
from windtunnel.spec import BudgetSpec, PolicySpec, StudySpec, load_study
from windtunnel.studies.chosen_policy import with_policy

if TYPE_CHECKING:
    from windtunnel.models.family import Batch, Family

STUDY_FILE = "study.yaml"
STANDARD = "sp"  # the rule every study is held against
OWN_RULE = "own"  # what a command of the user's does by itself
# What may change without changing any number in the study's table, but for rounding.
_CIRCUMSTANCES = frozenset(
    {"name", "device", "workers", "budget", "limits", "population", "training"}
)


@dataclass(frozen=True)
class Study:
    """A study's folder and its validated spec; data and family are opened when first asked for.

    Attributes:
        folder: Where everything of the study is kept.
        spec: What `study.yaml` states.
        opened: When this process opened it, on the monotonic clock.
        asked: Its runs are handed out (`windtunnel ask`), not carried out here.
    """

    folder: Path
    spec: StudySpec
    opened: float = field(default_factory=time.monotonic, compare=False)
    asked: bool = False

    @property
    def seconds_open(self) -> float:
        """Wall-clock time since this process opened the study."""
        return time.monotonic() - self.opened

    @cached_property
    def seconds_before(self) -> float:
        """Wall-clock time of earlier sessions; a killed one counts up to its last whole step."""
        return float((self.read("clock") or {"wall_seconds": 0.0})["wall_seconds"])

    @property
    def fingerprint(self) -> str:
        """12 hexadecimal digits of everything in the spec that decides which runs are made."""
        science = self.spec.model_dump(mode="json", exclude=set(_CIRCUMSTANCES))
        if self.spec.search.policy == PolicySpec():
            del science["search"]["policy"]  # as before there was a choice
        for name in ("schedule_settings", "optimizer_settings"):
            if not science["recipe"][name]:
                del science["recipe"][name]  # older studies, which had none, stay valid
        if self.rule_named().content is not None:  # its content counts, not its path
            science |= {"rule": self.rule, "rule_content": self.rule_named().content}
        named = {} if self.spec.family is None else self.spec.family.options
        options = [option for option in named.values() if isinstance(option, str)]
        own = split_name(self.spec.optimizer)
        if own is not None:
            options.append(own[0])
        for option in options:
            if Path(option).is_file():  # a config.json's or an optimizer's content counts, too
                content = Path(option).read_bytes()
                science.setdefault("files", {})[option] = hashlib.sha256(content).hexdigest()
        return hashlib.sha256(json.dumps(science, sort_keys=True).encode()).hexdigest()[:12]

    @cached_property
    def corpus(self) -> Corpus:
        """The study's tokens.

        Raises:
            WindtunnelError: The source is missing, or its text is no longer what this study began
                with.
        """
        corpus = open_corpus(self.spec.data, default_cache())
        began_with = self.read("data")
        if began_with is not None and began_with["content_hash"] != corpus.content_hash:
            raise WindtunnelError(
                f"data.source: the text of {self.spec.data.source} changed since this study began "
                f"in {self.folder}; restore it, or start a study in a new folder. Nothing was lost."
            )
        return corpus

    @cached_property
    def batches(self) -> TokenBatches:
        """Batches of the study's tokens."""
        return TokenBatches(self.corpus, self.spec.data.sequence_length)

    @cached_property
    def family(self) -> Family:
        """The built-in family the spec names, or what is known of the user's own command.

        Raises:
            WindtunnelError: The study names no known family, or has a scale that the family
                cannot build.
        """
        if self.spec.run is not None:
            family: Family = CommandFamily.of(
                self.spec.run.command, self.spec.run.params, self.folder, self.spec.run.model
            )
        else:
            assert self.spec.family is not None, "a study has a family or a command"
            family = build_family(
                self.spec.family.name,
                self.spec.family.options,
                vocabulary_size=self.corpus.vocabulary_size,
                sequence_length=self.spec.data.sequence_length,
            )
        ladder = [("ladder", self.proxy(width, 0)) for width in self.spec.ladder.width]
        for section, scale in [("base", self.base), *ladder, ("target", self.target)]:
            try:
                family.parameter_count(scale)
            except WindtunnelError as error:
                place = str(error).removeprefix("scale.")
                raise WindtunnelError(f"{section}.{place}") from error
        return family

    def begin(self) -> None:
        """Note which data this study is about, before it writes or trains anything else.

        Raises:
            WindtunnelError: The study cannot be carried out as it is written; nothing was written.
        """
        _ = self.family  # refuses what cannot be trained
        if self.read("data") is None:
            self.write("data", {"content_hash": self.data_hash, "source": self.data_words})

    @property
    def base(self) -> Scale:
        """The scale at which hyperparameters are quoted."""
        return self.spec.base.scale()

    @property
    def target(self) -> Scale:
        """The scale the study is about."""
        return self.spec.target.scale()

    def proxy(self, width: int, units: int) -> Scale:
        """A ladder scale."""
        return Scale(width=width, depth=self.spec.ladder.depth, units=units)

    @property
    def data_hash(self) -> str:
        """What the data's content is known by; of a command's data nothing is known."""
        return "" if self.spec.run is not None else self.corpus.content_hash

    @property
    def data_words(self) -> str:
        """The data in words."""
        return "your command's own" if self.spec.run is not None else self.corpus.description

    @property
    def rule(self) -> str:
        """The name of the study's own rule: of a file, without its folder.

        A command that is given no plan sets its parameters itself; that rule is called `own`.
        """
        return self.rule_named().name if self.spec.planned else OWN_RULE

    @property
    def rules(self) -> tuple[str, ...]:
        """The study's own rule and, for contrast, the standard one where it is another.

        A command is held against none.
        """
        if self.spec.run is not None:
            return (self.rule,)
        return tuple(dict.fromkeys((self.rule, STANDARD)))

    @cached_property
    def _own_rule(self) -> Rule:
        return load_rule(self.spec.rule)  # once: its file may change while the study is open

    def rule_named(self, name: str | None = None) -> Rule:
        """The study's own rule, or another one.

        Args:
            name: The study's rule by its name, any rule that Windtunnel has, or a file's path.

        Raises:
            WindtunnelError: There is no such rule.
        """
        own = self._own_rule
        return own if name is None or name == own.name else load_rule(name)

    @property
    def first_seed(self) -> int:
        """The seed of replicate 0: studies of different seeds share none."""
        return 1000 * self.spec.seed

    def run(self, rule: str, scale: Scale, recipe: Recipe, seed: int = 0) -> Run:
        """The run of `recipe` at `scale` under `rule`; `seed` counts replicates from 0."""
        return Run(
            family=self.family.name,
            family_options=tuple(sorted(self.family.options().items())),
            optimizer=self.spec.optimizer if self.spec.planned else OWN_RULE,
            rule=rule,
            base=self.base,
            scale=scale,
            recipe=recipe,
            data=DataIdentity(
                content_hash=self.data_hash,
                sequence_length=self.spec.data.sequence_length,
                validation_sequences=self.spec.data.validation_sequences,
            ),
            init_seed=self.first_seed + seed,
            data_seed=self.first_seed + seed,
            precision=self.spec.precision,
            rule_content=self.rule_named(rule).content if self.spec.planned else None,
        )

    def torch_batch(self, seed: int, sequences: int) -> Batch:
        """A fixed batch of training tokens, for checks that train nothing."""
        import torch

        inputs, targets = self.batches.training(0, seed, sequences)
        return torch.from_numpy(inputs), torch.from_numpy(targets)

    def read(self, step: str) -> dict[str, Any] | None:
        """What a step wrote for the study as it stands; None if it has not run since a change."""
        path = self.folder / f"{step}.json"
        try:
            value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            current = value.pop("study") == self.fingerprint
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise WindtunnelError(
                f"{path}: damaged; delete it and run the same command again."
            ) from error
        return value if current else None

    def write(self, step: str, value: dict[str, Any]) -> None:
        """Record a step's outcome in the study's folder, with the study's fingerprint."""
        write_json(self.folder / f"{step}.json", {"study": self.fingerprint, **value})

    def needed(self, step: str, command: str) -> dict[str, Any]:
        """What an earlier step wrote.

        Raises:
            WindtunnelError: It has not run; the message names the command that runs it.
        """
        value = self.read(step)
        if value is None:
            raise WindtunnelError(
                f"{self.folder}: has no {step}.json; first run `windtunnel {command} {self.folder}`"
            )
        return value


def open_study(
    path: Path,
    *,
    time_limit: str | None = None,
    flops_limit: float | None = None,
    workers: int | None = None,
    policy: str | None = None,
) -> Study:
    """Open a study by its folder or by its `study.yaml`.

    Args:
        path: The folder, or the file.
        time_limit: Overrides the file's time budget, as `90s`, `10m` or `2h`.
        flops_limit: Overrides the file's budget of FLOPs.
        workers: Overrides the file's number of workers.
        policy: Who searches, where the file names none; the folder remembers it.

    Raises:
        WindtunnelError: There is no readable, valid study there, a limit is none, or the file
            names another policy.
    """
    in_folder = path.is_dir() or path.suffix not in (".yaml", ".yml")
    file = path / STUDY_FILE if in_folder else path
    if not file.exists():
        raise WindtunnelError(
            f"{file}: no such study; `windtunnel init {file.parent}` writes a commented one."
        )
    if file.name != STUDY_FILE:
        raise WindtunnelError(
            f"{file}: a study's file is called {STUDY_FILE}, which its workers read; rename it."
        )
    spec = load_study(file)
    if split_name(spec.optimizer) is not None:  # the file's path is from the study's folder
        spec = spec.model_copy(update={"optimizer": str(file.parent.resolve() / spec.optimizer)})
    optimizer_method(spec.optimizer)
    spec = spec.model_copy(
        update={
            "budget": _limited(spec.budget, time_limit, flops_limit),
            "workers": spec.workers if workers is None else workers,
            "search": with_policy(spec.search, policy, file.parent),
        }
    )
    study = Study(folder=file.parent, spec=spec)
    try:
        study.rule_named()
        _refuse_schedule(spec)
        if spec.run is None:
            optimizer_method(spec.optimizer).check_settings(spec.recipe.optimizer_settings)
    except WindtunnelError as error:
        raise WindtunnelError(f"{file}: {error}") from error
    return study


def _refuse_schedule(spec: StudySpec) -> None:
    """Raise if the recipe's schedule can't be, with any warm-up that the search may try."""
    searched = spec.search.hyperparameters.get("warmup_fraction")
    warmup = spec.recipe.warmup if searched is None else searched.high
    recipe = spec.recipe.recipe(lr=spec.search.hyperparameters["lr"].low)
    recipe_multiplier(recipe.replace(warmup_fraction=warmup), 0, 1)


def _limited(budget: BudgetSpec, time_limit: str | None, flops: float | None) -> BudgetSpec:
    try:
        return BudgetSpec(
            time=budget.time if time_limit is None else time_limit,  # type: ignore[arg-type]
            flops=budget.flops if flops is None else flops,
        )
    except ValidationError as error:
        what = str(error.errors()[0]["loc"][0])
        given, wanted = (
            ("--time", f"'{time_limit}' is not a time such as 90s, 10m or 1.5h")
            if what == "time"
            else ("--budget", f"{flops} is not a number of FLOPs above 0, such as 1e15")
        )
        raise WindtunnelError(f"{given}: {wanted}") from error
