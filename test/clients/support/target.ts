/**
 * @module The registry that the client tests talk to: a server process of ours, or, with
 * FASTREGISTRY_TEST_URL=HOST:PORT, any registry that runs already (to tell a fault of the test
 * from a fault of the server).
 */

import {
  type RegistryOptions,
  type RunningRegistry,
  startRegistry,
} from '../../support/start-registry.ts'

export interface Target {
  /** `127.0.0.1:PORT`, the first part of every image reference. */
  readonly address: string
  readonly url: string
  /** Our own process; absent for a foreign registry, whose extra abilities are not tested. */
  readonly process: RunningRegistry | undefined
  stop(): Promise<void>
}

export async function openTarget(options: RegistryOptions = {}): Promise<Target> {
  const { FASTREGISTRY_TEST_URL: foreign } = process.env
  if (foreign !== undefined) {
    return { address: foreign, url: `http://${foreign}`, process: undefined, stop: async () => {} }
  }
  const running = await startRegistry(options)
  return {
    address: running.address,
    url: running.url,
    process: running,
    async stop() {
      const code = await running.stop()
      if (code !== 0) {
        throw new Error(`the server ended with ${code}:\n${running.logs().slice(-50).join('\n')}`)
      }
    },
  }
}
