/** @module What a registry has written to its audit file, for tests that look for a line. */
import { readFileSync } from 'node:fs'

export type AuditLine = Readonly<Record<string, unknown>>

/**
 * Every line so far, oldest first. Lines reach the file within a moment: wait with `until`. What
 * follows the last line feed is still being written.
 */
export function auditLines(file: string): AuditLine[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .slice(0, -1)
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as AuditLine)
}
