"""The accountant's own proof: in made-up journals of a good run, each with one thing changed, it finds that thing."""

import json
import tempfile
import time
import unittest
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from accounts import DOORS
from audit import audited

ISSUER = "https://signet.example"
RECEIVER = "http://127.0.0.1:9"
WALL = int(time.time())
NODES = [1, 2]
EVENTS = 100


class GoodRun:
    """Node 2 is killed at 100 and ready again at 102; the database is away from 200 to 203."""

    def __init__(self):
        self._key = ec.generate_private_key(ec.SECP256R1())
        jwk = jwt.algorithms.ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True) | {"kid": "first", "alg": "ES256"}
        self.jwks = json.dumps({"keys": [jwk]})
        self.harness = [noted(0, "receiver listens", url=RECEIVER, issuer=ISSUER)]
        self.harness += [noted(1, "node started", node=node) for node in NODES]
        self.harness += [noted(2, "node ready", node=node) for node in NODES]
        self.harness += [noted(100.1, "node killed", node=2, begun_at=100)]
        self.harness += [noted(101, "node started", node=2), noted(102, "node ready", node=2)]
        self.harness += [noted(200.1, "database crashed", manner="immediate", begun_at=200)]
        self.harness += [noted(201, "database started"), noted(203, "database ready")]
        self.harness += [self.key_set(300, node) for node in NODES]
        self.keys = [self.key_set(at, 1) for at in range(10, 300, 10)]
        self.publishers, self.receiver = [], []
        for number in range(EVENTS):
            self.publish(f"event-{number}", at=10 + number / 4)
        self.publish("late-1", at=204, node=1)
        self.publish("late-2", at=204, node=2)

    def key_set(self, at, node, status=200):
        return noted(at + 0.1, "keys", node=node, begun_at=at, status=status, body=self.jwks)

    def publish(self, name, at, node=1, arrives_at=None):
        """Accepted, and received at both doors."""
        self.publishers.append(acceptance(name, at, node))
        self.receiver += [self.request(name, door, at + 0.2 if arrives_at is None else arrives_at) for door in DOORS]

    def start_in_vain(self, at):
        self.harness += [noted(at, "node started", node=2), noted(at + 0.1, "node ended unasked", node=2, code=1)]

    def request(self, name, door, at, event_id=None, **claims):
        event_id = event_id or f"evt_{name}"
        own = {"iss": ISSUER, "aud": [RECEIVER + door], "iat": WALL - 5, "exp": WALL + 295, "jti": event_id}
        own |= {"evt": "user.created", "data": {"name": name}}
        token = jwt.encode(own | claims, self._key, "ES256", {"kid": "first"})
        facts = {"wall": WALL, "door": door, "webhook_id": event_id, "event": "user.created", "token": token}
        return noted(at, "received", **facts, attempt="1", status=200)

    def faults(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ["harness", "publishers", "receiver", "keys"]:
                lines = [json.dumps(record) + "\n" for record in getattr(self, name)]
                Path(folder, f"{name}.journal").write_text("".join(lines))
            return [line for line in audited(Path(folder)).lines() if line.startswith("FAIL")]


def noted(at, what, **facts):
    return {"what": what, "at": at} | facts


def acceptance(name, at, node=1, event_id=None):
    facts = {"event_id": event_id or f"evt_{name}", "deliveries": len(DOORS), "is_replay": False}
    return noted(at + 0.1, "answered", name=name, node=node, begun_at=at, status=202, **facts)


def refusal(name, at, status=503, **facts):
    return noted(at + 0.1, "answered", name=name, node=1, begun_at=at, status=status, **facts)


class AuditTest(unittest.TestCase):
    def setUp(self):
        self.journals = GoodRun()

    def finds(self, sentence):
        faults = self.journals.faults()
        self.assertEqual(len(faults), 1, faults)
        self.assertIn(sentence, faults[0])

    def test_a_good_run_has_no_faults(self):
        self.assertEqual(self.journals.faults(), [])

    def test_a_delivery_that_never_came_is_lost(self):
        self.journals.receiver.pop()
        self.finds("accepted and lost: 1")

    def test_a_delivery_that_was_given_up_visibly_is_not_lost(self):
        gone = self.journals.receiver.pop()
        facts = {"door": gone["door"], "event_id": gone["webhook_id"], "delivery": {"status": "exhausted"}}
        self.journals.harness.append(noted(299, "state", **facts))
        self.assertEqual(self.journals.faults(), [])

    def test_a_refused_delivery_has_not_arrived(self):
        self.journals.receiver[-1]["status"] = 500
        self.finds("accepted and lost: 1")

    def test_few_deliveries_may_come_again(self):
        self.journals.publish("twice", at=99.5)
        self.journals.receiver += [self.journals.request("twice", door, 105) for door in DOORS]
        self.assertEqual(self.journals.faults(), [])
        self.journals.publish("too", at=99.5)
        self.journals.receiver.append(self.journals.request("too", DOORS[0], 105))
        self.finds("more than 1% of deliveries came again")

    def test_no_attempt_is_made_again_without_a_cause(self):
        self.journals.publish("twice", at=120)
        self.journals.receiver.append(self.journals.request("twice", DOORS[1], 121))
        self.finds("attempted again although nothing went wrong meanwhile: 1")

    def test_an_attempt_is_made_again_soon_after_a_kill(self):
        self.journals.publish("twice", at=99.5)
        self.journals.receiver.append(self.journals.request("twice", DOORS[1], 111))
        self.finds("attempted again, over a kill, not within 10 s: 1")

    def test_an_event_that_comes_under_another_id_is_found(self):
        self.journals.publish("torn", at=99.5)
        self.journals.receiver.append(self.journals.request("torn", DOORS[0], 101, event_id="evt_other"))
        faults = self.journals.faults()
        self.assertIn("under two ids", faults[0])
        self.assertIn("under an id under which it was not accepted", faults[1])

    def test_an_event_that_nobody_published_is_found(self):
        self.journals.receiver.append(self.journals.request("foreign", DOORS[0], 50))
        self.finds("under an id under which it was not accepted")

    def test_a_name_with_two_ids_is_found(self):
        self.journals.publishers.append(acceptance("late-1", 204, event_id="evt_twin"))
        self.finds("a name was accepted under two ids")

    def test_tokens_must_verify(self):
        wrongs = [{"aud": [RECEIVER]}, {"iss": RECEIVER}, {"exp": WALL - 1}, {"jti": "evt_other"}, {"evt": "other"}]
        for wrong in wrongs:
            with self.subTest(wrong):
                self.journals.receiver.append(self.journals.request("event-7", DOORS[0], 50, **wrong))
                self.finds("a subscriber could not believe a request")
                self.journals.receiver.pop()

    def test_a_token_of_an_unknown_key_counts_as_nothing(self):
        self.journals.receiver[-1] = GoodRun().receiver[-1]
        faults = self.journals.faults()
        self.assertIn("accepted and lost: 1", faults[0])
        self.assertIn("a subscriber could not believe a request: 1", faults[1])

    def test_what_a_killed_node_had_in_hand_must_come_soon(self):
        self.journals.publish("owed", at=99.5, arrives_at=109)
        self.assertEqual(self.journals.faults(), [])
        self.journals.publish("owed for long", at=99.5, arrives_at=111)
        self.finds("arrived, over a kill, not within 10 s: 2")

    def test_time_without_a_database_is_not_waited(self):
        self.journals.publish("owed", at=199.5, arrives_at=252)
        self.assertEqual(self.journals.faults(), [])
        self.journals.publish("owed for long", at=199.5, arrives_at=254)
        self.finds("arrived, over a crash, not within 50 s: 2")

    def test_an_undisturbed_event_must_come_soon(self):
        self.journals.publish("slow", at=120, arrives_at=131)
        self.finds("arrived, undisturbed, not within 10 s: 2")

    def test_other_answers_are_found(self):
        self.journals.publishers.append(refusal("late-1", 150, status=500))
        self.finds("an answer is neither 202 nor 503")

    def test_a_refusal_says_when_to_come_back(self):
        self.journals.publishers.append(refusal("late-1", 150, retry_after="1"))
        self.assertEqual(self.journals.faults(), [])
        self.journals.publishers.append(refusal("late-1", 150))
        self.finds("a 503 does not say when to come back")

    def test_only_dead_nodes_may_be_silent(self):
        for node, begun_at in [(2, 99.9), (2, 101)]:
            silence = noted(begun_at + 0.5, "unanswered", name="late-1", node=node, begun_at=begun_at, error="refused")
            self.journals.publishers.append(silence)
        self.assertEqual(self.journals.faults(), [])
        self.journals.publishers.append(noted(101, "unanswered", name="late-1", node=1, begun_at=100, error="refused"))
        self.finds("a node that was up gave no answer: 1")

    def test_nothing_is_accepted_without_a_database(self):
        self.journals.publish("eager", at=200.5)
        self.finds("accepted without a database: 1")

    def test_every_node_must_accept_again(self):
        self.journals.publishers[-1] = acceptance("late-2", 213.5, node=2)
        self.finds("a node did not accept again within 10 s: 1")

    def test_a_node_that_never_accepted_did_not_accept_again(self):
        self.journals.publishers[-1]["node"] = 1
        self.finds("a node did not accept again within 10 s: 1")

    def test_keys_are_served_all_the_time(self):
        self.journals.keys.append(self.journals.key_set(201, 1, status=503))
        self.finds("a node that was up served no keys: 1")

    def test_nodes_publish_the_same_keys(self):
        self.journals.harness[-1]["body"] += "\n"
        self.finds("nodes serve different keys in the end")

    def test_a_node_may_give_up_only_while_it_starts_without_a_database(self):
        self.journals.start_in_vain(201.5)
        self.assertEqual(self.journals.faults(), [])
        self.journals.start_in_vain(250)
        self.finds("a node did not start although the database was there: 1")

    def test_a_node_does_not_end_by_itself(self):
        self.journals.harness.append(noted(250, "node ended unasked", node=2, code=1))
        self.finds("a node that was ready ended unasked: 1")


if __name__ == "__main__":
    unittest.main()
