"""`symbackprop` and `python -m symbackprop` are the command line.

Imports take a second, in which somebody may press Ctrl-C already: `main` answers that as it does later on.
"""

from __future__ import annotations

import importlib
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Load the command line and run it."""
    try:
        importlib.import_module("symbackprop.cli").main()
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted\n")
    sys.exit(130)


if __name__ == "__main__":
    main()
