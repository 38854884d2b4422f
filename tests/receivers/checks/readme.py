"""The README as a newcomer follows it: its commands and its two receivers, as they are printed there.

Only ports, ids that a command printed, and the two names `cargo` and `signet` stand for something else: a binary that is
already built.
"""

import json
import os
import re
import subprocess
from pathlib import Path

from driver.signet import Signet
from driver.stage import free_port, is_healthy, is_listening, is_running, wait_until

TITLE = "the README's commands can be tried"
README = Path(__file__).resolve().parents[3] / "README.md"
ENDS_WITHIN_S = 60
DELIVERS_WITHIN_S = 15
SUITE = "./tests/all.sh"


def check(report, stage, _signet):
    text = README.read_text()
    for language in ["js", "python"]:
        reader = Reader(stage, text, language)
        report.check(f"the README's first webhook works with its {language} receiver", reader.first_webhook)
        report.check(f"the README's other commands work beside its {language} receiver", reader.operate)


class Reader:
    """Somebody who reads the README from top to bottom, in a folder of their own."""

    def __init__(self, stage, text, language):
        self._stage = stage
        self._language = language
        self._folder = stage.new_folder(f"readme-{language}")
        self._ports = {"8080": str(free_port()), "3000": str(free_port())}
        self._blocks = re.findall(r"```(\w+)\n(.*?)```", self._with_ports(text), re.DOTALL)
        self._environment = stage.shimmed_environment(self._folder) | {"SIGNET_LISTEN": f"127.0.0.1:{self._ports['8080']}"}
        self._log = None

    def first_webhook(self):
        export, serve = self._commands("export SIGNET_ADMIN_KEY")
        self._environment["SIGNET_ADMIN_KEY"] = self._run(f"{export}; echo $SIGNET_ADMIN_KEY")
        server = self._stage.start_shell(f"readme-server-{self._language}", serve, self._folder, self._environment)
        url = f"http://127.0.0.1:{self._ports['8080']}"
        wait_until("the server answers", lambda: is_running(server) and is_healthy(url), ENDS_WITHIN_S)
        self._log = self._start_receiver()
        register, publish = self._commands("curl http")
        assert '"signing_secret"' in self._run(register), "registering told no secret"
        assert '"deliveries":1' in self._run(publish), "the event concerned nobody"
        wait_until("the receiver verified it", lambda: "12345678901234567" in self._log.read_text(), DELIVERS_WITHIN_S)

    def operate(self):
        """Every other command of the README, in its order."""
        for command in self._all_commands():
            if command.endswith(("cargo run --release", "signet serve")) or command.startswith(("curl", "export", SUITE)):
                continue
            self._run(self._with_values(command))

    def _with_values(self, command):
        """Fills in what a reader copies from what an earlier command printed."""
        if " KID" in command:
            standby = re.search(r"^(\S{43})\s+\S+\s+pending", self._run("signet keys list"), re.MULTILINE)
            command = command.replace("KID", standby[1])
        if command.startswith("signet api-key revoke"):
            made = re.search(r"^(key_\S+).*valid", self._run("signet api-key list"), re.MULTILINE)
            command = command.replace("ID", made[1])
        if command.startswith("signet send"):
            command = f"SIGNET_API_KEY=$(signet api-key new --scope events:write) {command}"
        if " TOKEN " in command:
            command = command.replace("TOKEN", self._last_token())
        return command

    def _last_token(self):
        """A token as a receiver gets it: an event that is delivered to an inbox of ours."""
        inbox = self._stage.inbox
        path = f"/readme/{self._language}"
        admin = Signet(f"http://127.0.0.1:{self._ports['8080']}", self._environment["SIGNET_ADMIN_KEY"])
        admin.create_webhook(f"{inbox.url}{path}", ["readme"])
        admin.publish("readme.read", b"{}")
        return json.loads(inbox.first_at(path).body)["token"]

    def _start_receiver(self):
        name = {"js": "receiver.mjs", "python": "receiver.py"}[self._language]
        source = next(code for language, code in self._blocks if language == self._language)
        runner = self._stage.runner_of(self._language, self._folder)
        (self._folder / name).write_text(source)
        process = self._stage.start_shell(f"readme-receiver-{self._language}", f"{runner} {name}", self._folder, self._environment)
        port = int(self._ports["3000"])
        wait_until("the receiver listens", lambda: is_running(process) and is_listening(port), ENDS_WITHIN_S)
        return self._stage.log_of(f"readme-receiver-{self._language}")

    def _all_commands(self):
        blocks = [code for language, code in self._blocks if language == "sh"]
        joined = "\n".join(blocks).replace("\\\n", " ")
        return [line.strip() for line in joined.splitlines() if line.strip()]

    def _commands(self, start):
        """The commands of the block that begins like this."""
        block = next(code for language, code in self._blocks if language == "sh" and code.startswith(start))
        return [line.strip() for line in block.replace("\\\n", " ").splitlines() if line.strip()]

    def _with_ports(self, text):
        for printed, ours in self._ports.items():
            text = text.replace(f"127.0.0.1:{printed}", f"127.0.0.1:{ours}")
            text = text.replace(f"listen({printed})", f"listen({ours})").replace(f'"127.0.0.1", {printed}', f'"127.0.0.1", {ours}')
        return text

    def _run(self, command):
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=self._folder,
            env=os.environ | self._environment,
            capture_output=True,
            timeout=ENDS_WITHIN_S,
            text=True,
        )
        assert done.returncode == 0, f"`{command}` ended with {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout.strip()
