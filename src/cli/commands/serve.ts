/**
 * @module `fastregistry serve`: starts the server, waits for a signal, stops it. `server.ts` makes the
 * server.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { formatAddress } from '../../config/address.ts'
import type { Config } from '../../config/config.ts'
import type { Logger } from '../../observability/logger.ts'
import { RegistryError } from '../../registry/errors.ts'
import { loadLibc } from '../../runtime/libc.ts'
import { answerFirst } from '../../runtime/priority.ts'
import { systemRandom } from '../../runtime/random.ts'
import { exitCodeOf, listenForStop, type StopSignal } from '../../runtime/shutdown.ts'
import { readVersion } from '../../runtime/version.ts'
import { judgeConfig } from '../../server/judge/judge.ts'
import type { startServer } from '../../server.ts'
import type { CommandLine, RunCommand } from '../command.ts'
import { loadOptions } from '../command-line.ts'
import { oneLine } from '../one-line.ts'
import type { Terminal } from '../terminal.ts'

/** Until a start is tried again that the log has not let through, ms; and by chance up to a second more. */
const startAgainMs = 500
const chanceStepMs = 4

/** Resolves with the exit code once the server has stopped. Throws when the configuration is wrong. */
export const serve: RunCommand = (line, terminal) => untilStopped(line, terminal, run)

/** Runs until a signal: with the configuration, a logger, and what resolves with the signal. */
export async function untilStopped(
  line: CommandLine,
  terminal: Terminal,
  work: typeof run,
): Promise<number> {
  const { config } = await judgeConfig(loadOptions(line, terminal.environment))
  // Other users of the machine must not read what the server writes, even without a service unit.
  process.umask(process.umask(0o027) | 0o027)
  const { createLogger } = await terminal.loadLogger()
  const logger = createLogger(config.log.level)
  const stopRequested = new Promise<StopSignal>((onStop) => {
    const onForce = (signal: StopSignal) => {
      logger.warn({ signal }, 'second signal: ending without waiting')
      logger.flushSync()
      terminal.exit(exitCodeOf(signal))
    }
    listenForStop({ onStop, onForce }, terminal.signals)
  })
  const code = await work(config, terminal, logger, stopRequested)
  await logger.flush()
  return code
}

async function run(
  config: Config,
  terminal: Terminal,
  logger: Logger,
  stopRequested: Promise<StopSignal>,
): Promise<number> {
  let outcome = await runOnce(config, terminal, logger, stopRequested)
  while (outcome === 'again') outcome = await runOnce(config, terminal, logger, stopRequested)
  return outcome
}

/** The exit code, or that it is to be started again. */
async function runOnce(
  config: Config,
  terminal: Terminal,
  logger: Logger,
  stopRequested: Promise<StopSignal>,
): Promise<number | 'again'> {
  let server: Awaited<ReturnType<typeof startServer>>
  const libc = loadLibc()
  if (!('unavailable' in libc)) answerFirst(libc)
  const giveUp = new AbortController()
  void stopRequested.then(() => giveUp.abort())
  try {
    const { startServer } = await terminal.loadServer()
    server = await startServer(config, { logger, signal: giveUp.signal })
  } catch (error) {
    if (giveUp.signal.aborted) return 0
    logger.debug({ error }, 'start failed')
    if (isOfTheLog(error)) {
      const reason = oneLine(error.message)
      logger.warn({ event: 'mesh', reason }, 'the log of the mesh does not answer: starting again')
      await Promise.race([stopRequested, pause(startAgainMs + chanceMs())])
      return giveUp.signal.aborted ? 0 : 'again'
    }
    terminal.printError(`fastregistry: cannot start: ${explainStart(error, config)}`)
    return 1
  }
  const startMs = Math.round(performance.now())
  const { path } = config.storage
  logger.info({ version: readVersion(), ports: server.ports, storage: path, startMs }, 'ready')
  const never = new Promise<never>(() => undefined)
  const why = await Promise.race([stopRequested, server.ended ?? never])
  const isWanted = typeof why === 'string' || why.is === 'left'
  if (typeof why === 'string') logger.info({ signal: why }, 'stopping')
  else if (isWanted) logger.info({ event: 'mesh' }, why.message)
  else logger.error({ event: 'mesh' }, why.message)
  try {
    await server.stop()
    logger.info('stopped')
    if (isWanted) return 0
    return why.is === 'again' ? why.is : 1
  } catch (error) {
    logger.error({ error }, 'stop failed')
    return 1
  }
}

/** The other nodes do not answer for now: nothing is wrong with this one. */
function isOfTheLog(error: unknown): error is RegistryError {
  if (!(error instanceof RegistryError)) return false
  return ['LOG_SILENT', 'NOT_DONE', 'OUTCOME_UNKNOWN'].includes(error.kind)
}

/** So that nodes which have failed together do not start together. */
function chanceMs(): number {
  return systemRandom.bytes(1)[0]! * chanceStepMs
}

/** One line that says what to do, for the faults that an operator meets. */
function explainStart(error: unknown, config: Config): string {
  const { code, message } = error as NodeJS.ErrnoException
  const addresses = [config.server.addr, config.server.alsoListen]
    .flatMap((address) => (address === undefined ? [] : [formatAddress(address)]))
    .join(' or ')
  switch (code) {
    case 'EADDRINUSE':
      return `${addresses} is in use by another process; stop it or choose another server.addr`
    case 'EADDRNOTAVAIL':
      return `${addresses} is not an address of this machine; correct server.addr`
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return `${oneLine(message)}; check the rights on storage.path (${config.storage.path}) and ports below 1024`
    default:
      return oneLine(message ?? String(error))
  }
}
