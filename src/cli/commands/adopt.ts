/**
 * @module `fastregistry adopt`: takes up blob files of a stopped store that have no metadata,
 * such as the tree that the Go FastRegistry wrote. What is done is `adopt-store.ts`'s business.
 */
import type { Config } from '../../config/config.ts'
import type { RepositoryName } from '../../registry/name.ts'
import type { adoptStore } from '../adopt-store.ts'
import { oneLine } from '../one-line.ts'

export interface AdoptContext {
  loadAdoption(): Promise<{ readonly adoptStore: typeof adoptStore }>
  print(line: string): void
  printError(line: string): void
}

/** Resolves with the exit code: 0, or 1 when the store cannot be opened or a file not be read. */
export async function adopt(
  config: Config,
  repository: RepositoryName | undefined,
  context: AdoptContext,
): Promise<number> {
  try {
    const { adoptStore } = await context.loadAdoption()
    const onProblem = (line: string) => context.printError(`fastregistry: ${line}`)
    const counts = await adoptStore(config, repository, onProblem)
    const place = repository === undefined ? '' : ` into ${repository}`
    context.print(`adopted ${counts.adopted} blobs${place}`)
    context.print(`moved ${counts.trashed} files with other content to trash/quarantine`)
    context.print(`removed ${counts.missing} rows without their file`)
    context.print(`left ${counts.foreign} files alone that no blob can have`)
    return counts.unreadable === 0 ? 0 : 1
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error)
    context.printError(`fastregistry: cannot adopt: ${oneLine(text)}`)
    return 1
  }
}
