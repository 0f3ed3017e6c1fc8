"""The work that a verdict may take, and how it is divided.

A budget has an end, on the clock of work that this thread did (`normal_form.work_time`), so a verdict does not depend
on what else the machine does. Only where a busy machine would not come to that end before whoever waits gives up,
there is less: what is known by then is to be told. `part` gives a task its share of what is left: what the table says,
and more for each line that there is to do.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import NamedTuple

from symbackprop.normal_form.work_time import is_counted, worked

LEAST = 0.05  # seconds: a task that is begun at all gets so much
CHECK = 60.0  # what a model of a dozen transformer blocks takes; one layer takes a fraction of a second
VERIFY = 5.0  # for a proof of a formula, and as much for a counterexample


class Share(NamedTuple):
    """What a task gets, in seconds of work on an idle machine.

    Args:
        a_line: more for each line.
        most: of all that is left, where something must come after it.
    """

    seconds: float
    a_line: float = 0.0
    most: float = 1.0


SHARES: dict[str, Share] = {
    # numbers that may refute: most wrong backward passes show at once
    "first look": Share(0.35),
    "directed look": Share(0.35),
    "last look": Share(2.0),
    "look at stated sizes": Share(0.12),
    "look at what does not fit": Share(5.0),
    "a clearer disagreement": Share(0.5),
    "a smaller example": Share(0.2),
    "which are wrong": Share(0.15),
    "which of the unproved are wrong": Share(1.0),
    # proofs: quick ones, then patient ones, all of these together
    "whole": Share(0.2),
    "composed": Share(1.0, 0.15, most=0.85),  # what was found is replayed
    "composed, of steps": Share(1.0, 0.5, most=0.85),
    "lemma": Share(1.0),
    "lemma about a step": Share(4.0),  # of all neighbours in a table at once
    "fewer definitions": Share(0.4),  # to find out which are not needed
    "written out": Share(1.0),
    "named": Share(1.0),
    "whole, patiently": Share(2.0),
    "whole, of matrices": Share(4.0, 0.1),
    "patient": Share(5.0),
    "which are right": Share(3.0, 0.02, most=0.5),  # the cause is sought by what was found
    "without rounding": Share(2.0),
    # before PROVED is said: what is asked for, where it does not hold, and beside thresholds
    "cross-examination": Share(60.0),
    "conditions": Share(0.5, 0.05),
    "outside": Share(1.5),
    "branches": Share(0.1),
    "branches at stated sizes": Share(0.05),
    # the cause of what is refuted, and its cure
    "cause": Share(2.0, 0.06),
    "several causes": Share(4.0, 0.12),  # where one fault is not all
    "comparison": Share(0.4),
    "another forward pass": Share(0.6),
    "without rare branches": Share(2.0, 0.06),
    "likely edits": Share(0.8, 0.02),
    "plausible edits": Share(0.3, 0.02),
    "several edits": Share(0.3),
    "unlikely edits": Share(0.3, 0.02),
    "double edits": Share(0.5),
    "a better edit": Share(0.15),
    "whole cure": Share(0.3),
    "composed cure": Share(10.0),
    "cured code": Share(2.0),
    # where there is no proof for all sizes
    "stated sizes": Share(9.0),
    "trace at stated sizes": Share(10.0),
    # what a run of the user's code may take, and what is never reached: there numbers must not depend on the machine
    "run of the user's code": Share(2.0),
    "a false claim": Share(20.0),
}


class Waiting(NamedTuple):
    """Somebody waits for an answer.

    Args:
        work, wall: when the wait began, on the clocks of work and on the wall.
        until: when it ends, on the wall.
    """

    work: float
    wall: float
    until: float

    @property
    def left(self) -> float:
        """How much may be worked until then, at the pace so far."""
        if is_counted():
            return math.inf
        now = time.monotonic()
        pace = (worked() - self.work + LEAST) / (now - self.wall + LEAST)
        return (self.until - now) * min(1.0, pace)


@dataclass(frozen=True)
class Budget:
    """The work that is left.

    Args:
        end: on the clock of work.
        waiting: who waits for the answer.
    """

    end: float
    waiting: Waiting | None = None

    @classmethod
    def of(cls, seconds: float) -> Budget:
        """So much, from now on."""
        return cls(worked() + seconds)

    @classmethod
    def awaited(cls, seconds: float) -> Budget:
        """So much, from now on, for somebody who waits as long."""
        work, wall = worked(), time.monotonic()
        return cls(work + seconds, Waiting(work, wall, wall + seconds))

    @property
    def _left(self) -> float:
        left = self.end - worked()
        return left if self.waiting is None else min(left, self.waiting.left)

    @property
    def left(self) -> float:
        """Seconds until the end, a few hundredths at least."""
        return max(LEAST, self._left)

    @property
    def spent(self) -> bool:
        """True once nothing more is to be begun."""
        return self._left < 0

    def part(self, task: str, lines: int = 0) -> Budget:
        """What a task gets of it, from now on."""
        share = SHARES[task]
        seconds = min(share.most * self.left, share.seconds + share.a_line * lines)
        return Budget(min(self.end, worked() + seconds), self.waiting)

    @property
    def wall(self) -> float:
        """Seconds on the wall until whoever waits for the answer gives up."""
        return math.inf if self.waiting is None else self.waiting.until - time.monotonic()

    def sooner(self) -> Budget:
        """The same, but for a tenth of the time that somebody waits still: what is known is then to be told."""
        if self.waiting is None:
            return self
        return Budget(self.end, self.waiting._replace(until=self.waiting.until - self.wall / 10))

    def half(self) -> Budget:
        """Half of what is left; nothing of nothing."""
        return self if self.spent else Budget(worked() + self.left / 2, self.waiting)
