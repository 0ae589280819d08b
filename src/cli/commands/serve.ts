/**
 * @module `fastregistry serve`: starts the server, waits for a signal, stops it. What the server is
 * made of is `server.ts`'s business.
 */
import { formatAddress } from '../../config/address.ts'
import type { Config } from '../../config/config.ts'
import type { createLogger, Logger } from '../../observability/logger.ts'
import { loadLibc } from '../../runtime/libc.ts'
import { answerFirst } from '../../runtime/priority.ts'
import {
  exitCodeOf,
  listenForStop,
  type SignalSource,
  type StopSignal,
} from '../../runtime/shutdown.ts'
import { readVersion } from '../../runtime/version.ts'
import type { startServer } from '../../server.ts'
import { oneLine } from '../one-line.ts'

export interface ServeContext {
  readonly signals: SignalSource
  loadLogger(): Promise<{ readonly createLogger: typeof createLogger }>
  loadServer(): Promise<{ readonly startServer: typeof startServer }>
  printError(line: string): void
  /** Ends the process at once. */
  exit(code: number): void
}

/** Resolves with the exit code once the server has stopped. */
export async function serve(config: Config, context: ServeContext): Promise<number> {
  // Whatever is made from now on is nobody else's business, also where no unit says so.
  process.umask(process.umask(0o027) | 0o027)
  const { createLogger } = await context.loadLogger()
  const logger = createLogger(config.log.level)
  const stopRequested = new Promise<StopSignal>((onStop) => {
    const onForce = (signal: StopSignal) => {
      logger.warn({ signal }, 'second signal: ending without waiting')
      logger.flushSync()
      context.exit(exitCodeOf(signal))
    }
    listenForStop({ onStop, onForce }, context.signals)
  })
  const code = await run(config, context, logger, stopRequested)
  await logger.flush()
  return code
}

async function run(
  config: Config,
  context: ServeContext,
  logger: Logger,
  stopRequested: Promise<StopSignal>,
): Promise<number> {
  let server: Awaited<ReturnType<typeof startServer>>
  const libc = loadLibc()
  if (!('unavailable' in libc)) answerFirst(libc)
  try {
    const { startServer } = await context.loadServer()
    server = await startServer(config, { logger })
  } catch (error) {
    logger.debug({ error }, 'start failed')
    context.printError(`fastregistry: cannot start: ${explainStart(error, config)}`)
    return 1
  }
  const startMs = Math.round(performance.now())
  const { path } = config.storage
  logger.info({ version: readVersion(), ports: server.ports, storage: path, startMs }, 'ready')
  const signal = await stopRequested
  logger.info({ signal }, 'stopping')
  try {
    await server.stop()
    logger.info('stopped')
    return 0
  } catch (error) {
    logger.error({ error }, 'stop failed')
    return 1
  }
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
      return `${addresses} is not an address of this machine; mend server.addr`
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return `${oneLine(message)}; check the rights on storage.path (${config.storage.path}) and ports below 1024`
    default:
      return oneLine(message ?? String(error))
  }
}
