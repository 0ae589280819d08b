/**
 * @module The keys that the registry signs with: made at the first start, kept in one file below `storage.path`, or
 * brought by the operator. A key is published before it signs, and stays published when another has taken over:
 * what it signed goes on verifying.
 */
import { createHash, createPrivateKey, createPublicKey, generateKeyPair, sign } from 'node:crypto'
import { promisify } from 'node:util'
import * as v from 'valibot'

/** PEM of one key, and where the private part is somewhere else only the public one. */
const Key = v.object({
  createdAt: v.number(),
  /** From when on it signs, ms since the epoch. */
  signsFrom: v.number(),
  publicKey: v.string(),
  privateKey: v.optional(v.string()),
})

const File = v.object({ keys: v.array(Key) })

export type KeyEntry = v.InferOutput<typeof Key>

/** The oldest first. */
export type SigningKeyFile = v.InferOutput<typeof File>

export const noSigningKeys: SigningKeyFile = { keys: [] }

/** Throws with what is wrong with the file, and without a word of its content. */
export function parseSigningKeys(text: string): SigningKeyFile {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw new Error('it is not JSON')
  }
  const parsed = v.safeParse(File, json)
  if (!parsed.success) throw new Error('it is no file of signing keys')
  for (const { publicKey, privateKey } of parsed.output.keys) {
    if (privateKey !== undefined && readPrivateKey(privateKey).publicKey !== publicKey) {
      throw new Error('the two parts of a key do not belong together')
    }
  }
  return parsed.output
}

export function formatSigningKeys(file: SigningKeyFile): string {
  return `${JSON.stringify(file, undefined, 2)}\n`
}

const generate = promisify(generateKeyPair)

/** A new key on the curve P-256, which every client knows, as PKCS#8. */
export async function makeSigningKey(now: number, signsFrom = now): Promise<KeyEntry> {
  const { privateKey } = await generate('ec', { namedCurve: 'P-256' })
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  return { createdAt: now, signsFrom, ...readPrivateKey(pem), privateKey: pem }
}

/**
 * The public part of a private key in PEM, as PEM of its own. Throws with what was expected, and without a word of the
 * key.
 */
export function readPrivateKey(pem: string): { readonly publicKey: string } {
  let key: ReturnType<typeof createPrivateKey>
  try {
    key = createPrivateKey(pem)
  } catch {
    throw new Error('expected a private key as PKCS#8 in PEM, without a password')
  }
  if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
    throw new Error('expected an EC key on the curve P-256')
  }
  const spki = createPublicKey(key).export({ type: 'spki', format: 'pem' })
  return { publicKey: spki.toString() }
}

/**
 * The file with a key that signs from `signsFrom` on. One that was announced and has signed nothing yet is replaced;
 * of those that do not sign any more only the public part stays.
 */
export async function rotateSigningKeys(
  { keys }: SigningKeyFile,
  now: number,
  signsFrom: number,
): Promise<SigningKeyFile> {
  const begun = keys.filter((key) => key.signsFrom <= now)
  return withoutOldSecrets({ keys: [...begun, await makeSigningKey(now, signsFrom)] }, now)
}

/** The file where of the keys that have signed before only the public part is left. */
export function withoutOldSecrets(file: SigningKeyFile, now: number): SigningKeyFile {
  const current = currentOf(file, now)
  const at = current === undefined ? 0 : file.keys.indexOf(current)
  return { keys: file.keys.map((key, index) => (index < at ? publicOf(key) : key)) }
}

/**
 * The file as a start needs it, with a key that can sign; the same file where it is so. `isForeign`: another file has
 * that key.
 */
export async function keptSigningKeys(
  file: SigningKeyFile,
  now: number,
  isForeign: boolean,
): Promise<SigningKeyFile> {
  if (isForeign) return file
  const canSign = currentOf(file, now)?.privateKey !== undefined
  const kept = canSign ? withoutOldSecrets(file, now) : await rotateSigningKeys(file, now, now)
  return formatSigningKeys(kept) === formatSigningKeys(file) ? file : kept
}

/** The file with a key of which only the public part is known here; the same file where it is the newest one. */
export function withForeignKey(
  file: SigningKeyFile,
  publicKey: string,
  now: number,
): SigningKeyFile {
  if (file.keys.at(-1)?.publicKey === publicKey) return file
  const others = file.keys.filter((key) => key.publicKey !== publicKey).map(publicOf)
  return { keys: [...others, { createdAt: now, signsFrom: now, publicKey }] }
}

/** Shortest beginning of a fingerprint that names a key, characters. */
const beginningLengthMin = 6

/**
 * The file without a public key that nothing should verify any more, by its fingerprint or the beginning of it. Throws
 * where it signs, or is not there, or is one of several.
 */
export function withoutKey(file: SigningKeyFile, beginning: string, now: number): SigningKeyFile {
  const [it, other] = file.keys.filter(({ publicKey }) =>
    fingerprintOf(publicKey).startsWith(beginning),
  )
  if (it === undefined) throw new Error(`there is no key ${beginning.slice(0, 64)}`)
  if (other !== undefined || beginning.length < beginningLengthMin) {
    throw new Error('give more of the fingerprint')
  }
  if (it === currentOf(file, now)) throw new Error('this key signs; rotate the keys first')
  return { keys: file.keys.filter((key) => key !== it) }
}

function publicOf({ createdAt, signsFrom, publicKey }: KeyEntry): KeyEntry {
  return { createdAt, signsFrom, publicKey }
}

/** The key that signs now; undefined: there is none. */
export function currentOf({ keys }: SigningKeyFile, now: number): KeyEntry | undefined {
  // A clock that was set back leaves the oldest.
  return keys.findLast(({ signsFrom }) => signsFrom <= now) ?? keys[0]
}

/** SHA-256 of a public key as SPKI in DER, lower-case hex. */
export function fingerprintOf(publicKey: string): string {
  const spki = createPublicKey(publicKey).export({ type: 'spki', format: 'der' })
  return createHash('sha256').update(spki).digest('hex')
}

/** All public keys in PEM: the one that signs first, then those to come, then those that have signed. */
export function publicKeysOf(file: SigningKeyFile, now: number): readonly KeyEntry[] {
  const current = currentOf(file, now)
  if (current === undefined) return []
  const others = file.keys.filter((key) => key !== current).reverse()
  return [current, ...others]
}

/** Signs with the key of the moment. */
export interface Signer {
  /** In PEM. */
  readonly publicKey: string
  /** SHA-256 of it as SPKI in DER, lower-case hex. */
  readonly fingerprint: string
  /** ECDSA with SHA-256, as DER. Off the main thread. */
  sign(bytes: Uint8Array): Promise<Buffer>
}

/** Throws where the key cannot be read. */
export function signerOf(privatePem: string): Signer {
  const { publicKey } = readPrivateKey(privatePem)
  const key = createPrivateKey(privatePem)
  return {
    publicKey,
    fingerprint: fingerprintOf(publicKey),
    sign: (bytes) =>
      new Promise((resolve, reject) =>
        sign('sha256', bytes, key, (error, signature) =>
          error === null ? resolve(signature) : reject(error),
        ),
      ),
  }
}

/** The keys of a registry, as they are now. */
export class SigningKeys {
  #file = noSigningKeys
  readonly #now: () => number
  #foreign: Signer | undefined
  #signer: { readonly of: KeyEntry; readonly signer: Signer } | undefined

  constructor(now: () => number) {
    this.#now = now
  }

  /** The keys of the registry's own file. */
  take(file: SigningKeyFile): void {
    this.#file = file
    this.#signer = undefined
  }

  /** The key that the operator has brought, in PEM. Throws with what was expected. */
  takeForeign(pem: string): void {
    this.#foreign = signerOf(pem)
  }

  /** The key that signs in this moment. Throws where there is none, which a start would have refused. */
  get signer(): Signer {
    if (this.#foreign !== undefined) return this.#foreign
    const current = currentOf(this.#file, this.#now())
    if (current?.privateKey === undefined) throw new Error('there is no key to sign with')
    if (this.#signer?.of !== current) {
      this.#signer = { of: current, signer: signerOf(current.privateKey) }
    }
    return this.#signer.signer
  }

  /** What everybody may verify with, in PEM, one after the other. */
  get publicPem(): string {
    const keys = publicKeysOf(this.#file, this.#now()).map(({ publicKey }) => publicKey)
    const first = this.#foreign?.publicKey
    const all = first === undefined ? keys : [first, ...keys.filter((key) => key !== first)]
    return all.join('')
  }
}
