#!/usr/bin/env bash
# Builds, starts the server on a free port, asks /health, stops it. Needs a Node.js that runs
# TypeScript (22.18 and later).
set -euo pipefail
cd "$(dirname "$0")/.."
npm run build
node --input-type=module -e '
  import assert from "node:assert/strict"
  import { startRegistry } from "./test/support/start-registry.ts"
  const registry = await startRegistry()
  for (const path of ["/health", "/v2/"]) {
    const response = await fetch(registry.url + path)
    assert.equal(response.status, 200, `${path}: ${response.status} ${await response.text()}`)
  }
  assert.equal(await registry.stop(), 0)
  console.log(registry.logs().join("\n"))
'
