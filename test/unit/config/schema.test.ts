import { describe, expect, test } from 'vitest'
import { assembleConfig } from '../../../src/config/assemble.ts'
import { FLAG_KEYS, KEYS, ROWS, SECTIONS, type Values } from '../../../src/config/schema.ts'

describe('the schema', () => {
  test.each(KEYS)('%s reads its own default, and does not refuse it', (key) => {
    const row = ROWS[key]!
    const parsed = row.type.parse(row.default)
    expect(parsed.ok).toBe(true)
    if (parsed.ok) expect(row.notYet?.refuses(parsed.value) ?? false).toBe(false)
  })

  test.each(KEYS)('%s is spelt in lower case and explained in a sentence', (key) => {
    expect(key).toMatch(/^[a-z_]+(\.[a-z_]+)*$/)
    expect(ROWS[key]!.doc).toMatch(/^[A-Z].*\.$/)
    expect(ROWS[key]!.doc).not.toContain('|')
  })

  test('no key is also a section', () => {
    expect(KEYS.filter((key) => SECTIONS.has(key))).toEqual([])
  })

  test('every setting that is available reaches the configuration', () => {
    const defaults = Object.fromEntries(
      KEYS.map((key) => {
        const parsed = ROWS[key]!.type.parse(ROWS[key]!.default)
        return [key, parsed.ok ? parsed.value : undefined]
      }),
    )
    const used = new Set<string>()
    const values = new Proxy(defaults, {
      get(target, key) {
        used.add(String(key))
        return target[String(key)]
      },
    }) as unknown as Values
    assembleConfig(values)
    // What is not built may be read already: it is refused before.
    const isAvailable = (key: string) => !ROWS[key]!.notYet
    expect(new Set([...used].filter(isAvailable))).toEqual(new Set(KEYS.filter(isAvailable)))
  })

  test('the flags of the first FastRegistry stand for the settings they stood for', () => {
    expect(Object.fromEntries(FLAG_KEYS)).toEqual({
      addr: 'server.addr',
      storage: 'storage.path',
      open: 'server.open',
    })
  })
})
