"""A study's runs in an Optuna storage, where optuna-dashboard shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from windtunnel.errors import WindtunnelError
from windtunnel.scale import Run
from windtunnel.search.optuna_adapter.address import parse_address
from windtunnel.search.optuna_adapter.library import quiet_optuna
from windtunnel.search.table import Row

_NUMBER = "windtunnel:number"
# Wide and the same for every trial: Optuna's plots and importances join trials of one range only.
_LOG = (1e-12, 1e3)
_SIZES = (1, 2**50)


def export_runs(
    rows: Iterable[Row[Run]], address: str, *, study: str, attributes: Mapping[str, Any]
) -> int:
    """Add the runs that are done and not there yet as finished trials.

    The scale and the learning rate, weight decay and beta2 become parameters; a diverged run is a
    failed trial with the user attribute `outcome: diverged`.

    Args:
        rows: The study's runs, numbered as in its store.
        address: `optuna:URL`, or `optuna:URL#NAME` for another name than the study's.
        study: The study's name.
        attributes: User attributes of the Optuna study, such as the rule and the target.

    Returns:
        How many were added.

    Raises:
        WindtunnelError: Optuna is missing or the storage can't be used.
    """
    url, name = parse_address(address)
    with quiet_optuna() as optuna:
        try:
            exported = optuna.create_study(
                storage=url, study_name=name or study, direction="minimize", load_if_exists=True
            )
        except Exception as error:  # whatever a database driver raises
            reason = " ".join(str(error).split())[:200]
            raise WindtunnelError(f"{address}: cannot be used ({reason})") from error
        for key, value in attributes.items():
            exported.set_user_attr(key, value)
        there = {t.user_attrs.get(_NUMBER) for t in exported.get_trials(deepcopy=False)}
        new = [row for row in rows if row.done and row.number not in there]
        for row in new:
            exported.add_trial(_trial(optuna, row))
    return len(new)


def _trial(optuna: Any, row: Row[Run]) -> Any:
    run = row.run
    log = optuna.distributions.FloatDistribution(*_LOG, log=True)
    size = optuna.distributions.IntDistribution(*_SIZES, log=True)
    share = optuna.distributions.FloatDistribution(0.0, 1e3)
    params: dict[str, tuple[Any, Any]] = {
        "width": (run.scale.width, size),
        "depth": (run.scale.depth, size),
        "units": (max(1, run.scale.units), size),
        "lr": (run.recipe.lr, log),
        "weight_decay": (run.recipe.weight_decay, share),
        "beta2": (run.recipe.beta2, share),
    }
    return optuna.create_trial(
        state=optuna.trial.TrialState["COMPLETE" if row.loss is not None else "FAIL"],
        value=row.loss,
        params={name: value for name, (value, _) in params.items()},
        distributions={name: distribution for name, (_, distribution) in params.items()},
        user_attrs={
            _NUMBER: row.number,
            "outcome": row.state,
            "purpose": row.purpose,
            "rule": run.rule,
            "seed": run.init_seed,
            "key": run.key,
        },
    )
