#!/usr/bin/env bash
# Installs what the benches compare with, as far as this machine has the means, and says what there
# is: a line a program, its version or SKIPPED with the reason. Running it again changes nothing.
#
# Debian packages: docker-registry, nginx, wrk. By the Go tool: distribution v3 and regsync, into
# .cache/bench/bin (BENCH_PEERS names another folder). zot is used when its binary is on the PATH; it cannot be
# installed by name.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
bin=${BENCH_PEERS:-$PWD/.cache/bench/bin}
distribution=github.com/distribution/distribution/v3/cmd/registry@latest
regsync=github.com/regclient/regclient/cmd/regsync@v0.11.7

say() { printf '%-16s %s\n' "$1" "$2"; }

# find PROGRAM: its path, also from the folders that a user's PATH may lack.
find_program() { PATH=$bin:$PATH:/usr/sbin:/usr/local/go/bin command -v "$1"; }

# apt_install PACKAGE: succeeds when the program of that name is there afterwards.
apt_install() {
  find_program "$1" >/dev/null && return
  command -v apt-get >/dev/null || { reason='no apt-get here'; return 1; }
  [[ $(id -u) == 0 ]] || { reason="not root: apt-get install $1"; return 1; }
  reason='apt-get could not install it'
  DEBIAN_FRONTEND=noninteractive timeout 300 apt-get install -y --no-install-recommends "$1" \
    >/dev/null 2>&1 && find_program "$1" >/dev/null
}

# Debian starts both as services when they are installed; the benches start their own.
stop_service() {
  if [[ -d /run/systemd/system ]]; then systemctl disable --now "$1" >/dev/null 2>&1; fi
}

for package in docker-registry nginx wrk; do
  before=$(find_program "$package")
  if ! apt_install "$package"; then
    say "$package" "SKIPPED: $reason"
    continue
  fi
  [[ -n $before ]] || stop_service "$package"
  case $package in
    docker-registry) say "$package" "$(docker-registry --version 2>&1 | head -n 1)" ;;
    nginx) say "$package" "$("$(find_program nginx)" -v 2>&1 | head -n 1)" ;;
    wrk) say "$package" "$(wrk -v 2>&1 | head -n 1)" ;;
  esac
done

if go=$(find_program go); then
  if [[ ! -x $bin/registry ]]; then
    mkdir -p "$bin"
    GOBIN=$bin GOFLAGS=-buildvcs=false timeout 900 nice "$go" install "$distribution" >/dev/null 2>&1
  fi
  if [[ -x $bin/registry ]]; then
    version=$("$go" version -m "$bin/registry" | awk '$1 == "mod" { print $3; exit }')
    say distribution "$version"
  else
    say distribution "SKIPPED: go install $distribution failed"
  fi
elif [[ -x $bin/registry ]]; then
  say distribution "$("$bin/registry" --version)"
else
  say distribution 'SKIPPED: no Go here'
fi

if [[ ! -x $bin/regsync ]] && go=$(find_program go); then
  mkdir -p "$bin"
  GOBIN=$bin CGO_ENABLED=0 GOFLAGS=-buildvcs=false timeout 900 nice "$go" install "$regsync" >/dev/null 2>&1
fi
if [[ -x $bin/regsync ]]; then
  say regsync "$("$bin/regsync" version | awk '$1 == "VCSTag:" { print $2 }')"
else
  say regsync "SKIPPED: go install $regsync failed, or no Go here"
fi

if zot=$(find_program zot); then
  say zot "$("$zot" --version 2>&1 | head -n 1)"
else
  say zot 'SKIPPED: no binary on the PATH'
fi
exit 0
