/**
 * @module A handler of uWebSockets.js that does nothing but answer from memory: `/1k`, `/64k`, `/1m`,
 * `/10m` and `/100m`, one buffer a size, each answer one `tryEnd` of all of it. What the engine and the
 * client could do at most on this machine. Run as a process of its own: `node bare-server.js PORT`.
 */
import { loadUws } from '../../src/http/engine/uws/loader.ts'
import { BLOB_SIZES } from './read-set.ts'

const loaded = loadUws()
if (!loaded.ok) {
  process.stderr.write(`${loaded.reason}\n`)
  process.exit(1)
}
const bodies = new Map(
  Object.entries(BLOB_SIZES).map(([name, bytes]) => [`/${name}`, new Uint8Array(bytes).fill(1)]),
)
const small = bodies.get('/1k')!
const app = loaded.uws.App()
app.any('/*', (response, request) => {
  response.onAborted(() => undefined)
  const body = bodies.get(request.getUrl()) ?? small
  const [, isDone] = response.tryEnd(body, body.byteLength)
  if (isDone) return
  response.onWritable((offset) => response.tryEnd(body.subarray(offset), body.byteLength)[0])
})
// Bare: the native side accepts by itself, which the server does not let it do.
type Listening = {
  listen(host: string, port: number, option: number, done: (open: unknown) => void): void
}
;(app as unknown as Listening).listen('127.0.0.1', Number(process.argv[2]), 0, (socket) => {
  if (!socket) process.exit(1)
})
