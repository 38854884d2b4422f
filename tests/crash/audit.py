"""Draws the verdict, from the journals and nothing else."""

from collections import Counter

from accounts import Promises, Receipts, Request
from checks import deliveries, servers, waits
from history import History
from journal import Reading
from tokens import Verifier
from verdict import Verdict


def audited(folder):
    def journal(name):
        return Reading(folder / f"{name}.journal").more()

    history = History(journal("harness"))
    promises = Promises(journal("publishers"))
    verifier = Verifier(history.keys_at_the_end.values(), history.issuer, history.receiver_url)
    receipts = Receipts(journal("receiver"), verifier)
    key_requests = [Request.noted(record) for record in journal("keys")]

    verdict = Verdict()
    manners = Counter(absence.manner for absence in history.absences)
    verdict.row("nodes killed", f"{len(history.kills)} times, of {len(history.nodes())}")
    verdict.row("database crashed", f"{manners['immediate']} times at once, {manners['killed']} times like its host")
    deliveries.judge(verdict, history, promises, receipts)
    waits.judge(verdict, history, promises, receipts)
    servers.judge(verdict, history, promises, key_requests)
    return verdict
