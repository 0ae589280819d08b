/**
 * @module Judges the files of access control: users, keys of a foreign issuer, and the secrets of the
 * registry itself below `storage.path`.
 */
import type { Config } from '../../config/config.ts'
import type { Finding } from './finding.ts'

function oneLine(text: string): string {
  return text.split('\n', 1)[0] ?? text
}

/** A line for each mistake of the users' file, with the line there. */
export async function judgeUsers({ auth }: Config): Promise<readonly Finding[]> {
  const { htpasswdFile: file } = auth
  if (file === undefined) return []
  const key = 'auth.htpasswd_file'
  const { readText } = await import('../../runtime/text-file.ts')
  const { emptinessProblem, parseHtpasswd } = await import('../../auth/htpasswd.ts')
  const { costWarning } = await import('../../auth/decoys.ts')
  let text: string
  try {
    text = await readText(file)
  } catch (error) {
    return [{ key, message: `${file} cannot be read: ${reasonOf(error)}` }]
  }
  const parsed = parseHtpasswd(text, file)
  if (!parsed.ok) return parsed.problems.map((message) => ({ key, message }))
  const emptiness = emptinessProblem(parsed.users, file)
  if (emptiness !== undefined) return [{ key, message: emptiness }]
  const warning = costWarning(parsed.users)
  return warning === undefined ? [] : [{ key, message: warning, isWarning: true }]
}

/** The JWKS, where it is a file; one that is fetched need not be there at the start. */
export async function judgeForeignKeys({ auth: { foreign } }: Config): Promise<readonly Finding[]> {
  if (foreign === undefined || /^https?:\/\//i.test(foreign.jwks)) return []
  const { readText } = await import('../../runtime/text-file.ts')
  const { ForeignTokens } = await import('../../auth/foreign-tokens.ts')
  try {
    new ForeignTokens(foreign, undefined).take(await readText(foreign.jwks))
    return []
  } catch (error) {
    const message = `${foreign.jwks} is no JWKS file that can be used: ${reasonOf(error)}`
    return [{ key: 'auth.foreign.jwks', message }]
  }
}

/** Files that the registry has written itself: damaged ones are put back from a backup, or removed. */
export async function judgeCredentials(config: Config): Promise<readonly Finding[]> {
  const { readIfThere, secretFilePaths } = await import('../../auth/secret-file.ts')
  const paths = secretFilePaths(config.storage.path)
  const judge = async (path: string, parse: (text: string) => unknown): Promise<Finding[]> => {
    try {
      const text = await readIfThere(path)
      if (text !== undefined) await parse(text)
      return []
    } catch (error) {
      // Where the folder of the store is none, that is said of the folder.
      if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') return []
      const message = `${path} cannot be used: ${reasonOf(error)}; restore it, or remove it with all tokens that hang on it`
      return [{ key: 'storage.path', message }]
    }
  }
  // Whoever is not asked who he is needs none of them.
  const { auth, access } = config
  if (auth.type === 'none' && access.length === 0 && auth.foreign === undefined) return []
  const { parseKeyFile, TokenKeys } = await import('../../auth/token-keys.ts')
  const { parseAccessTokens } = await import('../../auth/access-tokens.ts')
  const { parseRevocations } = await import('../../auth/revocations.ts')
  const found = await Promise.all([
    judge(paths.keys, (text) => TokenKeys.from(parseKeyFile(text), auth.tokens.issuer)),
    judge(paths.accessTokens, parseAccessTokens),
    judge(paths.revocations, parseRevocations),
    judge(paths.endedSessions, parseRevocations),
  ])
  return found.flat()
}

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'ENOENT') return 'no such file'
  if (code === 'EACCES') return 'permission denied'
  if (code === 'EISDIR') return 'it is a folder'
  // What JSON's own message repeats of the file has no place in a line for everybody.
  if (error instanceof SyntaxError) return 'it is not JSON'
  return oneLine(message ?? String(error))
}
