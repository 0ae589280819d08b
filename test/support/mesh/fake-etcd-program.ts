/** @module A program that says that it is etcd: for tests of what only looks for one. */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'

/** The path of the program. */
export function fakeEtcdProgram(version = '3.5.21'): string {
  const path = join(mkdtempSync(join(tmpdir(), 'fastregistry-etcd-')), 'etcd')
  writeFileSync(path, `#!/bin/sh\necho "etcd Version: ${version}"\n`, { mode: 0o755 })
  return path
}

/** From now on it is the first one on the `PATH` of this process. */
export function putFakeEtcdOnPath(): void {
  const folder = fakeEtcdProgram().slice(0, -'/etcd'.length)
  process.env['PATH'] = `${folder}${delimiter}${process.env['PATH'] ?? ''}`
}
