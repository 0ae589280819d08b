/**
 * @module `fastregistry witness`: a voter of a mesh without storage. `server/mesh/witness/` makes it.
 */
import type { RunCommand } from '../command.ts'
import { oneLine } from '../one-line.ts'
import { untilStopped } from './serve.ts'

/** Resolves with 0 when it was asked to stop, and with 1 when it cannot go on. */
export const witness: RunCommand = (line, terminal) =>
  untilStopped(line, terminal, async (config, _terminal, logger, stopRequested) => {
    const { Witness } = await import('../../server/mesh/witness/witness.ts')
    let isAsked = false
    const asked = stopRequested.then(() => {
      isAsked = true
      return undefined
    })
    try {
      const it = new Witness(config, logger)
      const started = it.start()
      const why = await Promise.race([asked, started.then(() => it.ended)])
      started.catch(() => undefined)
      await it.stop()
      if (why !== undefined) logger.error({ event: 'mesh' }, why)
      return why === undefined ? 0 : 1
    } catch (error) {
      if (isAsked) return 0
      const reason = error instanceof Error ? error.message : String(error)
      terminal.printError(`fastregistry: cannot start: ${oneLine(reason)}`)
      return 1
    }
  })
