#!/usr/bin/env bash
# Installs the proxies that test/proxies drives, where they are missing, from Debian's packages. Starts
# no service. Prints one line a proxy, its version or "SKIPPED: why"; exits 77 when one is missing in the
# end (its tests are then skipped, with the same loudness), else 0.
set -uo pipefail
export PATH=$PATH:/usr/sbin:/sbin
proxies=(nginx haproxy caddy)

missing=()
for proxy in "${proxies[@]}"; do
  command -v "$proxy" >/dev/null 2>&1 || missing+=("$proxy")
done
if [[ ${#missing[@]} -gt 0 ]] && command -v apt-get >/dev/null 2>&1 && [[ $(id -u) == 0 ]]; then
  policy=/usr/sbin/policy-rc.d is_ours=
  # Debian's packages start their services on installation unless policy-rc.d says 101.
  if [[ ! -e $policy ]]; then
    is_ours=yes
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
  fi
  apt-get update >/dev/null 2>&1
  for proxy in "${missing[@]}"; do
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$proxy" >/dev/null 2>&1
  done
  [[ -z $is_ours ]] || rm -f "$policy"
fi

status=0
for proxy in "${proxies[@]}"; do
  case $(command -v "$proxy" 2>/dev/null):$proxy in
    :*)
      printf '%s SKIPPED: not installed (needs apt-get and root)\n' "$proxy"
      status=77
      ;;
    *:nginx) nginx -v 2>&1 ;;
    *:haproxy) haproxy -v | head -n 1 ;;
    *:caddy) printf 'caddy %s\n' "$(caddy version | head -n 1)" ;;
  esac
done
exit "$status"
