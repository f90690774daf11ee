"""A diffusion model's training step under a plan: noise prediction (Ho et al. 2020, eq. 14).

    python examples/diffusion_step.py --width 64

The denoiser is plain torch; a UNet of diffusers' takes the same four lines (family `diffusers`).
"""

import argparse
import math

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import windtunnel as wt

STEPS_OF_NOISE = 100
BASE = wt.Scale(32, 2)


class Denoiser(nn.Module):
    """Predicts the noise in images of 64 pixels, told how much there is."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.pixels = nn.Linear(64, width)
        self.time = nn.Linear(16, width)
        self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.output = nn.Linear(width, 64)

    def forward(self, images: Tensor, times: Tensor) -> Tensor:
        """Noise of the same shape as the images, (batch, 64)."""
        frequencies = torch.exp(-math.log(100.0) * torch.arange(8) / 8)
        angles = times[:, None] * frequencies
        hidden = self.pixels(images) + self.time(torch.cat((angles.sin(), angles.cos()), dim=1))
        for block in self.blocks:
            hidden = hidden + block(nn.functional.silu(hidden))
        noise: Tensor = self.output(nn.functional.silu(hidden))
        return noise


def step(model: nn.Module, images: Tensor, kept: Tensor, generator: torch.Generator) -> Tensor:
    """One training step's loss: how well the noise that was added is predicted.

    Args:
        model: The denoiser.
        images: Clean, (batch, 64).
        kept: Share of an image's variance that is left after each step of noise.
        generator: Draws times and noise.
    """
    times = torch.randint(len(kept), (len(images),), generator=generator)
    noise = torch.randn(images.shape, generator=generator)
    share = kept[times, None]
    noisy = share.sqrt() * images + (1 - share).sqrt() * noise
    return nn.functional.mse_loss(model(noisy, times.float()), noise)


def main() -> None:
    """Train once and print the loss."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--lr", type=float, default=0.003)
    parser.add_argument("--steps", type=int, default=200)
    given = parser.parse_args()
    images = torch.tensor(load_digits().data / 8 - 1, dtype=torch.float32)
    kept = torch.cumprod(1 - torch.linspace(1e-4, 0.08, STEPS_OF_NOISE), dim=0)

    family, target = wt.FunctionFamily(Denoiser), wt.Scale(given.width, BASE.depth)
    plan = wt.plan(family, BASE, target, "mup", "adamw")
    torch.manual_seed(0)
    model = Denoiser(given.width, BASE.depth)
    wt.apply_(model, plan, family=family, init_seed=0)
    optimizer = torch.optim.AdamW(wt.param_groups(model, plan, lr=given.lr))
    schedule = wt.lambda_lr(optimizer, "wsd", given.steps)

    generator, recent = torch.Generator().manual_seed(1), []
    for number in range(given.steps):
        batch = images[torch.randint(len(images), (64,), generator=generator)]
        loss = step(model, batch, kept, generator)
        loss.backward()
        wt.clip_gradients_(model, plan, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        recent = [*recent[-49:], loss.item()]
        wt.report(step=number + 1, steps=given.steps, loss=sum(recent) / len(recent))
    print(f"width {given.width}: loss {sum(recent) / len(recent):.4f}")


if __name__ == "__main__":
    main()
