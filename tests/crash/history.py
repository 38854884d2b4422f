"""What the harness did to the servers, from its own journal: who lived when, and when the database was away."""

from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property
from math import inf


@dataclass
class Life:
    """One run of a node's process. It counts as ready until the instant before it is killed."""

    node: int
    started_at: float
    ready_at: float = inf
    ended_at: float = inf
    was_killed: bool = False

    def was_ready(self):
        return self.ready_at < self.ended_at


@dataclass
class Absence:
    """One crash of the database. It is gone for certain from `gone_at` until it is `started_at` again."""

    manner: str
    begun_at: float
    gone_at: float
    started_at: float = inf
    ready_at: float = inf


class History:
    def __init__(self, records):
        self.receiver_url, self.issuer = None, None
        self.lives = []
        self.absences = []
        self.keys_at_the_end = {}
        self._states_at_the_end = {}
        for record in sorted(records, key=lambda record: record["at"]):
            self._add(record)

    def _add(self, record):
        at = record["at"]
        match record["what"]:
            case "node started":
                self.lives.append(Life(record["node"], at))
            case "node ready":
                self._last_life(record).ready_at = at
            case "node killed":
                life = self._last_life(record)
                life.ended_at, life.was_killed = record["begun_at"], True
            case "node ended unasked":
                self._last_life(record).ended_at = at
            case "database crashed":
                self.absences.append(Absence(record["manner"], record["begun_at"], at))
            case "database started" if self.absences:
                self.absences[-1].started_at = at
            case "database ready" if self.absences:
                self.absences[-1].ready_at = at
            case "receiver listens":
                self.receiver_url, self.issuer = record["url"], record["issuer"]
            case "keys":
                self.keys_at_the_end[record["node"]] = record["body"]
            case "state":
                self._states_at_the_end[record["door"], record["event_id"]] = record["delivery"]

    def _last_life(self, record):
        return next(life for life in reversed(self.lives) if life.node == record["node"])

    def nodes(self):
        return sorted({life.node for life in self.lives})

    def state_at_the_end(self, door, event_id):
        """What a node said of a delivery that had not arrived."""
        return self._states_at_the_end.get((door, event_id), {})

    @cached_property
    def kills(self):
        """The instants before nodes were killed."""
        return sorted(life.ended_at for life in self.lives if life.was_killed)

    def first_kill(self, begin, end):
        following = self.kills[bisect_left(self.kills, begin) :]
        return following[0] if following and following[0] <= end else None

    def first_absence(self, begin, end):
        """The first crash of the database that lies in this time, at least in part."""
        position = bisect_left(self.absences, begin, key=lambda absence: absence.ready_at)
        following = self.absences[position:]
        return following[0] if following and following[0].begun_at <= end else None

    def is_calm(self, begin, end):
        return self.first_kill(begin, end) is None and self.first_absence(begin, end) is None

    def had_no_database(self, begin, end):
        """Whether there was none at any instant of this time."""
        absence = self.first_absence(begin, end)
        return absence is not None and absence.gone_at <= begin and end <= absence.started_at

    def is_up(self, node, begin, end):
        """Whether one life of the node was ready for the whole of this time."""
        return any(life.node == node and life.ready_at <= begin and end <= life.ended_at for life in self.lives)

    def unserved_s(self, begin, end):
        """How long, in this time, nobody could have delivered."""
        return sum(max(0, min(end, until) - max(begin, since)) for since, until in self._unserved)

    @cached_property
    def _unserved(self):
        """When the database was away or no node was ready."""
        served = merged((life.ready_at, life.ended_at) for life in self.lives)
        begins, ends = [begin for begin, _ in served], [end for _, end in served]
        away = [(absence.begun_at, absence.ready_at) for absence in self.absences]
        return merged([*zip([-inf, *ends], [*begins, inf]), *away])


def merged(spans):
    """The same time, as spans that neither touch nor overlap."""
    union = []
    for begin, end in sorted(span for span in spans if span[0] < span[1]):
        if union and begin <= union[-1][1]:
            union[-1] = (union[-1][0], max(end, union[-1][1]))
        else:
            union.append((begin, end))
    return union
