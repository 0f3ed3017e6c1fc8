"""What new arrays hold that nobody has written, and what happens to the process meanwhile."""

import signal

import numpy as np
import pytest

from symbackprop.checking.unwritten import unwritten_as


def test_what_ctrl_c_raises_comes_when_memory_is_as_it_was():
    """Raised while memory is filled it ended the process: C was given an address of nothing."""
    before, made = signal.getsignal(signal.SIGINT), []

    def interrupted():
        with unwritten_as(np.nan):
            signal.raise_signal(signal.SIGINT)
            made.append(np.empty(3))

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(made) == 1 and np.isnan(made).all()
    assert signal.getsignal(signal.SIGINT) is before
