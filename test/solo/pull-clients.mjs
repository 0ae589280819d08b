/**
 * A thread of clients that pull blobs and compare every byte with what it should be. Started with the
 * port, the paths, the expected bytes (shared memory), the number of clients and of layers that each
 * pulls at once; connects them all, says so, asks when it is told to, and posts one
 * `{ sentAt, firstAt, layer }` an answer (times since the epoch, so that threads can be compared) or
 * the first error.
 */
import { connect } from 'node:net'
import { parentPort, workerData } from 'node:worker_threads'

const { port, layers, clients, atOnce } = workerData
const now = () => performance.timeOrigin + performance.now()
const expected = layers.map(({ bytes }) => Buffer.from(bytes))
/** Shared by all sockets of the thread: what is read is compared before the next read. */
const buffer = Buffer.allocUnsafeSlow(64 * 1024)

function open(layer) {
  const { path } = layers[layer]
  const bytes = expected[layer]
  let head = ''
  let offset = -1
  let firstAt = 0
  let sentAt = 0
  let settle
  const done = new Promise((resolve, reject) => {
    settle = { resolve, reject }
  })
  const take = (count) => {
    let from = 0
    if (offset < 0) {
      const searched = head.length
      head += buffer.latin1Slice(0, count)
      const end = head.indexOf('\r\n\r\n')
      if (end === -1) return
      if (!head.startsWith('HTTP/1.1 200')) throw new Error(head.slice(0, 200))
      offset = 0
      from = end + 4 - searched
    }
    const length = count - from
    if (length === 0) return
    if (firstAt === 0) firstAt = now()
    const isRight = bytes.compare(buffer, from, count, offset, offset + length) === 0
    if (!isRight) throw new Error(`wrong bytes at ${offset} of layer ${layer}`)
    offset += length
    if (offset === bytes.byteLength) {
      settle.resolve({ layer, sentAt, firstAt })
      socket.destroy()
    }
  }
  const socket = connect({
    port,
    host: '127.0.0.1',
    onread: {
      buffer,
      callback: (count) => {
        try {
          take(count)
        } catch (error) {
          settle.reject(error)
          socket.destroy()
        }
        return true
      },
    },
  })
  socket.on('error', (error) => settle.reject(error))
  socket.on('close', () => settle.reject(new Error(`closed at ${offset} of ${bytes.byteLength}`)))
  const connected = new Promise((resolve) => socket.once('connect', resolve))
  const ask = () => {
    sentAt = now()
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)
    return done
  }
  return { connected, ask }
}

/** One client: its layers in order, some at a time. */
async function pullImage(layersOfOne) {
  const waiting = [...layersOfOne]
  const times = []
  const lane = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      times.push(await next.ask())
    }
  }
  await Promise.all(Array.from({ length: atOnce }, lane))
  return times
}

const pulls = Array.from({ length: clients }, () => layers.map((_, layer) => open(layer)))
await Promise.all(pulls.flat().map(({ connected }) => connected))
parentPort.once('message', () => {
  Promise.all(pulls.map(pullImage)).then(
    (times) => parentPort.postMessage({ times: times.flat() }),
    (error) => parentPort.postMessage({ error: error.message }),
  )
})
parentPort.postMessage('connected')
