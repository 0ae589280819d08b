/**
 * @module All that signatures are verified with, as its files are now: public keys, trusted roots, trust stores. What
 * cannot be read does not count until it can.
 */
import type { SigningConfig } from '../config/config.ts'
import { WatchedFile } from '../runtime/watched-file.ts'
import { readPublicKey } from './keys/public-key.ts'
import { isUsed, type Needed } from './needs.ts'
import type { Policy } from './policies.ts'
import { WatchedStore } from './stores/folder.ts'
import type { NamedKey, NamedRoot, NamedStore, Trust } from './worker/messages.ts'

/** Age of a trusted root that is worth a warning, days: the logs of the public one change about twice a year. */
export const rootAgeDaysMax = 180

export interface TrustParts {
  readonly config: Pick<SigningConfig, 'keys' | 'roots' | 'stores' | 'signers' | 'revoked'>
  /** Whether the start is refused when it cannot be read. */
  readonly isNeeded: (named: Needed) => boolean
  /** Hears of each that cannot be used, once for each of its states. */
  readonly onProblem: (named: Needed, error: Error) => void
  /** Hears that something is another one now, or cannot be read any more; not of what the start reads. */
  readonly onChange: () => void
  /** ms since the epoch. */
  readonly now: () => number
}

/** What a verdict depends on in it, as plain data: the same facts make the same verdicts, after a restart too. */
export function factsOf({ keys, roots, stores, signers, revoked }: Trust): unknown {
  return {
    keys,
    roots: roots.map(({ name, json }) => [name, json]),
    stores: stores.map(({ name, type, certificates }) => {
      return [name, type, certificates.map((one) => Buffer.from(one).toString('base64'))]
    }),
    signers,
    revoked,
  }
}

interface Watched extends Needed {
  readonly start: (how: { readonly isOptional: boolean }) => Promise<void>
  readonly stop: () => void
}

type Libraries = Pick<typeof import('./keyless/sigstore.ts'), 'readRoot'> &
  Pick<typeof import('./notation/chain.ts'), 'linkOf'>

/** The part of it that rules name; who may sign stands in the rules themselves. */
export function usedBy(rules: Policy['rules'], trust: Trust): Trust {
  const signers = rules.flatMap(({ by }) => by)
  const has = (kind: Needed['kind'], name: string) =>
    isUsed({ kind, name }, [{ by: signers }], trust.stores)
  return {
    ...trust,
    keys: trust.keys.filter(({ name }) => has('key', name)),
    roots: trust.roots.filter(({ name }) => has('root', name)),
    stores: trust.stores.filter(({ name }) => has('store', name)),
    signers: [],
  }
}

export class TrustFiles {
  readonly #parts: TrustParts
  readonly #keys = new Map<string, NamedKey>()
  readonly #roots = new Map<string, NamedRoot>()
  readonly #stores = new Map<string, NamedStore>()
  readonly #broken = new Map<string, Needed>()
  readonly #watched: readonly Watched[]
  /** Roots and stores are read by the functions that read them later; without any the libraries stay unloaded. */
  #libraries: Libraries | undefined
  #version = 0
  #isStarted = false

  constructor(parts: TrustParts) {
    this.#parts = parts
    const { keys, roots, stores } = parts.config
    this.#watched = [
      ...keys.flatMap((key) => this.#key(key)),
      ...roots.map((root) => this.#root(root)),
      ...stores.map((store) => this.#store(store)),
    ]
  }

  /** As it is now. */
  get now(): Trust {
    const { signers, revoked } = this.#parts.config
    return {
      version: this.#version,
      keys: [...this.#keys.values()],
      roots: [...this.#roots.values()],
      stores: [...this.#stores.values()],
      signers,
      revoked: { keys: revoked.keys, certificates: revoked.certificates },
      now: this.#parts.now(),
    }
  }

  /** How old each root is: since its file was written, or its newest key began, whichever is later; seconds. */
  get rootAges(): ReadonlyMap<string, number> {
    const now = this.#parts.now()
    const ages = [...this.#roots].map(([name, { renewedAt }]): [string, number] => {
      return [name, Math.max(0, Math.floor((now - renewedAt) / 1000))]
    })
    return new Map(ages)
  }

  /** What cannot be read in this moment. */
  get broken(): readonly Needed[] {
    return [...this.#broken.values()]
  }

  /** Reads the files and follows them. Rejects when one that is needed cannot be used, with what was expected. */
  async start(): Promise<void> {
    const { roots, stores } = this.#parts.config
    if (roots.length + stores.length > 0) {
      const [{ readRoot }, { linkOf }] = await Promise.all([
        import('./keyless/sigstore.ts'),
        import('./notation/chain.ts'),
      ])
      this.#libraries = { readRoot, linkOf }
    }
    await Promise.all(
      this.#watched.map((one) => one.start({ isOptional: !this.#parts.isNeeded(one) })),
    )
    this.#isStarted = true
  }

  stop(): void {
    for (const one of this.#watched) one.stop()
  }

  #key({ name, source, untilMs }: SigningConfig['keys'][number]): Watched[] {
    const take = (pem: string) => {
      const read = readPublicKey(name, pem)
      if (!read.ok) throw new Error(`signing key ${name}: ${read.error}`)
      this.#set(this.#keys, { kind: 'key', name }, { name, pem, untilMs })
    }
    if (source.kind === 'pem') {
      take(source.pem)
      return []
    }
    const { path } = source
    const onProblem = this.#lost(this.#keys, { kind: 'key', name })
    return [watched({ kind: 'key', name }, new WatchedFile({ path, onContent: take, onProblem }))]
  }

  #root({ name, path }: SigningConfig['roots'][number]): Watched {
    const named: Needed = { kind: 'root', name }
    const onContent = (json: string, writtenAt: number) => {
      const { newestAt } = this.#libraries!.readRoot(json)
      const renewedAt = Math.max(newestAt, writtenAt)
      this.#set(this.#roots, named, { name, json, renewedAt })
    }
    const onProblem = this.#lost(this.#roots, named)
    return watched(named, new WatchedFile({ path, onContent, onProblem }))
  }

  #store({ name, type, path }: SigningConfig['stores'][number]): Watched {
    const named: Needed = { kind: 'store', name }
    const onContent = (certificates: readonly Buffer[]) => {
      for (const one of certificates) this.#libraries!.linkOf(one)
      this.#set(this.#stores, named, { name, type, certificates })
    }
    const onProblem = this.#lost(this.#stores, named)
    return watched(named, new WatchedStore({ path, onContent, onProblem }))
  }

  #set<T>(all: Map<string, T>, { kind, name }: Needed, value: T): void {
    all.set(name, value)
    this.#broken.delete(`${kind} ${name}`)
    this.#changed()
  }

  /** What cannot be read proves nothing: whoever replaced the file meant to replace what was in it. */
  #lost(all: Map<string, unknown>, named: Needed): (error: Error) => void {
    return (error) => {
      all.delete(named.name)
      this.#broken.set(`${named.kind} ${named.name}`, named)
      this.#changed()
      this.#parts.onProblem(named, error)
    }
  }

  #changed(): void {
    this.#version += 1
    if (this.#isStarted) this.#parts.onChange()
  }
}

function watched(named: Needed, file: WatchedFile | WatchedStore): Watched {
  return { ...named, start: (how) => file.start(how), stop: () => file.stop() }
}
