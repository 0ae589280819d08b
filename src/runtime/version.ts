/**
 * @module The version of this program. package.json is the only place where it stands.
 */
import { readFileSync } from 'node:fs'

let version: string | undefined

/** As in package.json, for example `1.0.0`; read once. */
export function readVersion(): string {
  version ??= parseVersion(readFileSync(findPackageFile(), 'utf8'))
  return version
}

/** The file is further up from `dist/src/runtime` than from `src/runtime`. */
function findPackageFile(): URL {
  const depth = import.meta.url.endsWith('.ts') ? '../../' : '../../../'
  return new URL(`${depth}package.json`, import.meta.url)
}

function parseVersion(text: string): string {
  const { version } = JSON.parse(text) as { version: string }
  return version
}
