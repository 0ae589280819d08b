/**
 * @module `fastregistry health [ready|live]`: asks the server that a configuration describes, on this
 * machine, how it is. For container health checks, which then need no ports and certificates.
 */
import { request } from 'node:http'
import { connect, isIP, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { Networks } from '../../auth/networks.ts'
import type { Config } from '../../config/config.ts'
import type { RunCommand } from '../command.ts'
import { configOf, reportFailure } from '../command-line.ts'

/** A server that takes longer is not well, ms. */
const answerWithinMs = 4_000

/** Exit code 0: it answers 200. */
export const health: RunCommand = async (line, terminal) => {
  const [word = 'ready'] = line.operands
  const config = await configOf(line, terminal)
  return reportFailure(terminal, 'not well', async () => {
    const { status, text } = await ask(config, word === 'live' ? '/livez' : '/readyz')
    terminal.print(text)
    return status === 200 ? 0 : 1
  })
}

async function ask(
  { server: { addr, tls, proxyProtocol } }: Config,
  path: string,
): Promise<{ readonly status: number; readonly text: string }> {
  const host = ownHost(addr.host)
  const { port } = addr
  if (port === 0)
    throw new Error('server.addr has port 0: this command cannot know which port the server got')
  const socket = connect({ host, port })
  const timer = setTimeout(() => socket.destroy(new Error('no answer in time')), answerWithinMs)
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    // From the address of a balancer the registry expects the PROXY header first.
    if (new Networks(proxyProtocol).includes(isIP(host) === 0 ? '127.0.0.1' : host)) {
      await say(socket, 'PROXY UNKNOWN\r\n')
    }
    // The server is on this machine and gets no secret, so any certificate is accepted.
    const stream = tls === undefined ? socket : connectTls({ socket, rejectUnauthorized: false })
    return await get(stream, path)
  } finally {
    clearTimeout(timer)
    socket.destroy()
  }
}

/** Where a listener is reached from this machine. */
function ownHost(host: string): string {
  if (host === '' || host === '0.0.0.0') return '127.0.0.1'
  return host === '::' ? '::1' : host
}

function say(socket: Socket, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.write(text, (error) => (error ? reject(error) : resolve()))
  })
}

function get(
  stream: Duplex,
  path: string,
): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    stream.once('error', reject)
    const sent = request({ createConnection: () => stream, path }, (answer) => {
      let text = ''
      answer.setEncoding('utf8')
      answer.on('data', (piece: string) => {
        text += piece
      })
      answer.on('error', reject)
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }))
    })
    sent.on('error', reject)
    sent.end()
  })
}
