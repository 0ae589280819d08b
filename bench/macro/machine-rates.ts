/**
 * @module Measures the machine before anything else runs: the limits that every figure of the table
 * is to be seen against.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { foreignLoad, type MachineRates } from '../machine.ts'
import { durableWriteRate, loopbackRate, memcpyRate, sha256Rate } from '../rates.ts'
import { freePort, loopback, startProcess } from './child-process.ts'
import { findWrk, runWrk } from './wrk.ts'

const MiB = 1024 ** 2

/** `isShort` writes less to the disk. `folder` is on the disk that the servers will use. */
export async function measureMachine(folder: string, isShort: boolean): Promise<MachineRates> {
  const file = join(folder, 'machine-rate')
  const load = await foreignLoad()
  return {
    foreignLoad: load,
    memcpyMbPerSecond: memcpyRate(),
    sha256MbPerSecond: sha256Rate(512 * MiB),
    diskMbPerSecond: durableWriteRate(file, (isShort ? 256 : 1024) * MiB),
    loopbackMbPerSecond: await loopbackRate(1),
    ...(await bareRates(folder)),
  }
}

async function bareRates(
  folder: string,
): Promise<Pick<MachineRates, 'bareRequestsPerSecond' | 'bareMbPerSecond'>> {
  const nothing = { bareRequestsPerSecond: undefined, bareMbPerSecond: undefined }
  if (findWrk() === undefined) return nothing
  const port = await freePort()
  const errorFile = join(folder, 'bare-errors.log')
  const server = await startProcess({
    command: process.execPath,
    args: [fileURLToPath(new URL('./bare-server.js', import.meta.url)), String(port)],
    port,
    errorFile,
  }).catch(() => undefined)
  if (server === undefined) return nothing
  const target = { host: loopback, port, isTls: false }
  const load = (path: string) => runWrk({ target, paths: [path], connections: 16, seconds: 2 })
  const small = await load('/small')
  const large = await load('/large')
  await server.stop()
  rmSync(errorFile, { force: true })
  return {
    bareRequestsPerSecond: small['requests']! / small['seconds']!,
    bareMbPerSecond: large['bytes']! / 1e6 / large['seconds']!,
  }
}
