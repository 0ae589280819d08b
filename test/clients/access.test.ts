/**
 * @module Real clients with one registry over TLS, with an authority of its own: everybody may pull
 * what is public, whoever has logged in may push; then the password, the certificate and the
 * signing key change, one at a time, while the server runs.
 */

import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { htpasswd } from '../support/access.ts'
import { Authority } from '../support/certificates.ts'
import { runCli } from '../support/cli.ts'
import { type Layout, randomLayer, writeImage } from '../support/random-image.ts'
import { type RunningRegistry, startRegistry } from '../support/start-registry.ts'
import { type Client, DRIVERS, type Driver, type Place } from './support/drivers.ts'
import { run } from './support/run.ts'
import { clientEnvironment, need, obstacleTo } from './support/tools.ts'

let folder: string
let registry: RunningRegistry
let authority: Authority
let layout: Layout
const clients = new Map<string, Client>()
const own = (name: string) => join(folder, name)

const access = [
  { repositories: ['home/alice/*'], users: ['alice'], actions: ['pull', 'push', 'delete', 'list'] },
  { repositories: ['public/*'], users: ['root'], actions: ['pull', 'push', 'list'] },
  { repositories: ['public/*'], anonymous: true, actions: ['pull', 'list'] },
]

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fastregistry-access-'))
  mkdirSync(own('authority'))
  authority = new Authority(own('authority'))
  useCertificate('first')
  writeFileSync(own('htpasswd'), htpasswd({ alice: 'first-password', root: 'root-password' }))
  const auth = { type: 'htpasswd', htpasswd_file: own('htpasswd') }
  const server = { tls: { cert: own('server.pem'), key: own('server.key') } }
  registry = await startRegistry({ config: { auth, access, server } })
  layout = await writeImage(folder, own('image'), [await randomLayer(folder, 300_000, 77)])
  const crane = DRIVERS.find(({ name }) => name === 'crane')!
  if (crane.tools.some(obstacleTo)) return
  const root = await crane.open(placeOf('root'))
  await root.login('root', 'root-password')
  await root.push(`${registry.address}/public/tool:v1`)
})
afterAll(async () => {
  for (const client of clients.values()) await client.close()
  await registry.stop()
  await rm(folder, { recursive: true, force: true })
})

/** A certificate of the same authority in the place where the server looks for it. */
function useCertificate(name: string): void {
  const pair = authority.issue(name, 'IP:127.0.0.1')
  copyFileSync(pair.cert, own('server.pem'))
  copyFileSync(pair.key, own('server.key'))
}

function placeOf(name: string): Place {
  const home = own(`client-${name}`)
  const certs = join(home, 'certs')
  mkdirSync(certs, { recursive: true })
  copyFileSync(authority.cert, join(certs, 'ca.crt'))
  writeFileSync(join(home, 'auth.json'), '{}')
  const env = clientEnvironment(home, {
    COSIGN_PASSWORD: '',
    REGISTRY_AUTH_FILE: join(home, 'auth.json'),
    // Of the programs that take no file of their own: they are written in Go, which looks here.
    ...(name === 'crane' || name === 'cosign' || name === 'root'
      ? { SSL_CERT_FILE: authority.cert }
      : {}),
  })
  return {
    folder: home,
    own: (file) => join(home, file),
    run: (command, ...args) => run(command, args, { env, cwd: home }),
    address: registry.address,
    authority: authority.cert,
    certs,
    layout,
  }
}

async function clientOf(driver: Driver): Promise<Client> {
  const known = clients.get(driver.name)
  if (known !== undefined) return known
  const client = await driver.open(placeOf(driver.name))
  clients.set(driver.name, client)
  return client
}

const at = (name: string) => `${registry.address}/${name}`

describe('before anybody has logged in', () => {
  test.for(DRIVERS)('$name pulls what is public and pushes nothing', async (driver, context) => {
    need(context, ...driver.tools, 'crane')
    const client = await clientOf(driver)
    await client.pull(at('public/tool:v1'))
    await expect(client.push(at(`public/${driver.name}:v1`))).rejects.toThrow()
    await expect(client.push(at(`home/alice/${driver.name}:v1`))).rejects.toThrow()
  })

  test('skopeo without the authority gets no connection', async (context) => {
    need(context, 'skopeo')
    const pull = placeOf('stranger').run('skopeo', 'inspect', `docker://${at('public/tool:v1')}`)
    await expect(pull).rejects.toThrow(/certificate signed by unknown authority/)
  })
})

describe('after a login', () => {
  test.for(DRIVERS)(
    '$name pushes, pulls, and still pulls what is public',
    async (driver, context) => {
      need(context, ...driver.tools, 'crane')
      const client = await clientOf(driver)
      if (driver.checksLogin) {
        await expect(client.login('alice', 'wrong-password')).rejects.toThrow()
      }
      await client.login('alice', 'first-password')
      await client.push(at(`home/alice/${driver.name}:v1`))
      await client.pull(at(`home/alice/${driver.name}:v1`))
      await client.pull(at('public/tool:v1'))
      await expect(client.push(at(`public/${driver.name}:v1`))).rejects.toThrow()
    },
  )
})

/** What the server shows of itself: exactly one part of it changes in each of what follows. */
async function identity() {
  const keys = (JSON.parse(await get('/.well-known/jwks.json')) as { keys: { kid: string }[] }).keys
  return {
    process: registry.pid,
    certificate: await certificateName(),
    keys: keys.map(({ kid }) => kid),
  }
}

/** The signing key of a token that is given out now. */
async function keyOfNewToken(): Promise<unknown> {
  const answer = await get('/token?service=test', 'alice:second-password')
  const [head = ''] = (JSON.parse(answer) as { token: string }).token.split('.')
  return (JSON.parse(Buffer.from(head, 'base64url').toString()) as { kid: unknown }).kid
}

describe('after a new password alone', () => {
  beforeAll(async () => {
    const before = await identity()
    const change = ['htpasswd', 'add', own('htpasswd'), 'alice']
    expect(await runCli(change, 'second-password\n')).toMatchObject({ code: 0 })
    await until(async () => (await status('/v2/', 'alice:second-password')) === 200)
    expect(await identity()).toEqual(before)
  })

  test.for(DRIVERS)('$name needs it', async (driver, context) => {
    need(context, ...driver.tools)
    const client = await clientOf(driver)
    await expect(client.push(at(`home/alice/${driver.name}:v2`))).rejects.toThrow()
    await client.login('alice', 'second-password')
    await client.push(at(`home/alice/${driver.name}:v2`))
    await client.pull(at(`home/alice/${driver.name}:v2`))
  })
})

describe('after a new certificate alone', () => {
  beforeAll(async () => {
    const before = await identity()
    const key = await keyOfNewToken()
    useCertificate('second')
    await until(async () => (await certificateName()) === 'second')
    expect(await identity()).toEqual({ ...before, certificate: 'second' })
    expect(await keyOfNewToken()).toBe(key)
  })

  goesOn('v3')
})

describe('after a new signing key alone', () => {
  beforeAll(async () => {
    const before = await identity()
    const old = await keyOfNewToken()
    writeFileSync(own('cli.yaml'), `storage: { path: ${registry.storage} }\n`)
    const rotated = await runCli(['token', 'rotate-keys', '--config', own('cli.yaml')])
    expect(rotated).toMatchObject({ code: 0 })
    await until(async () => (await identity()).keys.length === before.keys.length + 1)
    const { keys, ...rest } = await identity()
    expect(rest).toEqual({ process: before.process, certificate: 'second' })
    expect(keys).toEqual(expect.arrayContaining(before.keys))
    const signer = await keyOfNewToken()
    expect(keys).toContain(signer)
    expect(signer).not.toBe(old)
  })

  goesOn('v4')
})

/** Every client with the login that it has: pushes anew, pulls that and what it had pushed before. */
function goesOn(tag: string): void {
  test.for(DRIVERS)('$name goes on', async (driver, context) => {
    need(context, ...driver.tools)
    const client = await clientOf(driver)
    await client.push(at(`home/alice/${driver.name}:${tag}`))
    await client.pull(at(`home/alice/${driver.name}:${tag}`))
    await client.pull(at(`home/alice/${driver.name}:v2`))
  })
}

/** The time limit of the hook bounds it. */
async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 50))
}

const trusted = () => ({ host: '127.0.0.1', port: registry.port, ca: readFileSync(authority.cert) })

function status(path: string, auth: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request({ ...trusted(), path, auth, agent: false }, (answer) => {
      answer.resume()
      resolve(answer.statusCode ?? 0)
    })
    sent.once('error', reject).end()
  })
}

function get(path: string, auth?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request({ ...trusted(), path, auth, agent: false }, async (answer) => {
      let text = ''
      for await (const chunk of answer.setEncoding('utf8')) text += String(chunk)
      resolve(text)
    })
    sent.once('error', reject).end()
  })
}

function certificateName(): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(trusted(), () => {
      resolve(String(socket.getPeerCertificate().subject.CN))
      socket.destroy()
    })
    socket.once('error', reject)
  })
}
