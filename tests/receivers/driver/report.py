"""Prints one line per sentence and counts them; a sentence whose proof raises has failed."""


class Report:
    def __init__(self):
        self.passed = 0
        self.failed = 0

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

    def summary(self):
        return f"receivers: {self.passed} passed, {self.failed} failed"
