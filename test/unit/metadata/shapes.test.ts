/** @module Rows of every push are stored without the names of their fields; others are read all the same. */
import { expect, test } from 'vitest'
import { LmdbEnvironment, prefixRange } from '../../../src/metadata/lmdb/environment.ts'
import { metadataFolder } from '../../../src/metadata/lmdb/folder.ts'
import { DATABASES, type DatabaseName } from '../../../src/metadata/schema.ts'
import { digestOfText, openStore, putBlob, temporaryFolder } from '../../support/store.ts'

const shaped = (Object.keys(DATABASES) as DatabaseName[]).filter(
  (name) => DATABASES[name].shapes !== undefined,
)

test('the rows of a pushed blob have the shapes that the schema names', async () => {
  const folder = await temporaryFolder()
  const store = await openStore(folder)
  await putBlob(store, Buffer.from('a layer'), 'inline')
  await store.storage.close()
  const environment = new LmdbEnvironment(metadataFolder(folder), false)
  let rows = 0
  for (const name of shaped) {
    for (const { key, value } of environment.entries(name, prefixRange([]))) {
      const named = Object.keys(value as object).join('').length
      const values = JSON.stringify(Object.values(value as object)).length
      expect(environment.valueLength(name, key), name).toBeLessThan(values + named / 2)
      rows += 1
    }
  }
  await environment.close()
  expect(rows).toBeGreaterThan(3)
})

test('rows of other shapes are what they were, for other threads too', async () => {
  const { metadata } = (await openStore(await temporaryFolder())).storage
  const rows = Array.from({ length: 40 }, (_, at) => ({
    [`field${at}`]: at,
    linkedAt: at,
    [`more${at}`]: { linkedAt: [at] },
  }))
  for (const [at, row] of rows.entries()) {
    const key = digestOfText(`blob ${at}`)
    await metadata.commit({
      checks: [],
      changes: [{ change: 'put', in: 'blobs', key, row: row as never }],
    })
    expect(metadata.get('blobs', key)).toEqual(row)
  }
})
