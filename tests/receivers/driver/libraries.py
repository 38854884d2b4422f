"""The libraries that verify while keys rotate: how each receiver is started, and how long it trusts a key that is gone."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CLIENTS = Path(__file__).resolve().parent.parent / "clients"
TARGET = CLIENTS.parents[2] / "target" / "receivers"

# Debian's Go packages are a GOPATH of their own, and nothing is fetched.
GO = ["env", "GO111MODULE=off", "GOPATH=/usr/share/gocode", "GOFLAGS=", "go"]
GO_BINARY = TARGET / "go-oidc"
CARGO = ["cargo", "build", "--quiet", "--locked", "--target-dir", TARGET]

FOR_EVER = None


@dataclass(frozen=True)
class Library:
    name: str
    # `{port}` stands for the port in it.
    command: list
    # By its documentation; by the application around it, where the library fetches nothing itself.
    keeps: str
    # How long that lets it believe in a key that has left the JWKS, if it is left alone: as documented, and in this run.
    left_alone_s: float | None
    left_alone_here_s: float | None
    # Whether it forgets the key when it fetches the set for a kid that it lacks.
    forgets_when_told: bool = True
    # Succeeds where the machine has the library; none where a lock file brings it.
    probe: list | None = None
    build: list | None = None

    def command_at(self, port):
        return [str(part).format(port=port) for part in self.command]

    def is_missing(self):
        if self.probe is None:
            return False
        try:
            return subprocess.run(self.probe, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0
        except FileNotFoundError:
            return True

    def build_receiver(self):
        if self.build is not None:
            TARGET.mkdir(parents=True, exist_ok=True)
            subprocess.run(self.build, check=True)


def libraries(compression):
    """All of them, on a timeline that runs so many times faster."""

    def for_a_time(name, command, keeps, left_alone_s, **ways):
        return Library(name, command, keeps, left_alone_s, left_alone_s / compression, **ways)

    def for_ever(name, command, keeps, **ways):
        return Library(name, command, keeps, FOR_EVER, FOR_EVER, **ways)

    node, python = CLIENTS / "node", CLIENTS / "python"
    return [
        for_a_time("jose", ["node", node / "jose.js"], "keeps the set for 10 min", 600),
        for_a_time(
            "jsonwebtoken with jwks-rsa",
            ["node", node / "jwks_rsa.js"],
            "keeps each key for 10 min",
            600,
            forgets_when_told=False,
        ),
        for_a_time("PyJWT", [sys.executable, python / "pyjwt.py"], "keeps the set for 5 min", 300),
        for_a_time("joserfc", [sys.executable, python / "joserfc_jwt.py"], "is given a set that is kept for 5 min", 300),
        Library(
            "the crate jsonwebtoken",
            [TARGET / "debug" / "signet-client"],
            "is given a set that is kept for its max-age of 5 min",
            left_alone_s=300,
            # What the development profile sends.
            left_alone_here_s=1,
            build=[*CARGO, "--manifest-path", CLIENTS / "rust" / "Cargo.toml"],
        ),
        for_ever(
            "go-oidc",
            [GO_BINARY],
            "keeps the set until a token does not verify",
            probe=[*GO, "list", "github.com/coreos/go-oidc"],
            build=[*GO, "build", "-o", GO_BINARY, CLIENTS / "go" / "main.go"],
        ),
        for_ever(
            "phpseclib",
            ["php", "-q", "-S", "127.0.0.1:{port}", CLIENTS / "php" / "receiver.php"],
            "is given a set that is kept until it lacks a kid",
            probe=["php", "-r", "require 'phpseclib3/autoload.php';"],
        ),
        for_ever(
            "ruby-jwt",
            ["ruby", CLIENTS / "ruby" / "receiver.rb"],
            "keeps the set until it lacks a kid",
            probe=["ruby", "-e", "require 'jwt'; require 'webrick'"],
        ),
    ]
