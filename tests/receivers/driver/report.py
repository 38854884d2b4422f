"""Prints one line per sentence and counts them; a sentence whose proof raises has failed."""


class Report:
    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.skipped = []

    def check(self, sentence, prove, *arguments):
        if self.survives(sentence, prove, *arguments):
            self.passed += 1
            print(f"ok - {sentence}", flush=True)

    def survives(self, sentence, run, *arguments):
        """Runs what other checks stand on: silent when it goes well."""
        try:
            run(*arguments)
            return True
        except Exception as error:
            self.failed += 1
            print(f"FAIL - {sentence}: {type(error).__name__}: {error}", flush=True)
            return False

    def skip(self, name, why):
        """For what this machine has not: said here, and once more at the end."""
        self.skipped.append(name)
        print(f"skip - {name}: {why}", flush=True)

    def note(self, words):
        """What was seen and is no claim."""
        print(f"     {words}", flush=True)

    def summary(self):
        skipped = f", {len(self.skipped)} skipped: {', '.join(self.skipped)}" if self.skipped else ""
        return f"receivers: {self.passed} passed, {self.failed} failed{skipped}"
