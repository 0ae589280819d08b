#!/usr/bin/env bash
# Makes the parts of a release in a folder: the package, its list of components (SBOM), their checksums.
#   deploy/release.sh FOLDER      in a checkout in which `npm ci` has run
set -euo pipefail
folder=$(mkdir -p "${1:?usage: deploy/release.sh FOLDER}" && cd "$1" && pwd)
cd "$(dirname "$0")/.."
npm run --silent build
npm pack --silent --pack-destination "$folder"
version=$(node -p 'require("./package.json").version')
# npm calls the root by its folder, which is any.
npm sbom --omit=dev --sbom-format=cyclonedx |
  node -e '
    const bom = JSON.parse(require("node:fs").readFileSync(0, "utf8"))
    bom.metadata.component.name = require("./package.json").name
    console.log(JSON.stringify(bom, null, 2))
  ' >"$folder/fastregistry-$version.cdx.json"
(cd "$folder" && sha256sum -- fastregistry-* >SHA256SUMS)
ls -l "$folder"
