/**
 * @module The schema: one row per setting, the single source for the loader, the suggestions, the
 * tables in the documents and the tests. The rows are in `sections/`, one file a section, with what
 * makes the configuration out of them.
 */
import { ACCESS_SETTINGS } from './sections/access.ts'
import { CLEANUP_SETTINGS } from './sections/cleanup.ts'
import { LATER_SETTINGS } from './sections/later.ts'
import { MESH_SETTINGS } from './sections/mesh.ts'
import { MIRROR_SETTINGS } from './sections/mirrors.ts'
import { SERVER_SETTINGS } from './sections/server.ts'
import { SIGNING_SETTINGS } from './sections/signing/settings.ts'
import { STORAGE_SETTINGS } from './sections/storage.ts'
import { SYNC_SETTINGS } from './sections/sync.ts'
import type { Setting, ValuesOf } from './setting.ts'

export const SETTINGS = {
  ...SERVER_SETTINGS,
  ...STORAGE_SETTINGS,
  ...CLEANUP_SETTINGS,
  ...ACCESS_SETTINGS,
  ...MIRROR_SETTINGS,
  ...SYNC_SETTINGS,
  ...SIGNING_SETTINGS,
  ...MESH_SETTINGS,
  ...LATER_SETTINGS,
} as const

export type SettingKey = keyof typeof SETTINGS

/** Value of every setting under its dotted key. */
export type Values = ValuesOf<typeof SETTINGS>

/** The rows without their exact types, for code that walks all of them. */
export const ROWS: Readonly<Record<string, Setting<unknown>>> = SETTINGS

/** Every key, in the order of the documentation. */
export const KEYS = Object.keys(SETTINGS) as readonly SettingKey[]

/** Every proper prefix of a key: `server`, `server.tls`, … */
export const SECTIONS: ReadonlySet<string> = new Set(
  KEYS.flatMap((key) => {
    const words = key.split('.')
    return words.slice(1).map((_, index) => words.slice(0, index + 1).join('.'))
  }),
)

/** Flags of the command line that stand for settings, with the key of each. */
export const FLAG_KEYS: ReadonlyMap<string, SettingKey> = new Map(
  KEYS.flatMap((key) => {
    const flag = ROWS[key]?.flag
    return flag === undefined ? [] : [[flag, key] as const]
  }),
)

/** Those that are on or off: on without a value. */
export const SWITCH_FLAGS: ReadonlySet<string> = new Set(
  [...FLAG_KEYS].flatMap(([flag, key]) => (ROWS[key]?.type.name === 'boolean' ? [flag] : [])),
)

export function isSettingKey(key: string): key is SettingKey {
  return Object.hasOwn(SETTINGS, key)
}
