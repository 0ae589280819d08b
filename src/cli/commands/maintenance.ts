/**
 * @module Work on a store by command: `verify`, `backup`, `restore`. Each prints what it did and
 * resolves to the exit code: 0 done, 1 something is damaged or missing.
 */
import { secretFolder } from '../../auth/secret-file.ts'
import { systemClock } from '../../runtime/clock.ts'
import { backup, type CopyReport, restore } from '../../storage/backup.ts'
import type { OpenFileSource } from '../../storage/file-source.ts'
import { openOffline } from '../../storage/open-offline.ts'
import { Scrub } from '../../storage/scrub.ts'
import type { CommandLine, RunCommand } from '../command.ts'
import { configOf, reportFailure } from '../command-line.ts'
import type { Terminal } from '../terminal.ts'

export interface Output {
  print(line: string): void
  printError(line: string): void
}

export const verifyCommand: RunCommand = (line, terminal) =>
  maintain('verify', line, terminal, (path) => verify(path, line.has('repair'), terminal))

export const backupCommand: RunCommand = (line, terminal) =>
  maintain('backup', line, terminal, (path) => writeBackup(path, line.operands[0]!, terminal))

export const restoreCommand: RunCommand = (line, terminal) =>
  maintain('restore', line, terminal, (path) => restoreBackup(line.operands[0]!, path, terminal))

async function maintain(
  what: string,
  line: CommandLine,
  terminal: Terminal,
  work: (path: string) => Promise<number>,
): Promise<number> {
  const { storage } = await configOf(line, terminal)
  return reportFailure(terminal, `${what} failed`, () => work(storage.path))
}

/**
 * Reads everything and compares it with its digest; with `repairs`, takes what is damaged out of
 * service. The store must not be in use.
 */
export async function verify(path: string, repairs: boolean, output: Output): Promise<number> {
  const storage = await openOffline({ path, durability: 'full', onQuarantined: () => undefined })
  try {
    const { setup, metadata, quarantine } = storage
    const scrub = new Scrub({ setup, metadata, quarantine, clock: systemClock })
    const report = await scrub.run(0, repairs)
    for (const { digest, reason } of report.damaged) output.print(`${digest}: ${reason}`)
    const count = scrub.status.damaged
    const action = repairs ? 'taken out of service; push them again' : 'damaged; see --repair'
    output.print(
      `${report.entries} blobs and manifests, ${report.bytes} bytes read, ` +
        (count === 0 ? 'all sound' : `${count} ${action}`),
    )
    return count === 0 ? 0 : 1
  } finally {
    await storage.close()
  }
}

/** The other nodes of a mesh. A store of one node alone loads nothing of it. */
export const openPeers: OpenFileSource = async (...of) => {
  const { openPeerFiles } = await import('../../mesh/standing/peer-files.ts')
  return openPeerFiles(...of)
}

/** Copies the store to an empty folder, beside a running server if there is one. */
export async function writeBackup(path: string, target: string, output: Output): Promise<number> {
  const report = await backup(path, target, secretFolder, systemClock, openPeers)
  return printCopy(report, `backup in ${target}`, output)
}

/** Makes a store out of a backup. */
export async function restoreBackup(source: string, path: string, output: Output): Promise<number> {
  return printCopy(await restore(source, path, secretFolder), `store in ${path}`, output)
}

function printCopy(report: CopyReport, what: string, output: Output): number {
  const { blobs, bytes, linked, fetched, missing } = report
  for (const digest of missing) output.printError(`${digest}: its file is missing`)
  const from = fetched === 0 ? '' : `, ${fetched} from other nodes`
  output.print(
    `${what}: metadata and ${blobs} blob files, ${bytes} bytes (${linked} hard links${from})`,
  )
  return missing.length === 0 ? 0 : 1
}
