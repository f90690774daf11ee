"""Whether a folder lies on a network file system, where SQLite can't keep its promises."""

from __future__ import annotations

import os
from pathlib import Path

from windtunnel.errors import WindtunnelError

# Of these, locks and shared memory between machines are missing or unreliable, which SQLite's
# write-ahead log needs (sqlite.org/wal.html, "all processes must be on the same host").
_NETWORKS = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "ceph", "afs"),
        *("glusterfs", "orangefs", "pvfs2", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph"),
        *("fuse.s3fs", "fuse.gcsfuse", "fuse.rclone"),
    }
)
_MOUNTS = Path("/proc/self/mountinfo")


def refuse_network_folder(database: Path, mounts: Path = _MOUNTS) -> None:
    """Refuse a SQLite file on a network file system.

    Args:
        database: The file, there or not yet.
        mounts: Where Linux lists what is mounted; nothing is refused where it isn't.

    Raises:
        WindtunnelError: It lies on one.
    """
    kind = file_system(database, mounts)
    if kind in _NETWORKS:
        raise WindtunnelError(
            f"store {database}: this folder is on a network file system ({kind}), where SQLite can "
            "lose what several processes write. Keep the study on a local disk, or its runs in "
            "PostgreSQL: --store postgresql+psycopg://user@host/name"
        )


def file_system(path: Path, mounts: Path = _MOUNTS) -> str | None:
    """The type of the file system that a path lies on; None where that can't be told."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    place = os.path.realpath(path)
    best, kind = -1, None
    for line in lines:
        own, _, rest = line.partition(" - ")
        fields = own.split(" ")
        if len(fields) < 5 or not rest:
            continue
        root = fields[4].replace("\\040", " ")
        inside = place == root or place.startswith(root.rstrip("/") + "/")
        # Of two mounts at one place the later one is what is seen.
        if inside and len(root) >= best:
            best, kind = len(root), rest.split(" ")[0]
    return kind
