/**
 * @module What the commands need of the process around them, as arguments, so that tests can watch.
 */
import type { Environment } from '../config/source.ts'
import type { AdoptContext } from './commands/adopt.ts'
import type { ServeContext } from './commands/serve.ts'

export interface Terminal extends ServeContext, AdoptContext {
  readonly environment: Environment
  /** Standard output and standard error; a line feed is added. */
  print(line: string): void
  loadMaintenance(): Promise<typeof import('./commands/maintenance.ts')>
}
