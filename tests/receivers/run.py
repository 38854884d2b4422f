"""Runs the real Signet against receivers that other people wrote; each sentence that holds is printed as one."""

import argparse
import os
import signal
import sys

from checks import hanko, hellojohn, pyjwt_client, readme, rotation, standard_webhooks
from driver.report import Report
from driver.stage import Stage

SECTIONS = [hanko, pyjwt_client, standard_webhooks, rotation, hellojohn, readme]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--signet", required=True, help="path of the signet binary")
    signet_path = parser.parse_args().signet

    # Everything speaks on the loopback: a proxy of the machine must not stand in between.
    os.environ["no_proxy"] = "127.0.0.1"
    for interrupt in [signal.SIGINT, signal.SIGTERM]:
        signal.signal(interrupt, lambda *_: sys.exit("receivers: interrupted"))

    report = Report()
    with Stage(signet_path) as stage:
        report.survives("Signet starts", check_all, report, stage)
        if report.failed:
            stage.print_logs()
    print(report.summary())
    return 1 if report.failed else 0


def check_all(report, stage):
    signet = stage.start_signet()
    for section in SECTIONS:
        report.survives(section.TITLE, section.check, report, stage, signet)


if __name__ == "__main__":
    sys.exit(main())
