#!/usr/bin/env bash
# A short run of the benches, to see that they still run; skipped while there are none.
set -euo pipefail
cd "$(dirname "$0")/.."
if [[ ! -e bench/run.ts ]]; then
  echo 'SKIPPED: bench/run.ts is not there yet'
  exit 77
fi
npm run bench -- --ci
