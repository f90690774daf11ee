"""The names people give to columns, as data: phrases in lower case, a space between words."""

from __future__ import annotations

from collections.abc import Mapping


def _phrases(text: str) -> frozenset[str]:
    return frozenset(" ".join(phrase.split()) for phrase in text.split(","))


PARAMS = _phrases("""
    params, parameters, n params, num params, nparams, n parameters, num parameters,
    number of params, number of parameters, no of parameters, param count, params count,
    parameter count, parameters count, model size, model params, model parameters,
    num model params, model parameter count
""")
# Words that say which parameters are counted: two such columns cannot be told apart by name.
ONLY_EMBEDDING = _phrases("embedding, embeddings, embed, emb")
NOT_OR_WITH = _phrases("""
    total, active, activated, trainable, dense, non, no, nonembedding, nonemb, noemb, excluding,
    excl, without, including, incl, with, wo, backbone
""")
PARAMS_QUALIFIERS = ONLY_EMBEDDING | NOT_OR_WITH

NAMES: Mapping[str, frozenset[str]] = {
    "tokens": _phrases("""
        tokens, n tokens, num tokens, ntokens, number of tokens, train tokens, training tokens,
        n train tokens, num train tokens, num training tokens, total train tokens, total tokens,
        tokens seen, seen tokens, num tokens seen, total tokens seen, tokens trained,
        trained tokens, tokens trained on, tokens processed, consumed tokens, tokens consumed,
        token count, tokens count, dataset size, data size, dataset tokens, data tokens
    """),
    "flops": _phrases("""
        flops, flop, compute, n flops, num flops, flop count, flops count, flops total,
        train flop, train flops, training flop, training flops, total flop, total flops,
        total train flops, total training flops, estimated flops, train compute,
        training compute, total compute, compute flop, compute flops, training compute flop,
        training compute flops, compute budget, flop budget, flops budget
    """),
    "seed": _phrases(
        "seed, random seed, init seed, model seed, train seed, training seed, rng seed"
    ),
    "unique_tokens": _phrases("""
        unique tokens, n unique tokens, num unique tokens, distinct tokens, unique train tokens,
        unique training tokens, unique data tokens
    """),
    "experts": _phrases("experts, n experts, num experts, number of experts, expert count"),
    "vocabulary": _phrases("vocabulary, vocab, vocab size, vocabulary size, n vocab, vocabsize"),
    "vocabulary_params": _phrases("""
        vocabulary params, vocab params, vocabulary parameters, vocab parameters,
        n vocab params, num vocab params
    """),
    "members": _phrases("members, n members, num members, ensemble members, ensemble size"),
    # Never guessed: a run's weight in the fit is what one says it is.
    "weight": frozenset(),
    "steps": _phrases("""
        steps, step, n steps, num steps, train steps, training steps, total steps, max steps,
        global step, trainer global step, iterations, iteration, iters, iter, n iterations,
        num iterations, updates, num updates
    """),
    "lr": _phrases("""
        lr, learning rate, learningrate, peak lr, max lr, base lr, peak learning rate,
        max learning rate
    """),
    "batch_tokens": _phrases(
        "batch tokens, tokens per batch, tokens per step, global batch tokens"
    ),
    "weight_decay": _phrases("weight decay, weightdecay, wd"),
    "seconds": _phrases("""
        seconds, runtime, run time, train runtime, walltime, wall time, wall clock,
        wall clock time, wall seconds, train time, training time, train seconds,
        training seconds, elapsed, elapsed time, elapsed seconds, duration, time
    """),
}
# Names that fit only where no better one does and the values are of the right size.
WEAK_NAMES: Mapping[str, frozenset[str]] = {
    "params": _phrases("n, size"),
    "tokens": _phrases("d, data"),
    "flops": _phrases("c"),
}
# Headings of a run's name, the likeliest first.
RUN_NAMES = (
    "run",
    "run name",
    "run id",
    "runid",
    "name",
    "experiment",
    "experiment name",
    "exp name",
    "id",
    "trial",
    "trial id",
    "job",
    "job id",
)

LOSS_WORDS = _phrases("""
    loss, losses, nll, ce, xent, crossentropy, ppl, perplexity, bpb, bits, lossu, logloss
""")
SHARE_WORDS = _phrases("acc, accuracy, error, err, errors")
METRIC_FILLERS = _phrases("cross, entropy, log, per, byte, rate, token, nats, top1")
FINAL_WORDS = _phrases("final, last, end, mean, avg, average")
VALIDATION_WORDS = _phrases("""
    val, valid, validation, eval, evaluation, test, testing, heldout, held, out, dev
""")
TRAIN_WORDS = _phrases("train, training, trn")
NORMALISED_WORDS = _phrases("normalised, normalized, unigram, lossu")
# Words of columns that are about a loss but are not what a run reached.
NOT_A_RESULT = _phrases("""
    star, opt, optimal, aux, auxiliary, router, balance, z, std, stdev, se, stderr, sem, sd, var,
    variance, scale, weight, pred, predicted, prediction, fit, fitted, expected, diff, delta,
    initial, init, start, coef, coefficient, min, max, lower, upper, low, high, ci, target,
    threshold, reducible, irreducible, improvement, gap
""")
