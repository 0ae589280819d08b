/**
 * @module The benches' client reads all connections into one buffer: what it keeps must be a copy.
 */
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { expect, test } from 'vitest'
import { HttpConnection } from '../../../bench/macro/http-client.ts'

const pause = () => new Promise((resolve) => setTimeout(resolve, 5))

test('heads and bodies in pieces, on two connections at once, stay what they were', async () => {
  const server = createServer((socket) => {
    socket.setNoDelay(true)
    socket.once('data', async (request) => {
      const letter = request.toString('latin1', 5, 6)
      for (const piece of ['HTTP/1.1 200 OK\r\nX-Let', `ter: ${letter}\r\nContent-`]) {
        socket.write(piece)
        await pause()
      }
      socket.write(`Length: 9\r\n\r\n${letter.repeat(3)}`)
      await pause()
      socket.write(letter.repeat(6))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const target = { host: '127.0.0.1', port, isTls: false }
  try {
    const replies = await Promise.all(
      ['a', 'b'].map(async (letter) => {
        const connection = await HttpConnection.open(target)
        const reply = await connection.request({
          method: 'GET',
          path: `/${letter}`,
          keepsBody: true,
        })
        connection.close()
        return [reply.headers.get('x-letter'), reply.body.toString(), reply.bodyBytes]
      }),
    )
    expect(replies).toEqual([
      ['a', 'aaaaaaaaa', 9],
      ['b', 'bbbbbbbbb', 9],
    ])
  } finally {
    server.close()
  }
})

test('a connection that is refused is an error', async () => {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  const target = { host: '127.0.0.1', port, isTls: false }
  await expect(HttpConnection.open(target)).rejects.toThrow(/ECONNREFUSED/)
})
