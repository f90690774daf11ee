"""The columns of a tuning table, and the names that people give to them."""

from __future__ import annotations

from collections.abc import Mapping

from windtunnel.laws.reading.column_names import NAMES, PARAMS


def _phrases(text: str) -> frozenset[str]:
    return frozenset(" ".join(phrase.split()) for phrase in text.split(","))


# Size axes, the first ones first where two say the same.
AXES: Mapping[str, frozenset[str]] = {
    "width": _phrases("""
        width, dim, d model, dmodel, model dim, n embd, embed dim, embedding dim, hidden size,
        hidden dim, hidden, channels
    """),
    "depth": _phrases(
        "depth, layers, n layers, n layer, nlayers, num layers, num hidden layers, blocks"
    ),
    "heads": _phrases("heads, n heads, n head, num heads, num attention heads"),
    "params": PARAMS,
    "tokens": NAMES["tokens"],
    "images": _phrases("images, samples, examples, images seen, samples seen, examples seen"),
    "steps": NAMES["steps"],
    "experts": NAMES["experts"],
    "vocabulary": NAMES["vocabulary"],
}
# Hyperparameters beside the learning rate, as `windtunnel.scale.Recipe` calls them.
SETTINGS: Mapping[str, frozenset[str]] = {
    "batch_units": NAMES["batch_tokens"]
    | _phrases("batch, batch size, batchsize, global batch size, bs, batch units"),
    "weight_decay": NAMES["weight_decay"],
    "beta1": _phrases("beta1, beta 1, adam beta1, adam beta 1"),
    "beta2": _phrases("beta2, beta 2, adam beta2, adam beta 2"),
    "eps": _phrases("eps, epsilon, adam eps, adam epsilon"),
    "warmup_fraction": _phrases("warmup fraction, warmup ratio, warmup share"),
    "decay_fraction": _phrases("decay fraction, decay ratio, cooldown fraction"),
    "clip_norm": _phrases("clip norm, grad clip, gradient clipping, max grad norm, clip"),
}
STATUS = _phrases("state, status")
RULE = _phrases("rule, parametrization, parameterization, parametrisation")
TEXTS = ("run", "seed", "status", "rule")
NAMED = ("lr", "loss", *AXES, *SETTINGS, *TEXTS)

# What trackers call a run that never came to its end, and one whose loss became infinite.
UNFINISHED = frozenset(
    {"running", "crashed", "failed", "fail", "killed", "pruned", "waiting", "pending", "queued"}
)
DIVERGED = frozenset({"diverged", "nan", "inf"})
