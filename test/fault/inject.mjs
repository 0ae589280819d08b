/**
 * @module Loaded into the server process and each of its workers (`--import`): makes chosen calls of
 * the disk and metadata seams fail. Which ones stands in a folder that the test owns: `fault.json`
 * says what, and one file `token-…` is used up for every call that fails, so that "twice" means
 * twice over all threads.
 */
import { readdirSync, readFileSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { isMainThread, threadId } from 'node:worker_threads'
import { LmdbEnvironment } from '../../dist/src/metadata/lmdb/environment.js'
import { disk } from '../../dist/src/runtime/disk.js'

const noWorkers = process.env['FASTREGISTRY_TEST_NO_WORKERS']
if (!isMainThread && noWorkers !== undefined) {
  // Some threads still load while others have failed already.
  if (noWorkers === 'one after the other') {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, threadId * 100)
  }
  throw new Error('injected: no thread can start')
}

const folder = process.env['FASTREGISTRY_TEST_FAULTS']

/** The fault to apply to a call, if there is one and a token is left for it. */
function due(call) {
  let fault
  try {
    fault = JSON.parse(readFileSync(join(folder, 'fault.json'), 'utf8'))
  } catch {
    return undefined
  }
  if (fault.call !== call) return undefined
  for (const token of readdirSync(folder)
    .filter((name) => name.startsWith('token-'))
    .sort()) {
    try {
      unlinkSync(join(folder, token))
      return token.includes('pass') ? undefined : fault
    } catch {
      // Another thread took it.
    }
  }
  return undefined
}

async function fail(fault) {
  if (fault.kind === 'exit') process.exit(70)
  if (fault.kind === 'hang') return new Promise((resolve) => setTimeout(resolve, fault.ms))
  throw Object.assign(new Error(`injected ${fault.errno}`), { code: fault.errno })
}

const writeNow = disk.writeNow
disk.writeNow = (file, bytes, position) => {
  const fault = due('write')
  if (fault?.kind === 'exit') process.exit(70)
  if (fault?.kind === 'hang') {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, fault.ms)
  } else if (fault?.kind === 'short') {
    return writeNow(file, bytes.subarray(0, Math.ceil(bytes.byteLength / 2)), position)
  } else if (fault !== undefined) {
    throw Object.assign(new Error(`injected ${fault.errno}`), { code: fault.errno })
  }
  return writeNow(file, bytes, position)
}

for (const call of Object.keys(disk)) {
  if (call === 'writeNow') continue
  const original = disk[call]
  disk[call] = async (...parameters) => {
    const fault = due(call)
    if (fault?.kind === 'short') {
      const [file, bytes, position] = parameters
      return original(file, bytes.subarray(0, Math.ceil(bytes.byteLength / 2)), position)
    }
    if (fault !== undefined) await fail(fault)
    return original(...parameters)
  }
}

const writeSync = LmdbEnvironment.prototype.writeSync
LmdbEnvironment.prototype.writeSync = function (work) {
  const fault = due('writeSync')
  if (fault?.kind === 'exit') process.exit(70)
  if (fault !== undefined) {
    throw Object.assign(new Error(`injected ${fault.errno}`), { code: fault.errno })
  }
  return writeSync.call(this, work)
}
