"""The user's own file for `check`: run as a module, then its forward, backward, SHAPES, ASSUME, WHERE, FIXED and
RANGES are taken; a FUNCTION (a torch.autograd.Function, a jax.custom_vjp function) stands for forward and backward.

Main name: `read_user_file`. A forward alone will do where floating point is all that is asked about. What the file
prints goes to standard error, so that --json stays clean.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from symbackprop.errors import DataError, MalformedError


def read_user_file(path: Path, *, alone: bool = False) -> dict[str, Any]:
    """The arguments of `check` that a file names.

    Args:
        alone: whether a file without a backward will do: then "backward" is not among them.

    Raises:
        DataError: no such file, or it fails when it runs; says in which line.
        MalformedError: a name is missing or of the wrong kind.
    """
    module = _run(path)
    names = ("FUNCTION",) if hasattr(module, "FUNCTION") else ("forward", "backward")
    if alone and names[-1] == "backward" and not hasattr(module, "backward"):
        names = ("forward",)
    missing = [name for name in (*names, "SHAPES") if not hasattr(module, name)]
    if missing:
        defined = [name for name in vars(module) if not name.startswith("_")]
        raise MalformedError(
            f"the file does not define {', '.join(missing)}",
            where=str(path),
            evidence=["defined:  " + (", ".join(defined) or "nothing")],
            help='define forward, backward and SHAPES = {"x": ("N", "D"), ...}',
        )
    subjects = [getattr(module, name) for name in names]
    case = {
        "forward": subjects[0],
        **({} if names == ("forward",) else {"backward": subjects[1] if len(subjects) > 1 else None}),
        "shapes": module.SHAPES,
        "assume": getattr(module, "ASSUME", None),
        "where": getattr(module, "WHERE", None),
        "fixed": getattr(module, "FIXED", None),
        "ranges": getattr(module, "RANGES", None),
    }
    for name, kind, wanted in (
        ("SHAPES", dict, "a dictionary"),
        ("ASSUME", dict, "a dictionary"),
        ("WHERE", str, "a text"),
        ("FIXED", dict, "a dictionary"),
        ("RANGES", dict, "a dictionary"),
    ):
        value = case[name.lower()]
        if value is not None and not isinstance(value, kind):
            raise MalformedError(f"{name} must be {wanted}, not {type(value).__name__}", where=str(path))
    for name, subject in zip(names, subjects, strict=True):
        if not callable(subject):
            raise MalformedError(f"{name} must be a function, not {type(subject).__name__}", where=str(path))
    return case


def _run(path: Path) -> ModuleType:
    """Run the file; it can import its neighbours, as under python."""
    if not path.is_file():
        raise DataError("there is no such file" if not path.exists() else "this is not a file", where=str(path))
    path = path.resolve()
    name = f"checked_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise DataError("this is not a Python file", where=str(path), help="give a file that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent))
    try:
        with contextlib.redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise DataError("the file fails when it runs", where=str(path), evidence=_evidence(error, path)) from None
    finally:
        sys.path.remove(str(path.parent))
    return module


def _evidence(error: BaseException, path: Path) -> list[str]:
    """What was raised, and in which line of the file."""
    if isinstance(error, SyntaxError):
        return [(f"line {error.lineno}:  " if error.lineno else "") + error.msg]
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path.resolve())
    ]
    return [(f"line {lines[-1]}:  " if lines else "") + f"{type(error).__name__}: {error}"]
