"""Runs the real Signet against receivers that other people wrote; each sentence that holds is printed as one."""

import argparse
import os
import signal
import sys

from checks import (
    clients,
    encrypted,
    collecting,
    hanko,
    hellojohn,
    hellojohn_hooks,
    hellojohn_sample,
    hellojohn_stamped,
    pyjwt_client,
    readme,
    rotation,
    security_events,
    signed_hooks,
    standard_libraries,
    standard_webhooks,
    userhub,
    userhub_users,
)
from driver.report import Report
from driver.stage import Stage

SECTIONS = [
    hanko,
    pyjwt_client,
    standard_webhooks,
    standard_libraries,
    rotation,
    clients,
    hellojohn,
    hellojohn_sample,
    hellojohn_stamped,
    hellojohn_hooks,
    signed_hooks,
    userhub,
    userhub_users,
    security_events,
    encrypted,
    collecting,
    readme,
]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--signet", required=True, help="path of the signet binary")
    parser.add_argument("--only", choices=[name_of(section) for section in SECTIONS], help="one section instead of all")
    parser.add_argument("--in-real-time", action="store_true", help="rotate at the pace of the libraries' own caches")
    arguments = parser.parse_args()
    sections = [section for section in SECTIONS if arguments.only in (None, name_of(section))]

    # Everything speaks on the loopback: a proxy of the machine must not stand in between.
    os.environ["no_proxy"] = "127.0.0.1"
    for interrupt in [signal.SIGINT, signal.SIGTERM]:
        signal.signal(interrupt, lambda *_: sys.exit("receivers: interrupted"))

    report = Report()
    with Stage(arguments.signet, arguments.in_real_time) as stage:
        report.survives("Signet starts", check_all, report, stage, sections)
        if report.failed:
            stage.print_logs()
    print(report.summary())
    return 1 if report.failed else 0


def name_of(section):
    return section.__name__.rsplit(".", 1)[1]


def check_all(report, stage, sections):
    signet = stage.start_signet()
    for section in sections:
        report.survives(section.TITLE, section.check, report, stage, signet)


if __name__ == "__main__":
    sys.exit(main())
