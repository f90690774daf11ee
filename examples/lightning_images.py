"""Images with Lightning: a small convolutional network on scikit-learn's digits.

    python examples/lightning_images.py --width 32 --lr 0.03

Tuned at width 16, the rate carries over to other widths: the plan sets every layer's own.
"""

import argparse

import lightning.pytorch as lightning
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import windtunnel as wt
from windtunnel.callbacks.lightning import WindtunnelCallback

BASE = wt.Scale(16, 2)


def build(width: int, depth: int) -> nn.Module:
    """Convolutions over 8 x 8 pixels, then ten classes."""
    layers: list[nn.Module] = [nn.Conv2d(1, width, 3, padding=1), nn.ReLU()]
    for _ in range(depth):
        layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))


class Digits(lightning.LightningModule):
    """An ordinary module; its own optimizer is replaced by the callback's."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        """Mean cross-entropy."""
        return nn.functional.cross_entropy(self.model(batch[0]), batch[1])

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        """What the study hears."""
        self.log("val_loss", nn.functional.cross_entropy(self.model(batch[0]), batch[1]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """As it was before."""
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


def main() -> None:
    """Train once and print the validation loss."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--lr", type=float, default=0.03)
    parser.add_argument("--steps", type=int, default=100)
    given = parser.parse_args()

    images, labels = load_digits(return_X_y=True)
    pixels = torch.tensor(images / 16, dtype=torch.float32).view(-1, 1, 8, 8)
    rows = TensorDataset(pixels, torch.tensor(labels))
    training, validation = torch.utils.data.random_split(
        rows, [1500, len(rows) - 1500], torch.Generator().manual_seed(0)
    )

    family, target = wt.FunctionFamily(build), wt.Scale(given.width, BASE.depth)
    plan = wt.plan(family, BASE, target, "mup", "adamw")
    torch.manual_seed(0)
    model = build(given.width, BASE.depth)
    wt.apply_(model, plan, family=family, init_seed=0)
    recipe = wt.Recipe(lr=given.lr, batch_units=50)

    trainer = lightning.Trainer(
        max_steps=given.steps,
        accelerator="cpu",
        callbacks=[WindtunnelCallback(plan, recipe)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loaders = DataLoader(training, 50, shuffle=True), DataLoader(validation, 300)
    trainer.fit(Digits(model), *loaders)
    print(f"width {given.width}: loss {float(trainer.callback_metrics['val_loss']):.4f}")


if __name__ == "__main__":
    main()
