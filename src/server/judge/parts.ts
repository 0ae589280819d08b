/**
 * @module Judges what depends on the machine and on libraries: the native engine, mapped files, times
 * of schedules.
 */
import type { Config } from '../../config/config.ts'
import type { SettingKey } from '../../config/schema.ts'
import { loadLibc } from '../../runtime/libc.ts'
import type { Finding } from './finding.ts'

/** `engine: uws` wants a binary and koffi, `reader: map` wants koffi. */
export async function judgeEngine({ server, storage }: Config): Promise<readonly Finding[]> {
  const findings: Finding[] = []
  if (server.engine === 'uws') {
    const { loadUws } = await import('../../http/engine/uws/loader.ts')
    const load = loadUws()
    if (!load.ok) {
      const message = `no binary of uWebSockets.js loads (${load.reason}); take auto or node`
      findings.push({ key: 'server.engine', message })
    }
  }
  if (storage.reader === 'map') {
    const libc = loadLibc()
    if ('unavailable' in libc) {
      const message = `files cannot be mapped (${libc.unavailable}); take auto or file`
      findings.push({ key: 'storage.reader', message })
    }
  }
  return findings
}

interface Judged {
  readonly key: SettingKey
  readonly path?: Finding['path']
  readonly expression: string
  readonly timezone?: string | undefined
}

/** Cron expressions of the right shape that have no times (`99 99 * * *`, the 30th of February). */
export async function judgeSchedules(config: Config): Promise<readonly Finding[]> {
  const { gc } = config.cleanup
  const { scrub } = config.storage
  const schedules: Judged[] = [
    ...(gc.enabled ? [{ key: 'storage.gc.schedule' as const, expression: gc.schedule }] : []),
    ...(scrub.enabled
      ? [{ key: 'storage.scrub.schedule' as const, expression: scrub.schedule }]
      : []),
    ...config.mirrors.flatMap(({ warm }, index) =>
      warm === undefined
        ? []
        : [
            {
              key: 'mirrors' as const,
              path: [index, 'warm', 'schedule'],
              expression: warm.schedule,
            },
          ],
    ),
    ...config.sync.sources.flatMap(({ schedule, timezone }, index) =>
      schedule === undefined
        ? []
        : [
            {
              key: 'sync.sources' as const,
              path: [index, 'schedule'],
              expression: schedule,
              timezone,
            },
          ],
    ),
  ]
  if (schedules.length === 0) return []
  const { scheduleProblem } = await import('../../runtime/schedule.ts')
  return schedules.flatMap(({ key, path = [], expression, timezone }): Finding[] => {
    const problem = scheduleProblem(expression, timezone)
    return problem === undefined
      ? []
      : [{ key, path, message: `not a cron schedule that ever runs: ${problem}` }]
  })
}
