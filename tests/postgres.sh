#!/usr/bin/env bash
# Runs a command beside a private PostgreSQL, which it finds at SIGNET_TEST_POSTGRES and which ends with it. The server
# lives in a temporary folder, listens on loopback alone, and forgets everything in a power cut: it is for tests.
set -euo pipefail

bin() {
  local path
  path=$(command -v "$1") || path=$(ls /usr/lib/postgresql/*/bin/"$1" 2>/dev/null | sort -V | tail -n 1)
  [ -n "$path" ] || { echo "$1 is not installed; on Debian it is in the package postgresql" >&2; exit 1; }
  echo "$path"
}

# PostgreSQL refuses to run as root, and its package makes a user for it.
as_postgres() {
  if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}

# Below the ports that are given to outgoing connections.
free_port() {
  python3 - <<'PYTHON'
import random, socket
while True:
    port = random.randint(10_000, 30_000)
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            continue
    print(port)
    break
PYTHON
}

folder=$(mktemp -d)
stop() {
  as_postgres "$(bin pg_ctl)" stop --silent --mode immediate --pgdata "$folder/data" || true
  rm -rf "$folder"
}
trap stop EXIT
[ "$(id -u)" != 0 ] || chown postgres "$folder"
cd "$folder"
as_postgres "$(bin initdb)" --pgdata data --username postgres --auth trust --encoding UTF8 --no-sync >/dev/null
port=$(free_port)
settings="-p $port -k $folder -c listen_addresses=127.0.0.1 -c max_connections=500 -c fsync=off"
as_postgres "$(bin pg_ctl)" start --silent --wait --pgdata data --log "$folder/log" --options "$settings"
cd "$OLDPWD"
# Tests that look into a backup run the pg_dump that belongs to this server.
export PATH="$(dirname "$(bin initdb)"):$PATH"
SIGNET_TEST_POSTGRES="postgres://postgres@127.0.0.1:$port/postgres" "$@"
