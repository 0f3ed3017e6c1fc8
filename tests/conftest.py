"""Settings of all tests."""

import time

import pytest
from hypothesis import settings

# a slow machine is no failure, and a failure shows itself again in the next run
settings.register_profile("symbackprop", deadline=None, derandomize=True)
settings.load_profile("symbackprop")


@pytest.fixture
def own_time(monkeypatch):
    """Limits of searches count the time that this process works, so that what else the machine does decides nothing."""
    monkeypatch.setattr(time, "perf_counter", time.process_time)
    monkeypatch.setattr(time, "monotonic", time.process_time)
