"""The account at the end: figures as rows of a table, and what may not be, each with examples."""

import statistics

EXAMPLES_MAX = 5


class Verdict:
    def __init__(self):
        self._rows = []
        self._faults = []

    def row(self, label, text):
        self._rows.append((label, text))

    def forbid(self, sentence, offenders):
        """Offenders make the run fail."""
        if offenders:
            self._faults.append((sentence, offenders))

    def is_good(self):
        return not self._faults

    def lines(self):
        width = max(len(label) for label, _ in self._rows)
        yield from (f"  {label:<{width}}  {text}" for label, text in self._rows)
        for sentence, offenders in self._faults:
            yield f"FAIL - {sentence}: {len(offenders)}"
            yield from (f"       {offender}" for offender in offenders[:EXAMPLES_MAX])


def spread(spans_s):
    """The middle and the end of several spans of time, in words."""
    if not spans_s:
        return "-"
    return f"{statistics.median(spans_s):.2f} s (median), {max(spans_s):.2f} s (slowest)"
