#!/usr/bin/env bash
# Builds, starts the server on a free port, asks /health, pushes and pulls a blob that is streamed,
# stops it, and wants all of it done by a native binary. Needs a Node.js that runs TypeScript (22.18
# and later).
set -euo pipefail
cd "$(dirname "$0")/.."
npm run build
node --input-type=module -e '
  import assert from "node:assert/strict"
  import { createHash, randomBytes } from "node:crypto"
  import { startRegistry } from "./test/support/start-registry.ts"
  const registry = await startRegistry()
  for (const path of ["/health", "/v2/"]) {
    const response = await fetch(registry.url + path)
    assert.equal(response.status, 200, `${path}: ${response.status} ${await response.text()}`)
  }
  const bytes = randomBytes(3 * 1024 * 1024)
  const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`
  const blobs = `${registry.url}/v2/ci/start/blobs`
  const pushed = await fetch(`${blobs}/uploads/?digest=${digest}`, { method: "POST", body: bytes })
  assert.equal(pushed.status, 201, await pushed.text())
  const pulled = await fetch(`${blobs}/${digest}`)
  assert(bytes.equals(Buffer.from(await pulled.arrayBuffer())))
  assert.equal(await registry.stop(), 0)
  const logs = registry.logs().join("\n")
  console.log(logs)
  assert.match(logs, /uWebSockets.js [0-9.]+ serves/)
'
