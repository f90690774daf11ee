from __future__ import annotations

import subprocess
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples" / "slurm"


def test_the_batch_file_is_a_script_that_passes_term_on(tmp_path: Path) -> None:
    """With a stand-in for windtunnel that waits for SIGTERM."""
    (tmp_path / "windtunnel").write_text(
        "#!/bin/bash\ntrap 'echo stopped > ended; exit 0' TERM\necho \"$@\" > args\n"
        "while true; do sleep 0.05; done\n"
    )
    (tmp_path / "windtunnel").chmod(0o755)
    script = EXAMPLES / "workers.sbatch"
    process = subprocess.Popen(
        ["bash", str(script)],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "WINDTUNNEL_STORE": "sqlite:///x.db"},
    )
    while not (tmp_path / "args").exists() or not (tmp_path / "args").read_text():
        assert process.poll() is None
    process.terminate()
    assert process.wait(30) == 0
    assert (tmp_path / "ended").read_text() == "stopped\n"
    assert (tmp_path / "args").read_text().startswith("work sqlite:///x.db --folder ")
