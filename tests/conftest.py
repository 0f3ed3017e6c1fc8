"""Settings of all tests."""

from hypothesis import settings

# a slow machine is no failure, and a failure shows itself again in the next run
settings.register_profile("symbackprop", deadline=None, derandomize=True)
settings.load_profile("symbackprop")
