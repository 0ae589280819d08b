/**
 * @module A build of the server for one test only (`--import`): nothing of check-and-raise is left.
 * Clients do not touch the blobs that they rely on, and a manifest is taken without a look at whether
 * its blobs are there, before its transaction or in it. Against it the race must be lost and
 * manifests break, else it would prove nothing. No configuration leads here.
 */
import { register } from 'node:module'
import { isMainThread } from 'node:worker_threads'
import { LmdbEnvironment } from '../../dist/src/metadata/lmdb/environment.js'

const { put, get } = LmdbEnvironment.prototype

/** A raise is a row that differs in nothing but the time at which it was relied on. */
LmdbEnvironment.prototype.put = function (database, key, row) {
  if (database === 'blobs' && get.call(this, database, key)?.createdAt === row.createdAt) return
  put.call(this, database, key, row)
}

/** Instead of the module that checks what a manifest names. */
const hooks = `
  export async function load(url, context, next) {
    if (!url.endsWith('/dist/src/distribution/check-children.js')) return next(url, context)
    return { format: 'module', shortCircuit: true, source: 'export const checkChildren = () => []' }
  }
`
if (isMainThread) register(`data:text/javascript,${encodeURIComponent(hooks)}`)
