#!/usr/bin/env bash
# Installs Debian's chromium, which test/browser drives, where it is missing. Prints its version or
# "SKIPPED: why"; exits 77 when it is missing in the end (the tests are then skipped), else 0.
set -uo pipefail
export PATH=$PATH:/usr/sbin:/sbin

if ! command -v chromium >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1 && [[ $(id -u) == 0 ]]; then
  apt-get update >/dev/null 2>&1
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    chromium fonts-dejavu-core >/dev/null 2>&1
fi
if ! command -v chromium >/dev/null 2>&1; then
  printf 'chromium SKIPPED: not installed (needs apt-get and root)\n'
  exit 77
fi
chromium --version --no-sandbox 2>/dev/null | head -n 1
