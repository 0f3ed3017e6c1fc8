"""Prints the lowest version that pyproject.toml allows of each dependency and of what draws pictures."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
for wanted in (*project["dependencies"], *project["optional-dependencies"]["plot"]):
    name, version = re.match(r"([\w-]+)>=([\w.]+)", wanted).groups()
    print(f"{name}=={version}")
