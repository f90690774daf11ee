from __future__ import annotations

from pathlib import Path

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.search.network_folder import file_system, refuse_network_folder

MOUNTS = """22 1 0:20 / / rw,relatime shared:1 - overlay overlay rw
30 22 0:30 / /home rw,relatime shared:2 - nfs4 server:/home rw,vers=4.2
31 30 0:31 / /home/me/scratch rw - ext4 /dev/sda1 rw
32 22 0:32 / /mnt/two\\040words rw shared:9 master:3 - fuse.sshfs me@there:/ rw
33 22 0:33 / /data rw - ext4 /dev/sdb1 rw
34 22 0:34 / /data rw - lustre mds:/data rw
broken line
"""


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    path = tmp_path / "mountinfo"
    path.write_text(MOUNTS)
    return path


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/opt/study.db", "overlay"),
        ("/home/me/study.db", "nfs4"),
        ("/homely/study.db", "overlay"),
        ("/home/me/scratch/study.db", "ext4"),
        ("/mnt/two words/a/study.db", "fuse.sshfs"),
        ("/data/study.db", "lustre"),
    ],
)
def test_the_nearest_and_latest_mount_counts(mounts: Path, path: str, kind: str) -> None:
    assert file_system(Path(path), mounts) == kind


def test_network_file_systems_are_refused_with_the_remedy(mounts: Path) -> None:
    with pytest.raises(WindtunnelError, match=r"\(nfs4\).*local disk.*--store postgresql"):
        refuse_network_folder(Path("/home/me/study.db"), mounts)
    refuse_network_folder(Path("/home/me/scratch/study.db"), mounts)
    refuse_network_folder(Path("/home/me/study.db"), mounts.with_name("nothing"))
