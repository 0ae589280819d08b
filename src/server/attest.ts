/**
 * @module What the registry signs itself, put together: its keys below `storage.path` or in a file of the operator's,
 * and the store that takes what it signs. Nothing of it runs where `signing.attest.enabled` is false.
 */
import { changeSecretFile, secretFilePaths } from '../auth/secret-file.ts'
import type { Config } from '../config/config.ts'
import type { Logger } from '../observability/logger.ts'
import type { SignatureCounters } from '../observability/metrics/signatures.ts'
import { digestOf } from '../registry/hasher.ts'
import { systemClock } from '../runtime/clock.ts'
import type { LifeCycle } from '../runtime/life-cycle.ts'
import { WatchedFile } from '../runtime/watched-file.ts'
import { Attestor, type AttestorParts } from '../signing/attest/attestor.ts'
import {
  formatSigningKeys,
  keptSigningKeys,
  noSigningKeys,
  parseSigningKeys,
  readPrivateKey,
  SigningKeys,
  withForeignKey,
} from '../signing/attest/keys.ts'
import { type AttestStore, conditionOf } from '../signing/attest/store.ts'
import type { Storage } from '../storage/open.ts'
import type { UseCases } from './use-cases.ts'

export interface OpenedAttestor {
  readonly attestor: Attestor
  readonly keys: SigningKeys
}

/** Undefined: the registry signs nothing. Rejects when it should, and has no key that it can use. */
export async function openAttestor(
  config: Config,
  parts: Pick<AttestorParts, 'fingerprint' | 'signatures'>,
  { attested }: SignatureCounters,
  logger: Pick<Logger, 'info' | 'warn' | 'error'>,
  life: LifeCycle,
): Promise<OpenedAttestor | undefined> {
  const { enabled, host, facts } = config.signing.attest
  if (!enabled) return undefined
  const keys = await followSigningKeys(config, logger, life)
  const attestor = new Attestor({
    ...parts,
    keys,
    host,
    facts: new Set(facts),
    clock: systemClock,
    log: logger,
    counts: (kind, result) => attested.add({ kind, result }),
  })
  return { attestor, keys }
}

/** From now on what happens is signed. Closed before the stores are: what waits is written then. */
export function beginAttestor(
  opened: OpenedAttestor | undefined,
  storage: Storage,
  useCases: UseCases,
  life: LifeCycle,
): void {
  if (opened === undefined) return
  opened.attestor.begin(storeOf(storage, useCases))
  life.opened('attestations', opened.attestor, (one) => one.close())
}

function storeOf({ metadata, writer }: Storage, { writes }: UseCases): AttestStore {
  const requireRoom = () => writer.room.require()
  return {
    metadata,
    readBlob: writes.readBlob,
    putBlob: async (repository, bytes, by) => {
      requireRoom()
      const body = {
        bodyBytes: bytes.byteLength,
        readBody: async (onChunk: (chunk: Uint8Array) => void) => onChunk(bytes),
        pause: () => undefined,
        resume: () => undefined,
      }
      await writes.uploads.pushWhole(repository, digestOf('sha256', bytes), by, body, by)
    },
    putManifest: async ({ repository, bytes, mediaType, by, tag }) => {
      requireRoom()
      const digest = digestOf('sha256', bytes)
      await writes.pushes.push({
        repository,
        reference: { kind: 'digest', digest },
        tags: tag === undefined ? [] : [tag.name],
        expected: undefined,
        contentType: mediaType,
        bytes,
        condition: conditionOf(tag),
        by,
      })
    },
  }
}

/** Makes the key where it is missing, and follows its file. Rejects with what to do. */
async function followSigningKeys(
  { storage, signing }: Config,
  logger: Pick<Logger, 'info' | 'error'>,
  life: LifeCycle,
): Promise<SigningKeys> {
  const { keyFile } = signing.attest
  const path = secretFilePaths(storage.path).signingKeys
  const { now } = systemClock
  const keys = new SigningKeys(now)
  await changeSecretFile(path, async (text) => {
    const file = text === undefined ? noSigningKeys : parseSigningKeys(text)
    const kept = await keptSigningKeys(file, now(), keyFile !== undefined)
    return kept === file && text !== undefined ? undefined : formatSigningKeys(kept)
  })
  const onProblem = (file: string) => (error: Error) =>
    logger.error(
      { file, reason: error.message },
      'keys to sign with are not read again; those in use stay',
    )
  const own = new WatchedFile({
    path,
    onContent: (text) => keys.take(parseSigningKeys(text)),
    onProblem: onProblem(path),
  })
  life.opened('keys to sign with', own, (one) => one.stop())
  await own.start()
  if (keyFile === undefined) return keys
  const foreign = new WatchedFile({
    path: keyFile,
    onContent: (text) => {
      keys.takeForeign(text)
      publish(path, text).catch(onProblem(path))
    },
    onProblem: onProblem(keyFile),
  })
  life.opened('key to sign with', foreign, (one) => one.stop())
  await foreign.start().catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error)
    throw new Error(`signing.attest.key ${keyFile} cannot be used: ${reason}`)
  })
  return keys
}

/** The public part of a key of the operator's: it stays published when another has replaced it. */
function publish(path: string, pem: string): Promise<void> {
  return changeSecretFile(path, (text) => {
    const file = text === undefined ? noSigningKeys : parseSigningKeys(text)
    const { publicKey } = readPrivateKey(pem)
    const next = withForeignKey(file, publicKey, systemClock.now())
    return next === file ? undefined : formatSigningKeys(next)
  })
}
