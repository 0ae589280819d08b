/**
 * @module What the commands need of the process around them, as arguments, so that tests can watch.
 */
import type { Environment } from '../config/source.ts'
import type { createLogger } from '../observability/logger.ts'
import type { SignalSource } from '../runtime/shutdown.ts'
import type { startServer } from '../server.ts'

export interface Terminal {
  readonly environment: Environment
  readonly signals: SignalSource
  /** Standard output and standard error; a line feed is added. */
  print(line: string): void
  printError(line: string): void
  /** Ends the process immediately. */
  exit(code: number): void
  loadLogger(): Promise<{ readonly createLogger: typeof createLogger }>
  loadServer(): Promise<{ readonly startServer: typeof startServer }>
}
