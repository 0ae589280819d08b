/**
 * @module A build of the store for one test only (`--import`): clients do not touch the blobs that
 * they rely on. Against it the race must be lost, else it would prove nothing.
 */
import { LmdbEnvironment } from '../../dist/src/storage/lmdb-environment.js'

const { put, get } = LmdbEnvironment.prototype

/** A touch is a row that differs in nothing but the time at which it was relied on. */
LmdbEnvironment.prototype.put = function (database, key, row) {
  if (database === 'blobs' && get.call(this, database, key)?.createdAt === row.createdAt) return
  put.call(this, database, key, row)
}
