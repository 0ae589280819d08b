/**
 * @module Measures the machine before anything else runs: the limits that every figure of the table
 * is to be seen against.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { foreignLoad, type MachineRates } from '../machine.ts'
import { durableWriteRate, loopbackRate, memcpyRate, sha256Rate } from '../rates.ts'
import { bareKind } from './servers/bare.ts'
import { runWrk } from './wrk.ts'

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
  const { version, start } = bareKind()
  if (version === undefined) return nothing
  const own = join(folder, 'bare')
  const server = await start({ folder: own })
  const { target } = server
  const load = (path: string) => runWrk({ target, paths: [path], connections: 16, seconds: 2 })
  const small = await load('/1k')
  const large = await load('/1m')
  await server.stop()
  rmSync(own, { recursive: true, force: true })
  return {
    bareRequestsPerSecond: small['requests']! / small['seconds']!,
    bareMbPerSecond: large['bytes']! / 1e6 / large['seconds']!,
  }
}
