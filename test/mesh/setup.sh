#!/usr/bin/env bash
# Installs etcd, which orders the log of a mesh and which test/mesh starts, where it is missing, from Debian's
# package. Starts no service. Prints its version or "SKIPPED: why"; exits 77 when it is missing in the end (its
# tests are then skipped, with the same loudness), else 0.
set -uo pipefail

if ! command -v etcd >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1 && [[ $(id -u) == 0 ]]; then
  policy=/usr/sbin/policy-rc.d is_ours=
  # Debian's packages start their services on installation unless policy-rc.d says 101.
  if [[ ! -e $policy ]]; then
    is_ours=yes
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
  fi
  apt-get update >/dev/null 2>&1
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends etcd-server >/dev/null 2>&1
  [[ -z $is_ours ]] || rm -f "$policy"
fi

if ! command -v etcd >/dev/null 2>&1; then
  printf 'etcd SKIPPED: not installed (needs apt-get and root)\n'
  exit 77
fi
etcd --version | head -n 1
