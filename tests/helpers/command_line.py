"""The command line in the process of the test, where the process is not the point: imports take a second each time."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import warnings
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

from symbackprop.cli import main

QUIET = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)  # Python shows them to nobody


def run_here(arguments: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """What `symbackprop ARGUMENTS` prints in `folder` and how it ends; a warning stands in stderr, as it would there."""
    out, err, status = io.StringIO(), io.StringIO(), 0
    places = contextlib.chdir(folder), mock.patch.dict(os.environ, {"COLUMNS": "80", "TERM": "dumb"})
    with warnings.catch_warnings(record=True) as seen, contextlib.ExitStack() as stack:
        warnings.simplefilter("always")
        for place in (*places, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)):
            stack.enter_context(place)
        try:
            main(list(arguments))
        except SystemExit as end:
            status = end.code
    said = [f"{w.category.__name__}: {w.message}\n" for w in seen if not issubclass(w.category, QUIET)]
    return subprocess.CompletedProcess(list(arguments), status, out.getvalue(), "".join([err.getvalue(), *said]))
