#!/usr/bin/env bash
# Installs the registry clients that test/clients drives, and the registries that it copies from: only
# what is missing, from Debian's packages and, built from source, from the Go module proxy. Starts no service. Prints one line a
# tool, its version or "SKIPPED: why"; exits 77 when a tool is missing in the end (the tests that
# need it are then skipped, with the same loudness), else 0.
#
#   FASTREGISTRY_CLIENT_BIN      where built programs go (default: .cache/bin in this repository)
#   FASTREGISTRY_NEW_DOCKERD=1   also builds a current Docker Engine (minutes), which the tests then
#                                use instead of Debian's: that of Debian 12 cannot unpack zstd
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
bin=${FASTREGISTRY_CLIENT_BIN:-$PWD/.cache/bin}
mkdir -p "$bin"
export PATH=$bin:$PATH:/usr/sbin:/sbin

# What builds with Go 1.26. Newer releases may ask for a newer Go.
declare -A modules=(
  [crane]=github.com/google/go-containerregistry/cmd/crane@v0.22.1
  [oras]=oras.land/oras/cmd/oras@v1.3.6
  [cosign]=github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3
  [cosign2]=github.com/sigstore/cosign/v2/cmd/cosign@v2.6.5
  [registry]=github.com/distribution/distribution/v3/cmd/registry@v3.1.2
  [dockerd]=github.com/moby/moby/v2/cmd/dockerd@v2.0.0-beta.7
)
# program=package: each program that is missing adds its package.
debian=(
  skopeo=skopeo podman=podman buildah=buildah containerd=containerd ctr=containerd
  dockerd=docker.io docker=docker.io zstd=zstd tar=tar docker-registry=docker-registry
)
declare -A why=()
# All builds together end in so many seconds: .ci/run waits 15 minutes for this script.
build_seconds_max=780

has() { command -v "$1" >/dev/null 2>&1; }

# Debian's packages start their services on installation unless policy-rc.d says 101.
without_services() {
  local policy=/usr/sbin/policy-rc.d status
  if [[ -e $policy ]]; then
    "$@"
    return
  fi
  printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
  "$@"
  status=$?
  rm -f "$policy"
  return "$status"
}

apt_install() {
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

install_packages() {
  local pair missing=() log
  for pair in "${debian[@]}"; do
    has "${pair%%=*}" || missing+=("${pair#*=}")
  done
  [[ ${#missing[@]} -gt 0 ]] || return 0
  if ! has apt-get || [[ $(id -u) != 0 ]]; then
    for pair in "${debian[@]}"; do why[${pair%%=*}]='needs apt-get and root'; done
    return 0
  fi
  log=$(mktemp)
  {
    apt-get update
    # One by one after a failure together: a missing package must not cost the others.
    without_services apt_install "${missing[@]}" ||
      for pair in "${missing[@]}"; do without_services apt_install "$pair"; done
    # Newer Debian has the command in a package of its own.
    has docker || without_services apt_install docker-cli
  } >"$log" 2>&1 </dev/null
  for pair in "${debian[@]}"; do why[${pair%%=*}]="apt-get failed: $(grep -m1 '^E:' "$log")"; done
  rm -f "$log"
}

# Runs go for a tool, in what is left of the time; why[tool] says what it said last.
run_go() {
  local tool=$1 left=$((build_seconds_max - SECONDS)) log
  shift
  if ! has go; then
    why[$tool]='Go is not installed'
  elif ((left < 10)); then
    why[$tool]='no time is left to build it; run this script again'
  else
    log=$(mktemp)
    CGO_ENABLED=0 GOFLAGS='-p=2 -buildvcs=false' timeout --kill-after=10 "$left" nice -n 10 \
      go "$@" >"$log" 2>&1 </dev/null
    why[$tool]="go $1: $(tail -n1 "$log")"
    rm -f "$log"
  fi
}

# Built in a folder of its own: two versions of one program have the same name.
build_module() {
  local tool=$1 module=${modules[$1]} own
  [[ ! -x $bin/$tool ]] || return 0
  own=$(mktemp -d)
  GOBIN=$own run_go "$tool" install -trimpath -ldflags='-s -w' "$module"
  module=${module%@*}
  [[ ! -x $own/${module##*/} ]] || mv "$own/${module##*/}" "$bin/$tool"
  rm -rf "$own"
}

# build_here TOOL PACKAGE: a program whose versions are in test/clients/TOOL. What podman asks before it pulls
# is a program of our own; of Notation the Go module proxy has one version, and no list of them, without which
# `go install` does not begin.
build_here() {
  local tool=$1 package=$2 source=$PWD/test/clients/$1 file
  for file in "$source"/*; do
    [[ $bin/$tool -nt $file ]] && continue
    run_go "$tool" build -C "$source" -trimpath -ldflags='-s -w' \
      -tags=containers_image_openpgp,containers_image_storage_stub,containers_image_docker_daemon_stub \
      -o "$bin/$tool" "$package"
    return
  done
}

version() {
  case $1 in
    crane | oras) "$1" version ;;
    cosign | cosign2) "$1" version 2>&1 | grep GitVersion ;;
    notation) notation version | grep -m1 '^Version' ;;
    policy-check) policy-check --version ;;
    tar) tar --version | head -n1 ;;
    docker) docker --version ;;
    *) "$1" --version ;;
  esac 2>/dev/null | head -n1 | tr -s ' '
}

status=0
install_packages
for tool in crane oras cosign registry cosign2; do
  has "$tool" || build_module "$tool"
done
build_here policy-check .
build_here notation github.com/notaryproject/notation/cmd/notation
[[ ${FASTREGISTRY_NEW_DOCKERD:-} != 1 ]] || build_module dockerd
for tool in skopeo podman buildah containerd ctr dockerd docker zstd crane oras cosign cosign2 \
  notation policy-check docker-registry registry; do
  if has "$tool"; then
    printf '%-11s %s\n' "$tool" "$(version "$tool")"
  else
    printf '%-11s SKIPPED: %s\n' "$tool" "${why[$tool]:-not found after the installation}"
    status=77
  fi
done
exit "$status"
