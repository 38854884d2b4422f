"""What became of accepted events: none is lost, few come twice, each has one id."""

from accounts import DOORS

DUPLICATES_SHARE_MAX = 0.01
TERMINAL = {"exhausted", "cancelled"}


def judge(verdict, history, promises, receipts):
    judge_losses(verdict, history, promises, receipts)
    judge_duplicates(verdict, receipts)
    judge_ids(verdict, promises, receipts)
    verdict.forbid("a subscriber could not believe a request", receipts.unbelievable)
    verdict.forbid("an event does not concern every webhook", promises.misled)


def judge_losses(verdict, history, promises, receipts):
    accepted, arrived = promises.accepted(), receipts.arrived()
    owed = [(door, name) for name in accepted for door in DOORS]
    missing = [
        (door, event_id) for door, name in owed if (door, name) not in arrived for event_id in accepted[name].event_ids
    ]
    lost = [key for key in missing if history.state_at_the_end(*key).get("status") not in TERMINAL]
    lasted_s = max((event.accepted_at for event in accepted.values()), default=0) - promises.begun_at()
    rate = len(accepted) / max(1, lasted_s)
    verdict.row("events accepted", f"{len(accepted)}, {rate:.0f}/s; {promises.replays} of the answers were repetitions")
    verdict.row("deliveries expected", f"{len(owed)}")
    verdict.row("lost", f"{len(lost)}; {len(missing) - len(lost)} ended otherwise, and say so")
    verdict.forbid("accepted and lost", [f"{' '.join(key)}: {history.state_at_the_end(*key)}" for key in lost])
    verdict.forbid("never accepted, however often it was published", sorted(promises.events.keys() - accepted.keys()))


def judge_duplicates(verdict, receipts):
    acknowledged = [len(delivery.acknowledged_at()) for delivery in receipts.deliveries.values()]
    count = sum(times - 1 for times in acknowledged if times > 1)
    share = count / max(1, len(receipts.arrived()))
    verdict.row("acknowledged again", f"{count}, {share:.2%} of deliveries")
    if share > DUPLICATES_SHARE_MAX:
        verdict.forbid(f"more than {DUPLICATES_SHARE_MAX:.0%} of deliveries came again", [f"{share:.2%}"])


def judge_ids(verdict, promises, receipts):
    accepted, deliveries = promises.accepted(), receipts.deliveries.items()
    ambiguous = [f"{name}: {event.event_ids}" for name, event in accepted.items() if len(event.event_ids) > 1]
    verdict.forbid("a name was accepted under two ids", ambiguous)
    changed = [f"{key}: {delivery.event_ids}" for key, delivery in deliveries if len(delivery.event_ids) > 1]
    verdict.forbid("an event came under two ids", changed)
    foreign = [
        f"{name} at {door}: {delivery.event_ids}"
        for (door, name), delivery in deliveries
        if name not in accepted or not delivery.event_ids <= accepted[name].event_ids
    ]
    verdict.forbid("an event came under an id under which it was not accepted", foreign)
