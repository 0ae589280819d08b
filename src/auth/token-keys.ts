/**
 * @module The keys that sign tokens: made at the first start, kept in one file below
 * `storage.path`, replaced when they are old or when the command line says so. An old key goes on
 * verifying for as long as a token that it signed may live.
 */
import { createHmac, randomBytes } from 'node:crypto'
import * as v from 'valibot'
import { type Jwk, makeSigningKey, publicPart, Signer } from './jwt.ts'
import { parseSecrets } from './secret-file.ts'

const Key = v.object({
  kid: v.string(),
  createdAt: v.number(),
  jwk: v.record(v.string(), v.unknown()),
})

const File = v.object({ secret: v.string(), keys: v.pipe(v.array(Key), v.minLength(1)) })

export type KeyFile = v.InferOutput<typeof File>

/** Throws with what is wrong with the file. */
export function parseKeyFile(text: string): KeyFile {
  return parseSecrets(text, File)
}

export function formatKeyFile(file: KeyFile): string {
  return `${JSON.stringify(file, undefined, 2)}\n`
}

/** A file with its first key. */
export async function newKeyFile(now: number): Promise<KeyFile> {
  return { secret: randomBytes(32).toString('base64url'), keys: [await newKey(now)] }
}

/** The file with a new key in front of the others, and without those that nothing needs any more. */
export async function rotateKeys(
  file: KeyFile,
  now: number,
  tokenLifeMs: number,
): Promise<KeyFile> {
  // A key signed until its successor was made.
  const kept = file.keys.filter((_, index) => {
    const successor = file.keys[index + 1]
    return successor === undefined || successor.createdAt + tokenLifeMs > now
  })
  return { secret: file.secret, keys: [...kept, await newKey(now)] }
}

/** When the newest key was made. */
export function newestKeyAt(file: KeyFile): number {
  return file.keys.at(-1)?.createdAt ?? 0
}

async function newKey(now: number): Promise<KeyFile['keys'][number]> {
  const kid = randomBytes(8).toString('hex')
  return { kid, createdAt: now, jwk: { ...(await makeSigningKey(kid)) } }
}

/** The keys of a file, ready for use. */
export class TokenKeys {
  readonly signer: Signer
  /** What `/.well-known/jwks.json` answers. */
  readonly jwks: { readonly keys: readonly Jwk[] }
  /** Of this registry, for what has to be the same after a restart and unknown to others. */
  readonly secret: string

  private constructor(signer: Signer, jwks: TokenKeys['jwks'], secret: string) {
    this.signer = signer
    this.jwks = jwks
    this.secret = secret
  }

  static async from(file: KeyFile, issuer: string): Promise<TokenKeys> {
    const keys = file.keys.map(({ jwk }) => jwk as Jwk)
    const jwks = { keys: keys.map(publicPart) }
    return new TokenKeys(await Signer.from(keys, issuer), jwks, file.secret)
  }

  /** Tells one password hash from the next without telling either: tokens end with the password. */
  fingerprint(passwordHash: string): string {
    const hmac = createHmac('sha256', this.secret).update(passwordHash)
    return hmac.digest('base64url').slice(0, 16)
  }
}
