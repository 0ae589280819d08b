#!/usr/bin/env bash
# Builds the OCI distribution-spec conformance suite from the Go module proxy when it is missing.
# Prints its version, or "SKIPPED: why" and exits 77: without it the tests are skipped, as loudly.
#
#   FASTREGISTRY_CLIENT_BIN   where it goes (default: .cache/bin in this repository)
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
bin=${FASTREGISTRY_CLIENT_BIN:-$PWD/.cache/bin}
version=v0.0.0-20260831232431-97274622c111
# A new version is a new file: an old build never passes for it.
suite=$bin/conformance-$version

if [[ ! -x $suite ]]; then
  if ! command -v go >/dev/null 2>&1; then
    echo 'conformance SKIPPED: Go is not installed'
    exit 77
  fi
  log=$(mktemp)
  mkdir -p "$bin"
  built=$(mktemp -d)
  GOBIN=$built CGO_ENABLED=0 GOFLAGS='-p=2 -buildvcs=false' nice -n 10 go install \
    "github.com/opencontainers/distribution-spec/conformance@$version" >"$log" 2>&1 </dev/null &&
    mv "$built/conformance" "$suite"
  [[ -x $suite ]] || echo "conformance SKIPPED: $(tail -n1 "$log")"
  rm -rf "$log" "$built"
fi
[[ -x $suite ]] || exit 77
echo "conformance $version"
