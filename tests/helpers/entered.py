"""A plugin of pytest: which functions of the package each test enters, and how long it takes.

What is entered while tests are collected, or by fixtures that several tests share, counts for all tests of the file.
"""

import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType

import pytest


def name_of(function: str) -> str:
    """A qualified name without lambdas, comprehensions and the marks of local functions."""
    return ".".join(part for part in function.split(".") if not part.startswith("<"))


class Entered:
    """The plugin.

    Args:
        package: the folder whose functions count.
        told: the file that gets the table, as JSON: for each test that passes its seconds and its functions.
    """

    def __init__(self, package: Path, told: Path) -> None:
        self.package, self.told = str(package), told
        self.shared: set[CodeType] = set()
        self.now = self.shared
        self.tests: dict[str, tuple[float, set[CodeType]]] = {}
        self.failed: set[str] = set()

    def start(self) -> None:
        """Listen to every call, in every thread."""
        threading.settrace(self._called)
        sys.settrace(self._called)

    def _called(self, frame: FrameType, event: str, argument: object) -> None:
        self.now.add(frame.f_code)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.now, start = set(), time.perf_counter()
        self.start()
        result = yield
        self.tests[item.nodeid] = time.perf_counter() - start, self.now
        self.now = self.shared
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[object]) -> Iterator[None]:
        before = self.now
        if fixturedef.scope != "function":
            self.now = self.shared
        result = yield
        self.now = before
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        sys.settrace(None)
        passed = {t: both for t, both in self.tests.items() if t not in self.failed}
        table = {t: (seconds, self._names(codes | self.shared)) for t, (seconds, codes) in passed.items()}
        self.told.write_text(json.dumps(table))

    def _names(self, codes: set[CodeType]) -> list[str]:
        own = (c for c in codes if c.co_filename.startswith(self.package))
        return sorted({f"{Path(c.co_filename).relative_to(self.package)}:{name_of(c.co_qualname)}" for c in own})
