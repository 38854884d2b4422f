"""How long deliveries had to wait, and for what: nobody waits for a dead node until the end of its lease."""

from verdict import spread

SERVED_WITHIN_S = 10
# A claim whose commit nobody heard of is due again when its lease ends: after 40 s, and a look into the queue.
SERVED_AFTER_A_DATABASE_CRASH_WITHIN_S = 50
# What a node sent before it was killed may be noted so long after it.
ON_THE_WAY_S = 1


def judge(verdict, history, promises, receipts):
    judge_arrivals(verdict, history, promises, receipts)
    judge_repetitions(verdict, history, receipts)
    judge_retries(verdict, receipts)


def judge_arrivals(verdict, history, promises, receipts):
    """From acceptance to arrival. Refusals are left out: they wait for their retry on purpose."""
    waits, accepted = Waits(history), promises.accepted()
    for (door, name), arrived_at in receipts.arrived().items():
        if name in accepted and not receipts.deliveries[door, name].refused_at():
            event = accepted[name]
            waits.add(f"{name} at {door}", event.begun_at, event.accepted_at, arrived_at)
    waits.judge(verdict, "arrived")


def judge_repetitions(verdict, history, receipts):
    """An attempt whose end nobody wrote down is made once more, as soon as its node is known to be dead."""
    waits = Waits(history)
    for (door, name), delivery in receipts.deliveries.items():
        for made_at, again_at in delivery.repeated():
            waits.add(f"{name} at {door}", made_at - ON_THE_WAY_S, made_at, again_at)
    waits.judge(verdict, "attempted again")
    wanton = [f"{what}: after {wait_s:.2f} s" for wait_s, what in waits.undisturbed]
    verdict.forbid("attempted again although nothing went wrong meanwhile", wanton)


def judge_retries(verdict, receipts):
    arrived = receipts.arrived()
    refused = {key: delivery.refused_at() for key, delivery in receipts.deliveries.items() if delivery.refused_at()}
    spans = [arrived[key] - max(refused_at) for key, refused_at in refused.items() if key in arrived]
    verdict.row("refused at first", f"{len(refused)}, {spread(spans)} until they arrived")


class Waits:
    """Spans of waiting, by what went wrong meanwhile. Time in which nobody could have served is not counted."""

    def __init__(self, history):
        self._history = history
        self.undisturbed = []
        self._over_a_kill = []
        self._over_a_crash = []

    def add(self, what, begun_at, since, until):
        """Things could go wrong from `begun_at`; the wait is counted from `since`, or from what went wrong after it."""
        absence = self._history.first_absence(begun_at, until)
        kill = self._history.first_kill(begun_at, until)
        group = self._over_a_crash if absence else self._over_a_kill if kill else self.undisturbed
        mishaps = [at for at in [kill, absence and absence.begun_at] if at is not None]
        since = max(since, min(mishaps, default=since))
        group.append((max(0, until - since - self._history.unserved_s(since, until)), what))

    def judge(self, verdict, done):
        for circumstance, group, bound_s in [
            ("undisturbed", self.undisturbed, SERVED_WITHIN_S),
            ("over a kill", self._over_a_kill, SERVED_WITHIN_S),
            ("over a crash", self._over_a_crash, SERVED_AFTER_A_DATABASE_CRASH_WITHIN_S),
        ]:
            label = f"{done}, {circumstance}"
            verdict.row(label, f"{len(group)}, {spread([wait_s for wait_s, _ in group])} of waiting")
            late = [f"{what}: {wait_s:.1f} s" for wait_s, what in sorted(group, reverse=True) if wait_s > bound_s]
            verdict.forbid(f"{label}, not within {bound_s} s", late)
