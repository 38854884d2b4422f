#!/usr/bin/env bash
# Every test there is, on a machine that has Rust and a C compiler. Installs what else it needs by package name.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n== %s\n' "$*"; }

install() {
  local root=()
  [ "$(id -u)" = 0 ] || root=(sudo)
  "${root[@]}" apt-get update -qq
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# need COMMAND PACKAGE...: installs the packages, unless the command is there.
need() {
  command -v "$1" >/dev/null || install "${@:2}"
}

# wish PACKAGE...: installs them where they can be had. What stands on them says by name that it is skipped elsewhere.
wish() {
  dpkg -s "$@" >/dev/null 2>&1 || install "$@" || echo "not to be had on this machine: $*"
}

say 'tools'
need curl curl ca-certificates
need openssl openssl
need softhsm2-util softhsm2
need node nodejs npm
need npm npm
need python3 python3 python3-venv
python3 -c 'import ensurepip' 2>/dev/null || install python3-venv
# Debian keeps PostgreSQL's own programs out of PATH.
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || need initdb postgresql
command -v cargo-fmt >/dev/null || rustup component add rustfmt
command -v cargo-clippy >/dev/null || rustup component add clippy

# What the receivers stand on comes over the network, while the compiler is busy.
venv=tests/receivers/.venv
others() {
  wish golang-go golang-github-coreos-go-oidc-dev
  wish php-cli php-phpseclib3
  wish ruby ruby-jwt ruby-webrick
  npm ci --silent --prefix tests/receivers/hanko
  npm ci --silent --prefix tests/receivers/clients/node
  npm ci --silent --prefix tests/receivers/vendors
  [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r tests/receivers/python/requirements.txt -r tests/openapi/requirements.txt
}
others &
others=$!
# Whatever ends this script, it leaves nothing running.
trap 'wait "$others" || true' EXIT

say 'format'
cargo fmt --check

say 'lints'
cargo clippy --locked --all-targets -- -D warnings

say 'rust, on SQLite'
run=(cargo test)
# Every third test waits for something: with one more than there are cores, none of those is idle.
if command -v cargo-nextest >/dev/null; then run=(cargo nextest run --test-threads $(($(nproc) + 1))); fi
# Some tests are about PostgreSQL whatever the others run on.
tests/postgres.sh "${run[@]}" --locked --lib --bins --tests

say 'rust, on PostgreSQL'
SIGNET_TEST_DATABASE=postgres tests/postgres.sh "${run[@]}" --locked --test it

say 'load, briefly: that everything accepted is delivered, not how fast'
cargo test --locked --bench load -- --seconds 1 --database both closed open

say 'hooks, briefly: that every question is answered, not how fast'
cargo test --locked --bench hooks -- --calls 50

say 'receivers in other languages'
wait "$others"
"$venv/bin/python" tests/receivers/run.py --signet target/debug/signet

say 'everything that the description of the API allows and forbids, briefly'
"$venv/bin/python" tests/openapi/run.py --signet target/debug/signet --examples 10

say 'crashes of nodes and of their database, briefly'
"$venv/bin/python" tests/crash/test_audit.py
"$venv/bin/python" tests/crash/run.py --signet target/debug/signet --kills 4 --database-crashes 1 --seconds-between 2..8
