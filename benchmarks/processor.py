"""What figures depend on: the processor by its vectors and caches, and the versions of what was measured."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from symbackprop.codegen.processor import kind

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
