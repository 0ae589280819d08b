/**
 * Deletes, of native modules that come in several builds, those that this Node.js and this system do not
 * load. For images, which run nowhere else:  node deploy/prune-binaries.mjs  (in the folder of package.json)
 */
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const modules = join(process.cwd(), 'node_modules')
const require = createRequire(join(process.cwd(), 'package.json'))
// Imports of this product: what they load is what the server will load.
await import(pathToFileURL(require.resolve('lmdb')).href)
const loader = pathToFileURL(join(process.cwd(), 'dist/src/http/engine/uws/loader.js')).href
const uws = (await import(loader)).loadUws()

const loaded = new Set(
  readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .map((line) => line.slice(line.indexOf('/'))),
)
const folders = readdirSync(join(modules, '@lmdb')).map((name) => join(modules, '@lmdb', name))
if (uws.ok) {
  const all = readdirSync(modules).filter((name) => name.startsWith('uWebSockets.js-'))
  folders.push(...all.map((name) => join(modules, name)))
}
for (const folder of folders) {
  const builds = readdirSync(folder).filter((name) => name.endsWith('.node'))
  const spare = builds.map((name) => join(folder, name)).filter((path) => !loaded.has(path))
  for (const path of spare) {
    rmSync(path)
    console.log(`deleted ${path}`)
  }
}
