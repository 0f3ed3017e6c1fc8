"""What speed depends on: the processor by its vectors and caches, and the folder where what was measured is kept.

Main names: `kind`, `cache_folder`.
"""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path


@cache
def kind() -> str:
    """The width of vectors and the caches of a core: "AVX-512, L1 32K, L2 1024K"; less where less is told."""
    caches = []
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, size, sort = ((folder / name).read_text().strip() for name in ("level", "size", "type"))
        except OSError:
            continue
        if sort != "Instruction":
            caches.append(f"L{level} {size}")
    return ", ".join([vectors(), *caches])


@cache
def vectors() -> str:
    """AVX-512, AVX2, or the name of another kind of machine."""
    try:
        flags = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return platform.machine()
    return "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else platform.machine()


def cache_folder() -> Path:
    """The user's folder for what can be made again."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "symbackprop"
