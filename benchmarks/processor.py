"""What figures depend on: the processor by its vectors and caches, and the versions of what was measured."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("numpy", "scipy", "torch", "jax")


def processor() -> str:
    """The processor and the versions, on one line."""
    versions = []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return f"{kind()}; Python {platform.python_version()}, {', '.join(versions)}."


def kind() -> str:
    """Vector width and sizes of the caches of a core, as far as the system tells them."""
    cpuinfo = Path("/proc/cpuinfo")
    flags = cpuinfo.read_text() if cpuinfo.exists() else ""
    vectors = "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else platform.machine()
    caches = []
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, size, sort = ((folder / n).read_text().strip() for n in ("level", "size", "type"))
        if sort != "Instruction":
            caches.append(f"L{level} {size}")
    return f"{vectors}, {', '.join(caches)}" if caches else vectors
