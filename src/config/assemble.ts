/**
 * @module From checked settings to the `Config` that the program uses: each section makes its part
 * (`sections/`). The compiler holds it against both the schema and the type.
 */
import type { CheckedSettings } from './check.ts'
import type { Config } from './config.ts'
import type { Problem } from './explain.ts'
import { isSettingKey, type Values } from './schema.ts'
import { accessContradictions, accessPart } from './sections/access.ts'
import { cleanupConfig, cleanupContradictions } from './sections/cleanup.ts'
import { meshContradictions, meshPart } from './sections/mesh.ts'
import { mirrorContradictions, mirrorPart } from './sections/mirrors.ts'
import { serverContradictions, serverPart } from './sections/server.ts'
import { signingContradictions, signingPart } from './sections/signing/settings.ts'
import { storagePart } from './sections/storage.ts'
import { syncPart } from './sections/sync.ts'
import type { Contradiction } from './setting.ts'

/** The configuration, deep-frozen. Assumes that `checkRelations` found nothing. */
export function assembleConfig(values: Values): Config {
  return deepFreeze({
    ...serverPart(values),
    ...storagePart(inlineLimitOf(values)),
    ...accessPart(values, values.mirrors),
    ...mirrorPart(values),
    ...meshPart(values),
    ...syncPart(values),
    ...signingPart(values, {
      realm: values['auth.tokens.realm'],
      hosts: values['server.hosts'],
      addr: values['server.addr'],
    }),
    cleanup: cleanupConfig(values),
  })
}

/** All nodes of a mesh keep the same blobs as rows. */
function inlineLimitOf(values: Values): Values {
  const { 'mesh.inline_limit': limit, 'mesh.enabled': isNode } = values
  return isNode ? { ...values, 'storage.inline_limit': limit } : values
}

/** What no setting can check alone: pairs that need each other, values that exclude each other. */
export function checkRelations(checked: CheckedSettings): readonly Problem[] {
  const { values } = checked
  const found: readonly Contradiction[] = [
    ...serverContradictions(values),
    ...accessContradictions(values),
    ...mirrorContradictions(values),
    ...cleanupContradictions(values),
    ...signingContradictions(values),
    ...meshContradictions(values, (key) => checked.given.has(key)),
  ]
  return found
    .filter(({ unless = [] }) => !unless.some((key) => isRefused(checked, key)))
    .map(({ key, message }) => ({
      ...(placeOf(checked, key) ?? { source: key }),
      message: `${key}: ${message}`,
    }))
}

function placeOf({ given }: CheckedSettings, key: string) {
  return isSettingKey(key) ? given.get(key) : undefined
}

/** Given, but its value was refused already: then nothing more is said about it. */
function isRefused(checked: CheckedSettings, key: string): boolean {
  const place = placeOf(checked, key)?.position
  return place !== undefined && checked.problems.some(({ position }) => position === place)
}

/** Freezes the object and all that it holds. */
function deepFreeze<T extends object>(value: T): T {
  for (const part of Object.values(value)) {
    if (typeof part === 'object' && part !== null) deepFreeze(part)
  }
  return Object.freeze(value)
}
