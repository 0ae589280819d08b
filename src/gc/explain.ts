/**
 * @module Why a tag, a manifest or a whole repository stays or goes, and when: the very marking that
 * a run does, on one repository, in a worker, because a repository may have a million tags.
 */
import type { CleanupConfig } from '../config/config.ts'
import { RegistryError } from '../registry/errors.ts'
import type { RepositoryName } from '../registry/name.ts'
import type { StoreSetup } from '../storage/setup.ts'
import { runGcTask } from './run-task.ts'
import type { ExplainedItem } from './worker/messages.ts'

/** Questions that wait for their turn; each is a thread for a moment. */
const waitingMax = 16

export class Explain {
  readonly #setup: StoreSetup
  readonly #config: CleanupConfig
  readonly #pullsLagMs: number
  #last: Promise<unknown> = Promise.resolve()
  #waiting = 0

  /** `pullsLagMs`: by how much a stored time of a pull may lag. */
  constructor(setup: StoreSetup, config: CleanupConfig, pullsLagMs = 0) {
    this.#setup = setup
    this.#config = config
    this.#pullsLagMs = pullsLagMs
  }

  /** Verdicts of one tag or digest, or the first of the whole repository. One question at a time. */
  async repository(
    repository: RepositoryName,
    only: string | undefined,
    now: number,
    signal: AbortSignal,
  ): Promise<readonly ExplainedItem[]> {
    if (this.#waiting >= waitingMax) {
      throw new RegistryError('BUSY')
    }
    this.#waiting += 1
    const mine = this.#last.then(() => this.#ask(repository, only, now, signal))
    this.#last = mine.catch(() => undefined).finally(() => (this.#waiting -= 1))
    return mine
  }

  async #ask(
    repository: RepositoryName,
    only: string | undefined,
    now: number,
    signal: AbortSignal,
  ): Promise<readonly ExplainedItem[]> {
    let found: readonly ExplainedItem[] = []
    const [config, pullsLagMs] = [this.#config, this.#pullsLagMs]
    const task = { kind: 'explain', repository, only, now, config, pullsLagMs } as const
    await runGcTask(this.#setup, task, signal, {
      onExplained: (items) => {
        found = items
      },
    })
    return found
  }
}
