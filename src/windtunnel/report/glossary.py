"""The words a report uses, each in one line."""

from __future__ import annotations

GLOSSARY: tuple[tuple[str, str], ...] = (
    ("90 % range", "the range that should hold the true value nine times in ten"),
    ("base", "the scale at which hyperparameters are quoted"),
    ("coordinate check", "whether activations and updates keep their size as the model grows"),
    ("drift", "how far the best learning rate moves as the model or the training grows"),
    ("forecast", "what the fitted law says of the target, written down before it is trained"),
    ("ladder", "the small scales that are searched"),
    ("law", "the formula for the loss as model and training length grow"),
    ("loss paid", "how much higher the loss is for keeping the base's best rate at a larger scale"),
    ("plan", "how every parameter is set at one scale, as factors relative to base"),
    ("proxy", "a small scale that stands in for the target while searching"),
    ("recipe", "the hyperparameters: learning rate, weight decay, schedule, batch and so on"),
    ("role", "what a parameter is to scaling: input, hidden, output, vector and so on"),
    ("rule", "a parametrization: how init, rate, decay and epsilon change with scale"),
    ("scale", "a point on the size axes: width, depth and training length"),
    ("sp", "standard parametrization: what frameworks do when nothing is scaled"),
    ("target", "the large scale the study is about, trained once"),
)
