/**
 * @module The users' file: `name:bcrypt hash` a line, as `htpasswd -B` writes it. Every other hash
 * is refused with its line and what to do: MD5, SHA-1 and crypt are guessed in hours.
 */

/** Users by name, with their bcrypt hashes. */
export type Users = ReadonlyMap<string, string>

const BCRYPT = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/

/** What bcrypt itself can do, and what a login may cost (2^17 takes some ten seconds). */
const costMin = 4
const costMax = 17

const fileBytesMax = 16 * 1024 * 1024

/** Problems of a file, in the order of its lines; users only when there are none. */
export function parseHtpasswd(
  text: string,
  source: string,
):
  | { readonly ok: true; readonly users: Users }
  | { readonly ok: false; readonly problems: readonly string[] } {
  if (text.length > fileBytesMax) {
    return { ok: false, problems: [`${source}: larger than ${fileBytesMax} bytes`] }
  }
  const users = new Map<string, string>()
  const problems: string[] = []
  for (const [index, raw] of text.split('\n').entries()) {
    // Blanks around a line, a carriage return, a byte order mark: nobody means them.
    const line = raw.trim()
    if (line === '' || line.startsWith('#')) continue
    const colon = line.indexOf(':')
    const name = line.slice(0, Math.max(0, colon))
    const hash = line.slice(colon + 1).trim()
    const problem =
      colon <= 0
        ? 'expected "name:hash"'
        : (userNameProblem(name) ??
          (users.has(name) ? `user "${name}" is there twice; keep one` : undefined) ??
          hashProblem(name, hash))
    if (problem === undefined) users.set(name, hash)
    else problems.push(`${source}:${index + 1}: ${problem}`)
  }
  return problems.length === 0 ? { ok: true, users } : { ok: false, problems }
}

/** Why a name cannot be a user's; undefined when it can. */
export function userNameProblem(name: string): string | undefined {
  if (name === '' || name.length > 255) return 'a user name has 1 to 255 characters'
  if (name === '*') return '"*" stands for every user and cannot be one'
  if (name.startsWith('#')) return 'a line that begins with "#" is a comment, not a user'
  if (name !== name.trim()) return 'a user name has no blank at its ends'
  return name.includes(':') || UNTYPABLE.test(name)
    ? 'a user name has no colon and no control character, seen or unseen'
    : undefined
}

/** Control and format characters (of no width, turning direction), and what was no UTF-8. */
const UNTYPABLE = /[\p{Cc}\p{Cf}\p{Cs}\ufffd]/u

/** What is wrong with a file in which nobody is; undefined: somebody is. */
export function emptinessProblem(users: Users, source: string): string | undefined {
  return users.size > 0
    ? undefined
    : `${source} has no user, so no login is possible; add one: fastregistry htpasswd add ${source} NAME`
}

/** The hash is never repeated: it would end up in logs. */
function hashProblem(name: string, hash: string): string | undefined {
  const remedy = `set it again: fastregistry htpasswd add FILE ${name}`
  const match = BCRYPT.exec(hash)
  if (match === null) {
    return `the password of "${name}" is ${describeHash(hash)}, only bcrypt is accepted; ${remedy}`
  }
  const cost = Number(match[1])
  return cost < costMin || cost > costMax
    ? `the bcrypt cost of "${name}" is ${cost}, expected ${costMin} to ${costMax}; ${remedy}`
    : undefined
}

function describeHash(hash: string): string {
  if (hash.startsWith('$apr1$') || hash.startsWith('$1$')) return 'an MD5 hash'
  if (hash.startsWith('{SHA}')) return 'a SHA-1 hash'
  if (hash.startsWith('$5$') || hash.startsWith('$6$')) return 'a crypt hash'
  return /^\$2[abxy]?\$/.test(hash) ? 'a damaged bcrypt hash' : 'not a bcrypt hash'
}

/** The bcrypt cost of a hash that was accepted. */
export function costOf(hash: string): number {
  return Number(hash.slice(4, 6))
}

/** The file with one user added, replaced or (`hash` undefined) removed; other lines as they are. */
export function editHtpasswd(text: string, name: string, hash: string | undefined): string {
  const lines = text.split('\n').filter((line) => line !== '')
  const isHis = (line: string) => line.trim().startsWith(`${name}:`)
  const index = lines.findIndex(isHis)
  const kept = lines.filter((line) => !isHis(line))
  if (hash !== undefined) kept.splice(index === -1 ? kept.length : index, 0, `${name}:${hash}`)
  return kept.map((line) => `${line}\n`).join('')
}
