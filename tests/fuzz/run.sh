#!/usr/bin/env bash
# The long run: each target for a minute (or for as many seconds as are named), beginning with the committed corpus.
# What it finds besides goes to a folder that is left behind for `cargo fuzz cmin`, and a fault ends it.
set -euo pipefail
cd "$(dirname "$0")/../.."

seconds=${1:-60}
command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
found=$(mktemp -d)
for target in url answer retry_after; do
  printf '\n== %s\n' "$target"
  cp -r "tests/fuzz/corpus/$target" "$found/$target"
  # Nothing here is unsafe, so no sanitizer looks for what only such code does.
  cargo +nightly fuzz run --fuzz-dir tests/fuzz --dev --sanitizer none "$target" "$found/$target" -- -max_total_time="$seconds"
done
echo "inputs that reached something new: $found"
