/** @module What a registry has written to its audit file, for tests that look for a line. */
import { readFileSync } from 'node:fs'

export type AuditLine = Readonly<Record<string, unknown>>

/** Every line so far, oldest first. Lines reach the file within a moment: wait with `until`. */
export function auditLines(file: string): AuditLine[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as AuditLine)
}
