"""How much memory this process has taken, and how much it may take."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

_STATUS = "/proc/self/status"
_CGROUPS = "/proc/self/cgroup"
_MOUNTED = "/sys/fs/cgroup"


def forget_peak() -> None:
    """Has `peak` begin anew. Raises OSError where Linux's /proc is not there or not writable."""
    Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    """Returns the most bytes that were resident since `forget_peak`."""
    lines = Path(_STATUS).read_text().splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return 1024 * int(kilobytes)


def room() -> int:
    """Returns how many bytes this process may have in all: what is free, and what it has.

    A container's limit counts where it is lower than the machine's memory.
    """
    own = psutil.Process().memory_info().rss
    limits = [limit - used for limit, used in container_limits()]
    return own + max(0, min([psutil.virtual_memory().available, *limits]))


def container_limits(groups: str = _CGROUPS, mounted: str = _MOUNTED) -> list[tuple[int, int]]:
    """Returns limit and use, in bytes, of each control group that this process belongs to.

    Files that the system keeps in memory do not count as used: it drops them when it must.

    Args:
      groups: the file that names the groups.
      mounted: where they are.
    """
    found = []
    with contextlib.suppress(OSError, ValueError):  # not on Linux
        for line in Path(groups).read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":  # version 2
                names = "memory.max", "anon"
                root = Path(mounted)
            elif "memory" in controllers.split(","):
                names = "memory.limit_in_bytes", "total_rss"
                root = Path(mounted) / "memory"
            else:
                continue
            folder = root / path.lstrip("/")  # within a container it is another, the root itself
            for place in {root, *(f for f in (folder, *folder.parents) if root in f.parents)}:
                found += _limit_of(place, *names)
    return found


def _limit_of(group: Path, limit_file: str, used: str) -> list[tuple[int, int]]:
    with contextlib.suppress(OSError, ValueError, KeyError):  # none, or the word `max`
        limit = int((group / limit_file).read_text())
        lines = (group / "memory.stat").read_text().splitlines()
        return [(limit, int(dict(line.split() for line in lines)[used]))]
    return []
