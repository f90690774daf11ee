"""The loss around the best learning rate and batch size: three things that can be wrong."""

from __future__ import annotations

import numpy as np

from windtunnel.laws.solver import Array

# Logs of a, c, l2, l3, log (b / a), and d, as below. Where they start: progress as the fourth root
# of rate x steps, a wall as the rate to the power 3/2, noise half as important as progress.
SHAPE = np.array([np.log(0.25), np.log(1.5), np.log(0.05), np.log(0.5), 0.0, 0.0])
SHAPE_SD = np.array([1.0, 1.0, 1.0, 1.0, 0.5, 0.5])
SHAPE_LEAST = np.array([np.log(0.02), np.log(0.1), np.log(1e-4), np.log(0.02), -2.0, -2.0])
SHAPE_MOST = np.array([np.log(3.0), np.log(8.0), np.log(5.0), np.log(20.0), 2.0, 2.0])
_STEEPEST = 12.0  # exponents are held there: such runs are walls


def bowl(from_best: Array, log_height: Array, shape: Array) -> tuple[Array, Array, Array]:
    """Rise of the log loss above its least, as a sum of three power laws of rate and batch.

        rise = S [exp(u1 z) + l2 exp(u2 z) + l3 exp(u3 z) - 1 - l2 - l3]

    with z = (log rate, log batch) less the best. u1 = (-a, b) is progress, which falls short
    where rate or steps are too few; u2 = (c, d) is instability at high rates; u3 is noise, which
    grows as the batch shrinks. u1 + l2 u2 + l3 u3 = 0 puts the least at z = 0, for any shape.

    Why this and not a quadratic: if each term is a power law in rate, batch, parameters and
    tokens, then rate and batch at the least are exactly power laws in parameters and tokens, and
    the height S too. And the loss is steeper towards high rates, so that a quadratic's optimum
    depends on how far out it is fitted. The form is ours.

    Args:
        from_best: (problems, n, 2) z.
        log_height: (problems, n) log S.
        shape: (problems, 6) log a, log c, log l2, log l3, log (b / a), d.

    Returns:
        (problems, n) rise, which is also its derivative by log S; (problems, n, 2) derivatives by
        z; (problems, n, 6) derivatives by the shape.
    """
    z1, z2 = from_best[:, :, 0], from_best[:, :, 1]
    a, c, second, third = (np.exp(shape[:, place, None]) for place in range(4))
    b, d = a * np.exp(shape[:, 4, None]), shape[:, 5, None]
    by_rate, by_batch = (a - second * c) / third, -(b + second * d) / third
    height = np.exp(log_height)
    progress = height * np.exp(np.minimum(-a * z1 + b * z2, _STEEPEST))
    instability = height * second * np.exp(np.minimum(c * z1 + d * z2, _STEEPEST))
    pull = by_rate * z1 + by_batch * z2
    noise = height * third * np.exp(np.minimum(pull, _STEEPEST))
    rise = progress + instability + noise - height * (1 + second + third)
    by_z = [
        -a * progress + c * instability + by_rate * noise,
        b * progress + d * instability + by_batch * noise,
    ]
    share = second / third
    by_shape = [
        progress * (-a * z1 + b * z2) + noise * (a * z1 - b * z2) / third,
        (instability - noise * share) * c * z1,
        instability - height * second - noise * share * (c * z1 + d * z2),
        noise - height * third - noise * pull,
        progress * b * z2 - noise * b / third * z2,
        (instability - noise * share) * z2,
    ]
    return rise, np.stack(by_z, axis=2), np.stack(by_shape, axis=2)
