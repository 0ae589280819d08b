#!/usr/bin/env bash
# Carries out the Dockerfile's build in a copy and measures what the image adds to its base of Node.js.
# Fails above 160 MB. No container engine is needed.
set -euo pipefail
most_mb=160
cd "$(dirname "$0")/.."
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -a package.json package-lock.json .npmrc tsconfig.json src workers bench node_modules "$copy"
mkdir "$copy/deploy"
cp deploy/prune-binaries.mjs "$copy/deploy/"
cd "$copy"
{ npm run --silent build && npm prune --silent --omit=dev && node deploy/prune-binaries.mjs; } >/dev/null
bytes=$(du -sb package.json node_modules dist/src dist/ui dist/workers | awk '{ sum += $1 } END { print sum }')
printf 'the image adds %d MB to its base (at most %d)\n' $((bytes / 1000000)) "$most_mb"
((bytes < most_mb * 1000000))
