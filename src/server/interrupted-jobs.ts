/**
 * @module What a start of the server does about jobs that an earlier run has left, and what a collection has to know of
 * the other nodes of a mesh.
 */
import { pullsLagMs } from '../distribution/pull-times.ts'
import type { Collector } from '../gc/collector.ts'
import type { SharedCollection } from '../gc/run-state.ts'
import { LeadTaken } from '../jobs/leads.ts'
import type { SharedWork } from '../mesh/shared-work.ts'
import type { MetadataStore } from '../metadata/port.ts'
import type { Logger } from '../observability/logger.ts'
import type { LifeCycle } from '../runtime/life-cycle.ts'
import { sleep } from '../upstream/sleep.ts'
import type { Writes } from './use-cases.ts'

export interface BeginParts {
  readonly collector: Collector
  readonly metadata: MetadataStore
  readonly logger: Logger
  readonly life: LifeCycle
}

/** Marks what a crash ended, and goes on with a collection that it interrupted. In a mesh in the background. */
export async function beginJobs(
  { jobs, shared }: Pick<Writes, 'jobs' | 'shared'>,
  { collector, metadata, logger, life }: BeginParts,
): Promise<void> {
  const begin = async (): Promise<void> => {
    const interrupted = collector.interruptedJob
    await jobs.recover((id) => id === interrupted)
    await collector.resume()
  }
  if (shared === undefined) return begin()
  life.opened('interrupted jobs', beginOnce(begin, metadata, logger), (one) => one.stop())
}

/** What a collection has to know of the other nodes. */
export function collectionIn({ leads, clocks }: SharedWork): SharedCollection {
  return { run: () => leads.run, spreadMs: () => clocks.spreadMs, pullsLagMs }
}

/** Until what could not begin is tried again, ms. */
const beginAgainMs = 5_000

/**
 * Begins in the background, once the rows here are as new as those of the others: the log may be silent now. Tries
 * until it has begun, or another node is at it.
 */
function beginOnce(begin: () => Promise<void>, metadata: MetadataStore, logger: Logger) {
  const stopped = new AbortController()
  const trying = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      try {
        await metadata.fresh?.()
        return await begin()
      } catch (error) {
        if (error instanceof LeadTaken) return
        logger.warn({ error }, 'jobs of an earlier run are not looked at yet')
        await sleep(beginAgainMs, stopped.signal)
      }
    }
  }
  const ended = trying()
  return {
    stop: async (): Promise<void> => {
      stopped.abort()
      await ended
    },
  }
}
