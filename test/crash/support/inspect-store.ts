/**
 * @module A stopped store from the inside: files and rows belong to each other, indexes agree with
 * what they index, nothing is left over (invariant 3, invariant 7).
 */

import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { blobPaths } from '../../../src/blobs/files/layout.ts'
import { LmdbEnvironment, prefixRange } from '../../../src/metadata/lmdb/environment.ts'
import { metadataFolder } from '../../../src/metadata/lmdb/folder.ts'
import type { DatabaseName, Databases } from '../../../src/metadata/schema.ts'

type Entry<N extends DatabaseName> = { key: Databases[N]['key']; row: Databases[N]['row'] }

/** Everything that is wrong with the stores of all nodes, in words; nothing when they are whole. */
export async function inspectStore(
  storages: readonly string[],
  endedSessions: ReadonlySet<string>,
): Promise<string[]> {
  const files = storages.map((storage) => {
    const { blobs, trash } = blobPaths(storage)
    return { blobs: blobFiles(blobs), trash: blobFiles(trash) }
  })
  const problems: string[] = []
  for (const storage of storages) {
    const found = await inspectRows(storage, files, endedSessions)
    problems.push(...(storages.length === 1 ? found : found.map((it) => `${storage}: ${it}`)))
  }
  return problems
}

/** Of one node: blobs' size by digest. */
interface NodeFiles {
  readonly blobs: ReadonlyMap<string, number>
  readonly trash: ReadonlyMap<string, number>
}

async function inspectRows(
  storage: string,
  files: readonly NodeFiles[],
  endedSessions: ReadonlySet<string>,
): Promise<string[]> {
  const environment = new LmdbEnvironment(metadataFolder(storage), false)
  const read = <N extends DatabaseName>(database: N): Entry<N>[] => {
    return [...environment.entries(database, prefixRange([]))].map(
      ({ key, value }) => ({ key, row: value }) as Entry<N>,
    )
  }
  try {
    return [
      ...inspectBlobs(files, read('blobs'), read('blobBytes'), read('trash')),
      ...inspectCandidates(read),
      ...inspectUploads(blobPaths(storage).uploads, read('uploads'), endedSessions),
      ...inspectLinks(read('links'), read('holders'), read('blobs')),
      ...inspectManifests(read),
    ]
  } finally {
    await environment.close()
  }
}

function blobFiles(folder: string): Map<string, number> {
  return new Map(
    filesBelow(folder).map((path) => {
      const [algorithm, , encoded] = path.split('/').slice(-3)
      return [`${algorithm}:${encoded}`, statSync(path).size]
    }),
  )
}

/** Bytes have a row, and rows their bytes on one node or more; those that were swept, in the trash. */
function inspectBlobs(
  nodes: readonly NodeFiles[],
  blobs: readonly Entry<'blobs'>[],
  blobBytes: readonly Entry<'blobBytes'>[],
  trash: readonly Entry<'trash'>[],
): string[] {
  const inline = new Map(blobBytes.map(({ key, row }) => [String(key), row.byteLength]))
  const filed = new Set<string>()
  const trashed = new Set<string>()
  const sizes = (digest: string, where: 'blobs' | 'trash'): number[] =>
    nodes.map((node) => node[where].get(digest)).filter((size) => size !== undefined)
  const isRight = (found: readonly number[], sizeBytes: number) =>
    found.length > 0 && found.every((size) => size === sizeBytes)
  const problems: string[] = []
  for (const { key, row } of blobs) {
    const inlined = inline.get(key)
    const found =
      row.place === 'file' ? sizes(key, 'blobs') : inlined === undefined ? [] : [inlined]
    if (!isRight(found, row.sizeBytes)) {
      problems.push(`row of ${key} says ${row.sizeBytes} bytes ${row.place}, there are ${found}`)
    }
    if (row.place === 'file') filed.add(key)
    else inline.delete(key)
  }
  const present = new Set(blobs.map(({ key }) => String(key)))
  for (const { key, row } of trash) {
    // A blob that was pushed again is whole by itself; a file that could not be moved is in place.
    const isBack = present.has(key)
    const moved = [...sizes(key, 'trash'), ...sizes(key, 'blobs')]
    const inlined = inline.get(key)
    const found = row.place === 'inline' ? (inlined === undefined ? [] : [inlined]) : moved
    if (!isBack && !isRight(found, row.sizeBytes)) {
      problems.push(`trash of ${key} says ${row.sizeBytes} bytes, there are ${found}`)
    }
    trashed.add(key)
    if (isBack) continue
    if (row.place === 'inline') inline.delete(key)
    else filed.add(key)
  }
  const without = (where: 'blobs' | 'trash', named: ReadonlySet<string>) =>
    nodes.flatMap((node) => [...node[where].keys()].filter((digest) => !named.has(digest)))
  for (const digest of without('blobs', filed)) problems.push(`file of ${digest} has no row`)
  for (const digest of without('trash', trashed)) {
    problems.push(`${digest} is in the trash without a row`)
  }
  for (const digest of inline.keys()) problems.push(`inline bytes of ${digest} have no row`)
  return problems
}

function inspectUploads(
  folder: string,
  uploads: readonly Entry<'uploads'>[],
  endedSessions: ReadonlySet<string>,
): string[] {
  const files = new Map(
    filesBelow(folder).map((path) => [path.slice(folder.length + 1), statSync(path).size]),
  )
  const problems: string[] = []
  for (const { key, row } of uploads) {
    const actual = files.get(key)
    if (row.bytes === undefined && row.offsetBytes > (actual ?? 0)) {
      problems.push(`session ${key} says ${row.offsetBytes} bytes, there are ${actual}`)
    }
    if (row.bytes === undefined) files.delete(key)
    if (endedSessions.has(`/v2/${row.repository}/blobs/uploads/${key}`)) {
      problems.push(`session ${key} has ended and has a row`)
    }
  }
  for (const id of files.keys()) problems.push(`upload file ${id} has no session`)
  return problems
}

function inspectLinks(
  links: readonly Entry<'links'>[],
  holders: readonly Entry<'holders'>[],
  blobs: readonly Entry<'blobs'>[],
): string[] {
  const rows = new Set(blobs.map(({ key }) => String(key)))
  const linked = links.map(({ key: [repository, digest] }) => `${digest} in ${repository}`)
  const held = holders.map(({ key: [digest, repository] }) => `${digest} in ${repository}`)
  return [
    ...links
      .filter(({ key }) => !rows.has(key[1]))
      .map(({ key }) => `link ${key.join(' ')} has no blob`),
    ...differences('link', linked, 'holder', held),
  ]
}

/** A blob that no collection will look at is in use wherever it is. */
function inspectCandidates(read: <N extends DatabaseName>(database: N) => Entry<N>[]): string[] {
  const candidates = new Set(read('candidates').map(({ key }) => key))
  const holders = new Set(read('holders').map(({ key: [digest] }) => String(digest)))
  const using = new Set(
    read('parents').map(({ key: [child, repository] }) => `${child} ${repository}`),
  )
  return [
    ...read('blobs')
      .filter(({ key }) => !candidates.has(key) && !holders.has(key))
      .map(({ key }) => `nobody holds ${key}, and it is no candidate`),
    ...read('holders')
      .filter(({ key }) => !candidates.has(key[0]) && !using.has(key.join(' ')))
      .map(({ key }) => `${key.join(' in ')} is not in use, and no candidate`),
  ]
}

function inspectManifests(read: <N extends DatabaseName>(database: N) => Entry<N>[]): string[] {
  const manifests = read('manifests')
  const children = read('children')
  const bytes = new Set(read('manifestBytes').map(({ key }) => String(key)))
  const present = new Set(manifests.map(({ key }) => key.join(' ')))
  const tags = read('tags')
  const parents = manifests.flatMap(({ key: [repository, digest] }) =>
    children
      .filter(({ key: [parent] }) => parent === digest)
      .map(({ key: [, child] }) => `${child} ${repository} ${digest}`),
  )
  const subjects = manifests.flatMap(({ key: [repository, digest], row }) =>
    row.subject === undefined ? [] : [`${repository} ${row.subject} ${digest}`],
  )
  const spell = (entries: readonly { key: unknown }[]) =>
    entries.map(({ key }) => (key as readonly string[]).join(' '))
  return [
    ...manifests
      .filter(({ key: [, digest] }) => !bytes.has(digest))
      .map(({ key }) => `manifest ${key.join(' ')} has no bytes`),
    ...tags
      .filter(({ key: [repository], row }) => !present.has(`${repository} ${row.digest}`))
      .map(({ key }) => `tag ${key.join(':')} points at nothing`),
    ...differences(
      'tag',
      tags.map(({ key: [repository, tag], row }) => `${repository} ${row.digest} ${tag}`),
      'index of tags',
      spell(read('tagsByDigest')),
    ),
    ...differences('child', parents, 'parent', spell(read('parents'))),
    ...differences('subject', subjects, 'referrer', spell(read('referrers'))),
  ]
}

function differences(
  oneName: string,
  one: readonly string[],
  otherName: string,
  other: readonly string[],
): string[] {
  const ones = new Set(one)
  const others = new Set(other)
  return [
    ...[...ones].filter((it) => !others.has(it)).map((it) => `${oneName} ${it}: no ${otherName}`),
    ...[...others].filter((it) => !ones.has(it)).map((it) => `${otherName} ${it}: no ${oneName}`),
  ]
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}
