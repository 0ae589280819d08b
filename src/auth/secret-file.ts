/**
 * @module Files of secrets below `storage.path`: readable by their owner only, replaced in one step,
 * and changed by one process at a time (a server and its command line share them).
 */
import { randomBytes } from 'node:crypto'
import { chown, mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import * as v from 'valibot'
import { readText } from '../runtime/text-file.ts'

/** `auth/` below `storage.path`: there with access control or keys that sign, for its owner only. */
export function secretFolder(storagePath: string): string {
  return join(storagePath, 'auth')
}

export function secretFilePaths(storagePath: string): {
  readonly keys: string
  readonly accessTokens: string
  readonly revocations: string
  readonly endedSessions: string
  readonly signingKeys: string
} {
  const folder = secretFolder(storagePath)
  return {
    keys: join(folder, 'keys.json'),
    accessTokens: join(folder, 'access-tokens.json'),
    revocations: join(folder, 'revoked.json'),
    endedSessions: join(folder, 'ended-sessions.json'),
    signingKeys: join(folder, 'signing.json'),
  }
}

/**
 * The JSON of a file of secrets. Throws without a word of its content: a parser's own message would
 * repeat it, and that goes to logs.
 */
export function parseSecrets<T>(text: string, schema: v.GenericSchema<unknown, T>): T {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw new Error('it is not JSON')
  }
  const parsed = v.safeParse(schema, json)
  if (parsed.success) return parsed.output
  const path = v.getDotPath(parsed.issues[0])
  throw new Error(path === null ? 'it is no such file' : `its "${path}" is not as expected`)
}

/** A lock older than this belongs to a process that died. */
const lockLifeMs = 10_000
const lockRetryMs = 20

/**
 * Reads the file (undefined when there is none) and writes what `change` makes of it; undefined
 * leaves it as it is. On disk when it resolves.
 */
export async function changeSecretFile(
  path: string,
  change: (text: string | undefined) => string | undefined | Promise<string | undefined>,
): Promise<void> {
  await makeFolder(dirname(path))
  await withLock(`${path}.lock`, async () => {
    const text = await change(await readIfThere(path))
    if (text !== undefined) await replaceFile(path, text)
  })
}

/** Like the files in it, a folder that root makes belongs to whoever has the one around it. */
async function makeFolder(path: string): Promise<void> {
  const made = await mkdir(path, { recursive: true, mode: 0o700 })
  if (made === undefined) return
  const { uid, gid } = await stat(dirname(made))
  if (uid !== process.geteuid?.()) await chown(path, uid, gid).catch(() => {})
}

export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readText(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Readers see the old or the new content, never a part; `mode` is that of a new file. */
export async function replaceFile(path: string, text: string, mode = 0o600): Promise<void> {
  const next = `${path}.${randomBytes(6).toString('hex')}`
  const owner = await ownerOf(path)
  const file = await open(next, 'wx', mode)
  try {
    // Root changes what the server's user has to read. Nobody else can give files away.
    if (owner.uid !== process.geteuid?.()) await file.chown(owner.uid, owner.gid).catch(() => {})
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(next, path)
  const folder = await open(dirname(path), 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** Of the file as it is, else of its folder. */
async function ownerOf(path: string): Promise<{ readonly uid: number; readonly gid: number }> {
  return stat(path).catch(() => stat(dirname(path)))
}

/** Runs `work` while no other process does so under the same path. */
export async function withLock(path: string, work: () => Promise<void>): Promise<void> {
  while (true) {
    try {
      await (await open(path, 'wx', 0o600)).close()
      break
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      const since = await stat(path).then(
        ({ mtimeMs }) => mtimeMs,
        () => Date.now(),
      )
      if (Date.now() - since > lockLifeMs) await rm(path, { force: true })
      else await new Promise((resolve) => setTimeout(resolve, lockRetryMs))
    }
  }
  try {
    await work()
  } finally {
    await rm(path, { force: true })
  }
}
