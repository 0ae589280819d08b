/**
 * A thread of clients that pull blobs and compare every byte with what it should be. Started with the
 * port, the number of clients and of layers that each pulls at once. Told the layers of an image (path
 * and, in shared memory, the expected bytes), it connects its clients and says so; told to go, it asks,
 * and posts one `{ sentAt, firstAt, layer }` an answer (times since the epoch, so that threads can be
 * compared) or the first error.
 */
import { connect } from 'node:net'
import { parentPort, workerData } from 'node:worker_threads'

const { port, clients, atOnce } = workerData
const now = () => performance.timeOrigin + performance.now()
/** Shared by all sockets of the thread: what is read is compared before the next read. */
const buffer = Buffer.allocUnsafeSlow(64 * 1024)

function open({ path, bytes }, layer) {
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
      const pull = next()
      await pull.connected
      times.push(await pull.ask())
    }
  }
  await Promise.all(Array.from({ length: atOnce }, lane))
  return times
}

/** Resolves to what makes all clients pull the image. */
async function prepare(image) {
  // The first are connected before anybody asks; the others would idle for longer than a server allows.
  const pulls = Array.from({ length: clients }, () =>
    image.map((one, layer) => {
      const early = layer < atOnce ? open(one, layer) : undefined
      return () => early ?? open(one, layer)
    }),
  )
  await Promise.all(pulls.flatMap((all) => all.slice(0, atOnce).map((pull) => pull().connected)))
  return () => Promise.all(pulls.map(pullImage))
}

let start
parentPort.on('message', (layers) => {
  if (layers === 'go') {
    start().then(
      (times) => parentPort.postMessage({ times: times.flat() }),
      (error) => parentPort.postMessage({ error: error.message }),
    )
    return
  }
  prepare(layers.map(({ path, bytes }) => ({ path, bytes: Buffer.from(bytes) }))).then(
    (ready) => {
      start = ready
      parentPort.postMessage('connected')
    },
    (error) => parentPort.postMessage({ error: error.message }),
  )
})
