"""The books: what the publishers were promised and what the subscribers got, each from its own journal alone."""

from collections import defaultdict
from dataclasses import dataclass, field

import jwt

DOORS = ["/near", "/far"]


@dataclass
class Event:
    """What its publisher knows: a name from the start, and ids from acceptances."""

    begun_at: float
    accepted_at: float | None = None
    event_ids: set[str] = field(default_factory=set)


@dataclass
class Arrival:
    """One request to a subscriber; its token verifies."""

    at: float
    attempt: str
    status: int


@dataclass
class Delivery:
    """What a subscriber knows of an event."""

    arrivals: list[Arrival] = field(default_factory=list)
    event_ids: set[str] = field(default_factory=set)

    def acknowledged_at(self):
        return [arrival.at for arrival in self.arrivals if arrival.status == 200]

    def refused_at(self):
        return [arrival.at for arrival in self.arrivals if arrival.status != 200]

    def repeated(self):
        """When an attempt was made, and when it was made again since nobody had written down its end."""
        following = zip(self.arrivals, self.arrivals[1:])
        return [(first.at, again.at) for first, again in following if first.attempt == again.attempt]


@dataclass
class Request:
    """One request to a node; without a status when there was no whole answer."""

    node: int
    begun_at: float
    ended_at: float
    status: int | None
    retry_after: str | None
    told: str

    @classmethod
    def noted(cls, record):
        told = record.get("error") or record.get("body") or ""
        instants = record["begun_at"], record["at"]
        return cls(record["node"], *instants, record.get("status"), record.get("retry_after"), told)

    def took_s(self):
        return self.ended_at - self.begun_at


class Promises:
    def __init__(self, records):
        self.events = {}
        self.requests = []
        self.replays = 0
        self.misled = []
        for record in records:
            self._add(record)

    def begun_at(self):
        return min((event.begun_at for event in self.events.values()), default=0)

    def accepted(self):
        return {name: event for name, event in self.events.items() if event.event_ids}

    def _add(self, record):
        self.requests.append(Request.noted(record))
        event = self.events.setdefault(record["name"], Event(record["begun_at"]))
        if record.get("status") != 202:
            return
        event.event_ids.add(record["event_id"])
        event.accepted_at = event.accepted_at or record["at"]
        self.replays += record["is_replay"]
        if record["deliveries"] != len(DOORS):
            self.misled.append(f"{record['event_id']} concerns {record['deliveries']} webhooks")


class Receipts:
    """Deliveries by door and by the name that the publisher gave."""

    def __init__(self, records, verifier):
        self.deliveries = defaultdict(Delivery)
        self.unbelievable = []
        for record in records:
            self._add(record, verifier)

    def arrived(self):
        """When each delivery was acknowledged first."""
        acknowledged = {key: delivery.acknowledged_at() for key, delivery in self.deliveries.items()}
        return {key: min(instants) for key, instants in acknowledged.items() if instants}

    def _add(self, record, verifier):
        try:
            claims = verifier.claims_of(record)
        except jwt.PyJWTError as error:
            self.unbelievable.append(f"{record['webhook_id']} at {record['door']}: {error}")
            return
        delivery = self.deliveries[record["door"], claims["data"]["name"]]
        delivery.event_ids.add(claims["jti"])
        delivery.arrivals.append(Arrival(record["at"], record["attempt"], record["status"]))


class Progress:
    """What is still awaited while the run goes on, by ids; nothing is counted from it."""

    def __init__(self, promises, receipts):
        self._promises = promises
        self._receipts = receipts
        self._owed = set()
        self._acknowledged = set()
        self._accepted_at = defaultdict(float)

    def missing(self):
        """Doors and ids that were accepted and not yet acknowledged."""
        self._look()
        return self._owed - self._acknowledged

    def has_accepted_since(self, node, instant):
        self._look()
        return self._accepted_at[node] > instant

    def _look(self):
        for record in self._promises.more():
            if record.get("status") == 202:
                self._owed |= {(door, record["event_id"]) for door in DOORS}
                self._accepted_at[record["node"]] = record["begun_at"]
        for record in self._receipts.more():
            if record["status"] == 200:
                self._acknowledged.add((record["door"], record["webhook_id"]))
