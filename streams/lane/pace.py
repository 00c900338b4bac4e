"""How long a lane rests between two steps: the busier Kafka and this machine are, the more a step has to be worth.

A transaction costs a worker about 1 ms of CPU and a broker twice that, however little is in it. Lanes that step as
often as they can take away each other's time: with twice as many everybody waits longer. How long commits take tells
how busy it is. So a lane rests for a multiple of that after each step, and what arrives meanwhile goes into the next
one. Who has rested, who has much to do, and what is due by the clock is not held back.
"""

from __future__ import annotations

REST_PER_COMMIT = 4.0
REST_SECONDS_EACH = 0.0065  # at the most, for each lane of the stage here: 150 transactions a second of one stage
RECORDS_ENOUGH = 1_000  # that wait: a step of so many is worth its price
SHARE_OF_NEWEST = 0.1


class StepPace:
    """Of one stage in one worker. `lanes`: how many are open."""

    def __init__(self) -> None:
        self.lanes = 1
        self._commit_seconds = 0.0

    def note(self, commit_seconds: float) -> None:
        """A commit took so long."""
        self._commit_seconds += SHARE_OF_NEWEST * (commit_seconds - self._commit_seconds)

    def rest_seconds(self) -> float:
        """For how long a lane rests after a commit."""
        return min(REST_PER_COMMIT * self._commit_seconds, REST_SECONDS_EACH * self.lanes)
