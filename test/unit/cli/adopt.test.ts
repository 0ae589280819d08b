import { existsSync } from 'node:fs'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { main } from '../../../src/cli/main.ts'
import type { Terminal } from '../../../src/cli/terminal.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { Reconciliation } from '../../../src/storage/reconcile.ts'
import { digestOfText, openStore, REPOSITORY, temporaryFolder } from '../../support/store.ts'

function stage() {
  const lines: string[] = []
  const terminal = {
    environment: {},
    print: (line: string) => lines.push(line),
    printError: (line: string) => lines.push(`stderr: ${line}`),
  } as unknown as Terminal
  const adopt = (folder: string, ...flags: string[]) =>
    main(['adopt', '--storage', folder, ...flags], terminal)
  return { lines, adopt }
}

/** A tree as the Go FastRegistry wrote it: no metadata; one file is damaged, one is no blob. */
async function goTree(): Promise<string> {
  const folder = await temporaryFolder()
  const put = async (name: string, text: string) => {
    const path = join(folder, 'blobs', 'sha256', name.slice(0, 2), name)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, text)
  }
  for (const text of ['', 'config', 'layer'.repeat(50_000)]) await put(hexOf(text), text)
  await put(hexOf('whole'), 'who')
  await put('ab.tmp', 'half')
  return folder
}

const hexOf = (text: string) => digestOfText(text).slice('sha256:'.length)

describe('fastregistry adopt', () => {
  test('takes in what has the right content, and only that', async () => {
    const folder = await goTree()
    const { lines, adopt } = stage()
    expect(await adopt(folder)).toBe(0)
    expect(lines.filter((line) => !line.startsWith('stderr'))).toEqual([
      'adopted 3 blobs',
      'moved 1 files with other content to trash/quarantine',
      'removed 0 rows without their file',
      'left 1 files alone that no blob can have',
    ])
    const { metadata } = (await openStore(folder)).storage
    const layer = digestOfText('layer'.repeat(50_000))
    expect(metadata.get('blobs', layer)).toMatchObject({ place: 'file', sizeBytes: 250_000 })
    expect(metadata.get('blobs', digestOfText('whole'))).toBeUndefined()
    // Nothing cannot be mapped, so the empty blob lives in the metadata.
    expect(metadata.get('blobs', digestOfText(''))).toMatchObject({ place: 'inline' })
    expect(metadata.getBytes('blobBytes', digestOfText(''))).toHaveLength(0)
    expect(metadata.keys('holders', [layer], undefined, 1)).toEqual([])
    expect(await readdir(join(folder, 'trash', 'quarantine'))).toEqual([`sha256-${hexOf('whole')}`])
    expect(existsSync(join(folder, 'blobs', 'sha256', 'ab', 'ab.tmp'))).toBe(true)
  })

  test('links them into a repository when one is named', async () => {
    const folder = await goTree()
    expect(await stage().adopt(folder, '--repository', REPOSITORY)).toBe(0)
    const { metadata } = (await openStore(folder)).storage
    expect(metadata.get('repositories', REPOSITORY)).toBeDefined()
    for (const text of ['', 'config']) {
      expect(metadata.get('links', [REPOSITORY, digestOfText(text)])).toBeDefined()
    }
    expect(metadata.get('links', [REPOSITORY, digestOfText('whole')])).toBeUndefined()
  })

  test('again finds nothing new, and a start afterwards has nothing to say', async () => {
    const folder = await goTree()
    await stage().adopt(folder)
    const { lines, adopt } = stage()
    expect(await adopt(folder)).toBe(0)
    expect(lines[0]).toBe('adopted 0 blobs')
    const { storage } = await openStore(folder)
    const warnings: string[] = []
    const reconciliation = new Reconciliation({
      ...storage,
      sessions: { whenIdle: async () => undefined },
      clock: systemClock,
      log: { info: () => undefined, warn: (_fields, message) => warnings.push(message) },
      isRelaxed: false,
    })
    await reconciliation.begin()
    expect(warnings).toEqual([])
  })

  test('refuses a store that is in use', async () => {
    const folder = await goTree()
    await openStore(folder)
    const { lines, adopt } = stage()
    expect(await adopt(folder)).toBe(1)
    expect(lines).toEqual([expect.stringContaining(`in use by process ${process.pid}`)])
  })
})
