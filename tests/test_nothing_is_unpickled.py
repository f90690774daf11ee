"""Nothing that is read from a disk runs code: every loader is fed a pickle that would."""

from __future__ import annotations

import ast
import contextlib
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch

import windtunnel
from windtunnel.data.corpus import open_corpus
from windtunnel.data.tokenfile import DamagedFileError, open_token_file
from windtunnel.errors import WindtunnelError
from windtunnel.laws.reading.file import read_raw
from windtunnel.optimizers import optimizer_method
from windtunnel.parametrization.rule import load_rule
from windtunnel.spec import DataSpec, load_study
from windtunnel.studies.study import open_study
from windtunnel.training.checkpoint import load_checkpoint
from windtunnel.training.metrics import MetricsLog
from windtunnel.training.ranks import Ranks
from windtunnel.training.result import read_result
from windtunnel.training.sharded_checkpoint import ShardedCheckpoints

SAFE = (WindtunnelError, DamagedFileError, ValueError, OSError)


class Malicious:
    """Unpickled, it writes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.mark,))


def contents(mark: Path, folder: Path) -> list[bytes]:
    """The pickle itself, torch's own format around it, and YAML's way to say the same."""
    torch.save(Malicious(mark), folder / "saved.pt")
    with zipfile.ZipFile(folder / "saved.zip", "w") as archive:
        archive.writestr("data.pkl", pickle.dumps(Malicious(mark)))
    yaml = (
        f"!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['{mark}']]"
    )
    found = [(folder / name).read_bytes() for name in ("saved.pt", "saved.zip")]
    return [*found, pickle.dumps(Malicious(mark)), pickle.dumps(Malicious(mark), 0), yaml.encode()]


def sharded(folder: Path, content: bytes) -> None:
    for number, name in enumerate(("contents.json", ".metadata", "shard-00001-model.safetensors")):
        path = folder / f"checkpoint-{number:09d}"
        path.mkdir(exist_ok=True)
        (path / "contents.json").write_bytes(content)
        (path / name).write_bytes(content)
    model = torch.nn.Linear(2, 2)
    checkpoints = ShardedCheckpoints(folder, Ranks(torch.device("cpu")))
    assert checkpoints.load("k", model, torch.optim.SGD(model.parameters())) is None


def one_file(folder: Path, content: bytes) -> None:
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters())
    load_checkpoint(written(folder / "checkpoint.safetensors", content), "k", model, optimizer)


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


LOADERS: dict[str, Callable[[Path, bytes], object]] = {
    "checkpoint": one_file,
    "sharded checkpoint": sharded,
    "result": lambda folder, content: read_result(
        written(folder / "result.json", content).parent, "k"
    ),
    "metrics": lambda folder, content: MetricsLog(written(folder / "metrics.jsonl", content), 5),
    "study": lambda folder, content: load_study(written(folder / "study.yaml", content)),
    "study's folder": lambda folder, content: open_study(
        written(folder / "study.yaml", content).parent
    ),
    "token file": lambda folder, content: open_token_file(written(folder / "tokens", content), "k"),
    "rule": lambda folder, content: load_rule(str(written(folder / "rule.yaml", content))),
    "optimizer's name": lambda folder, content: optimizer_method(
        str(written(folder / "optimizer.pkl", content))
    ),
    **{
        f"table.{ending}": lambda folder, content, ending=ending: read_raw(
            written(folder / f"runs.{ending}", content)
        )
        for ending in ("csv", "json", "jsonl", "parquet", "arrow", "feather", "npz", "npy", "pkl")
    },
    **{
        f"text.{ending}": lambda folder, content, ending=ending: open_corpus(
            DataSpec(source=str(written(folder / f"text.{ending}", content))), folder / "cache"
        )
        for ending in ("txt", "jsonl", "jsonl.gz", "jsonl.zst", "parquet", "pkl", "npy")
    },
}


@pytest.mark.parametrize("name", LOADERS)
def test_a_malicious_pickle_is_only_bytes(tmp_path: Path, name: str) -> None:
    mark = tmp_path / "executed"
    for number, content in enumerate(contents(mark, tmp_path)):
        folder = tmp_path / str(number)
        folder.mkdir()
        with contextlib.suppress(*SAFE):
            LOADERS[name](folder, content)
        assert not mark.exists(), f"{name} executed what it read"


def test_the_pickle_would_have_done_it(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Malicious(tmp_path / "executed")))
    assert (tmp_path / "executed").exists()


def test_no_module_calls_what_unpickles() -> None:
    refused = {"pickle.load", "pickle.loads", "torch.load", "np.load", "yaml.load", "dill.loads"}
    source = Path(windtunnel.__file__).parent
    for path in source.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                assert ast.unparse(node.func) not in refused, path
