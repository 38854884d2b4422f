"""How the servers bore it: what they answered, how soon they were back, and that they served their keys meanwhile."""

from bisect import bisect_left
from collections import Counter, defaultdict
from math import inf

from verdict import spread

ACCEPTS_AGAIN_WITHIN_S = 10


def judge(verdict, history, promises, key_requests):
    judge_answers(verdict, history, promises.requests)
    judge_absences(verdict, history, promises.requests)
    judge_returns(verdict, history, promises.requests)
    judge_keys(verdict, history, key_requests)
    judge_lives(verdict, history)


def judge_answers(verdict, history, requests):
    statuses = Counter(request.status or "none" for request in requests)
    verdict.row("answers to publishers", ", ".join(f"{count} of {status}" for status, count in statuses.items()))
    other = [request for request in requests if request.status not in {202, 503, None}]
    verdict.forbid("an answer is neither 202 nor 503", other)
    endless = [request for request in requests if request.status == 503 and not request.retry_after]
    verdict.forbid("a 503 does not say when to come back", endless)
    silent = [request for request in requests if request.status is None and was_up(history, request)]
    verdict.forbid("a node that was up gave no answer", silent)


def judge_absences(verdict, history, requests):
    refused = [request for request in requests if request.status == 503]
    touched = [request for request in refused if history.first_absence(request.begun_at, request.ended_at)]
    took = spread([request.took_s() for request in refused])
    others = len(refused) - len(touched)
    verdict.row("answers of 503", f"{len(touched)} while the database was away, {others} else; in {took}")
    alone = [request for request in requests if history.had_no_database(request.begun_at, request.ended_at)]
    verdict.forbid("accepted without a database", [request for request in alone if request.status == 202])


def judge_returns(verdict, history, requests):
    """Every node that lives through a crash of the database accepts again, soon after the database answers."""
    acceptances = defaultdict(list)
    for request in sorted(requests, key=lambda request: request.begun_at):
        if request.status == 202:
            acceptances[request.node].append(request)
    waits = []
    for absence in history.absences:
        for node in history.nodes():
            accepted = acceptances[node]
            first = bisect_left(accepted, absence.gone_at, key=lambda request: request.begun_at)
            back_at = accepted[first].ended_at if first < len(accepted) else inf
            if history.is_up(node, absence.begun_at, min(back_at, absence.ready_at + ACCEPTS_AGAIN_WITHIN_S)):
                waits.append((max(0, back_at - absence.ready_at), node))
    spans = [wait_s for wait_s, _ in waits]
    verdict.row("nodes accept again", f"{len(waits)} times, in {spread(spans)} after the database answers")
    late = [f"node {node} after {wait_s:.1f} s" for wait_s, node in waits if wait_s > ACCEPTS_AGAIN_WITHIN_S]
    verdict.forbid(f"a node did not accept again within {ACCEPTS_AGAIN_WITHIN_S} s", late)


def judge_keys(verdict, history, key_requests):
    served = [request for request in key_requests if request.status == 200]
    away = [request for request in served if history.first_absence(request.begun_at, request.ended_at)]
    verdict.row("key sets served", f"{len(served)}, {len(away)} of them while the database was away")
    failed = [request for request in key_requests if request.status != 200 and was_up(history, request)]
    verdict.forbid("a node that was up served no keys", failed)
    sets = set(history.keys_at_the_end.values())
    verdict.forbid("nodes serve different keys in the end", sorted(sets) if len(sets) > 1 else [])


def judge_lives(verdict, history):
    starts = [life.ready_at - life.started_at for life in history.lives if life.was_ready()]
    verdict.row("starts of nodes", f"{len(history.lives)}, ready in {spread(starts)}")
    unasked = [life for life in history.lives if not life.was_killed and life.ended_at < inf]
    verdict.forbid("a node that was ready ended unasked", [life for life in unasked if life.was_ready()])
    given_up = [life for life in unasked if not life.was_ready()]
    verdict.row("starts given up", f"{len(given_up)}, for want of the database")
    wanton = [life for life in given_up if not history.first_absence(life.started_at, life.ended_at)]
    verdict.forbid("a node did not start although the database was there", wanton)


def was_up(history, request):
    return history.is_up(request.node, request.begun_at, request.ended_at)
