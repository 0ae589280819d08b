/**
 * @module Installs what was received beside a folder. A process of its own, because a view that does not
 * open ends it.
 */
import { installSnapshot } from '../../../../dist/src/metadata/lmdb/snapshot/install.js'

console.log(await installSnapshot(process.argv[2]))
