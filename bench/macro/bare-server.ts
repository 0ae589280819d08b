/**
 * @module A handler of uWebSockets.js that does nothing but answer from memory: 1 KiB at `/small`,
 * 1 MiB at `/large`. What the engine and the client could do at most on this machine. Run as a
 * process of its own: `node bare-server.js PORT`.
 */
import { loadUws } from '../../src/http/engine/uws/loader.ts'

const loaded = loadUws()
if (!loaded.ok) {
  process.stderr.write(`${loaded.reason}\n`)
  process.exit(1)
}
const small = new Uint8Array(1024).fill(1)
const large = new Uint8Array(1024 * 1024).fill(1)
const app = loaded.uws.App()
app.any('/*', (response, request) => {
  response.onAborted(() => undefined)
  const body = request.getUrl() === '/large' ? large : small
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
