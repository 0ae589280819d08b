/**
 * @module The level: the version of the rules by which entries of the log are applied. All nodes have to apply by the
 * same: so a program that knows newer rules goes by the old ones until the log says otherwise (the control `raise`),
 * and one that does not know the rules in force applies nothing.
 *
 * A rule that is new asks for the level: `if (levelOf(rows) >= 2) …`.
 */
import type { RowAccess } from '../row-access.ts'
import type { ClusterRow, SessionRow } from '../rows/mesh.ts'

/** The newest rules that this program knows. */
export const knownLevel = 1

/** The rules in force. */
export function levelOf(rows: Pick<RowAccess, 'get'>): number {
  return (rows.get('cluster', 'settings') as ClusterRow | undefined)?.level ?? 1
}

/** The newest rules that the program of a member's last run knows; 0: it has not come in yet. */
export function levelOfRun(session: SessionRow | undefined): number {
  return session === undefined ? 0 : (session.level ?? 1)
}

/** The rules in force are not known to this program: nothing can be applied by it. */
export class UnknownLevel extends Error {
  override readonly name = 'UnknownLevel'
  readonly level: number

  constructor(level: number) {
    super(`the rules of level ${level} are not known`)
    this.level = level
  }
}
