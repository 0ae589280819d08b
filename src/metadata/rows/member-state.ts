/**
 * @module What follows from the state of a member for the log.
 */
import type { MemberState } from './mesh.ts'

/** Whether a member is to have all rows, and applies the log. */
export function hasRows(state: MemberState): boolean {
  return state !== 'left' && state !== 'witness'
}
