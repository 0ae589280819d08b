/**
 * @module What etcd is started with, what it says, and which program it is.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { flagsOf } from '../../../../src/mesh/etcd/flags.ts'
import { EtcdLines } from '../../../../src/mesh/etcd/lines.ts'
import { endpointOf } from '../../../../src/mesh/etcd/members.ts'
import { findProgram } from '../../../../src/mesh/etcd/program.ts'
import { launchArgs, readLaunchArgs } from '../../../../src/mesh/etcd/worker/launch.ts'
import { FakeTime } from '../../../support/mesh/fake-time.ts'

const settings = {
  name: 'n1',
  folder: '/etcd',
  peerUrl: 'https://10.0.0.1:7947',
  clientUrl: 'https://10.0.0.1:7948',
}
const here = { dataDir: '/etcd/data', minor: 6 }

describe('flags', () => {
  test('of a founder name itself alone, and a token of its own', () => {
    const flags = flagsOf(settings, { kind: 'found', token: 'abc' }, here)
    expect(flags).toContain('--initial-cluster=n1=https://10.0.0.1:7947')
    expect(flags).toContain('--initial-cluster-state=new')
    expect(flags).toContain('--initial-cluster-token=abc')
    expect(flags).toContain('--listen-client-urls=https://10.0.0.1:7948')
    expect(flags).toContain('--listen-peer-urls=https://10.0.0.1:7947')
    expect(flags).toContain('--quota-backend-bytes=2147483648')
  })

  test('of one that joins name every member that is listed, and never found', () => {
    const one = (id: bigint, url: string) => ({
      id,
      name: '',
      peerUrls: [url],
      clientUrls: [],
      isLearner: false,
    })
    const listed = [one(255n, 'https://10.0.0.9:1'), one(1n, settings.peerUrl)]
    const flags = flagsOf(settings, { kind: 'join', listed }, here)
    expect(flags).toContain(
      '--initial-cluster=n1=https://10.0.0.1:7947,member-ff=https://10.0.0.9:1',
    )
    for (const beginning of [{ kind: 'join', listed } as const, { kind: 'resume' } as const]) {
      expect(flagsOf(settings, beginning, here)).toContain('--initial-cluster-state=existing')
    }
  })

  test('bound what etcd before 3.6 keeps in memory, and are known to later ones', () => {
    const flags = (minor: number) =>
      flagsOf(settings, { kind: 'resume' }, { ...here, minor }).filter((flag) =>
        flag.startsWith('--snapshot-count'),
      )
    expect([4, 5, 6, 7].map((minor) => flags(minor).length)).toEqual([1, 1, 0, 0])
  })

  test('of TLS ask both sides for a certificate', () => {
    const files = (side: string) => ({ ca: `${side}.ca`, cert: `${side}.pem`, key: `${side}.key` })
    const tls = { peer: files('p'), client: files('c') }
    const flags = flagsOf({ ...settings, tls }, { kind: 'resume' }, here)
    expect(flags).toEqual(
      expect.arrayContaining([
        ...['--trusted-ca-file=c.ca', '--cert-file=c.pem', '--key-file=c.key'],
        ...['--peer-trusted-ca-file=p.ca', '--peer-cert-file=p.pem', '--peer-key-file=p.key'],
        ...['--client-cert-auth=true', '--peer-client-cert-auth=true'],
      ]),
    )
  })

  test('go through the launcher as they are', () => {
    const order = { mode: 'become', node: 12, program: '/etcd', args: ['--a=b', ''] } as const
    expect(readLaunchArgs(launchArgs(order))).toEqual(order)
    expect(() => readLaunchArgs([])).toThrow('started by a node')
    expect(() => readLaunchArgs(['x', '1', '/etcd'])).toThrow('started by a node')
  })
})

test.each([
  ['http://127.0.0.1:2379', '127.0.0.1:2379'],
  ['https://[::1]:2379', '[::1]:2379'],
  ['https://node.example', 'node.example:443'],
  ['http://node.example', 'node.example:80'],
])('the endpoint of %s', (url, endpoint) => {
  expect(endpointOf(url)).toBe(endpoint)
})

test.each(['', 'unix://x', 'node:1', '://'])('%j has no endpoint', (url) => {
  expect(() => endpointOf(url)).toThrow(expect.objectContaining({ code: 'malformed' }))
})

describe('lines', () => {
  const start = () => {
    const said: [string, object, string][] = []
    const take = (level: string) => (fields: object, message: string) => {
      said.push([level, fields, message])
    }
    const time = new FakeTime()
    const log = { debug: take('debug'), warn: take('warn'), error: take('error') }
    return { said, time, lines: new EtcdLines(log, time) }
  }

  test('come whole, however they were cut, by their level', () => {
    const { said, lines } = start()
    lines.push('{"level":"info","msg":"rea')
    lines.push('dy"}\n\n{"level":"fatal","msg":"no","error":"why"}\nflag provided but')
    lines.push(' not defined\n{"level":1}\n')
    expect(said).toEqual([
      ['debug', {}, 'etcd: ready'],
      ['error', { error: 'why' }, 'etcd: no'],
      ['warn', {}, 'etcd: flag provided but not defined'],
      ['warn', {}, 'etcd: {"level":1}'],
    ])
    expect(lines.tail).toBe('no; flag provided but not defined; {"level":1}')
  })

  test('are bounded in length', () => {
    const { said, lines } = start()
    for (let part = 0; part < 100; part += 1) lines.push('x'.repeat(1000))
    lines.push('\nnext\n')
    expect(said.map(([, , message]) => message.length)).toEqual([4096 + 6, 10])
  })

  test('are bounded in rate, and what is left out is counted', async () => {
    const { said, time, lines } = start()
    for (let line = 0; line < 1000; line += 1) lines.push(`line ${line}\n`)
    expect(said).toHaveLength(200)
    await time.advance(1000)
    lines.push('later\n')
    expect(said.slice(200)).toEqual([
      ['warn', { lines: 800 }, 'etcd wrote more lines than its log takes'],
      ['warn', {}, 'etcd: later'],
    ])
    // What follows from a line does not depend on the rate.
    for (let line = 0; line < 1000; line += 1) lines.push('x\n')
    lines.push(
      '{"level":"info","msg":"the member has been permanently removed from the cluster"}\n',
    )
    expect(lines.isRemoved).toBe(true)
  })
})

describe('the program', () => {
  let folder = ''
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'fastregistry-program-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  const make = (name: string, script: string, mode = 0o755) => {
    const path = join(folder, name)
    writeFileSync(path, `#!/bin/sh\n${script}\n`)
    chmodSync(path, mode)
    return path
  }

  test('is the configured one, else the bundled one, else that of the path', async () => {
    const [a, b] = ['a', 'b'].map((name, at) => make(name, `echo etcd Version: 3.${5 + at}.1`))
    make('etcd', 'echo etcd Version: 3.7.0-rc.0')
    const find = async (binary: string, bundled?: string) =>
      (
        await findProgram({
          binary,
          path: `relative:${folder}`,
          ...(bundled === undefined ? {} : { bundled }),
        })
      ).version
    expect(await find(a!, b!)).toBe('3.5.1')
    expect(await find('', b!)).toBe('3.6.1')
    expect(await find('', join(folder, 'gone'))).toBe('3.7.0-rc.0')
  })

  test('that is missing is refused with an instruction', async () => {
    make('etcd', 'echo', 0o644)
    const instruction = { code: 'missing', message: expect.stringContaining('Install etcd') }
    await expect(findProgram({ binary: '', path: folder })).rejects.toMatchObject(instruction)
    // A configured one is not replaced by another.
    make('etcd', 'echo etcd Version: 3.6.1')
    const binary = join(folder, 'gone')
    await expect(findProgram({ binary, path: folder })).rejects.toMatchObject(instruction)
    await expect(findProgram({ binary: folder, path: folder })).rejects.toMatchObject(instruction)
  })

  test.each([
    'echo etcd Version: 3.3.27',
    'echo etcd Version: 3.8.0',
    'echo etcd Version: 2.3.8',
    'echo something else',
    'exit 1',
    'while :; do echo etcd Version: 3.6.1; done',
  ])('with "%s" is refused', async (script) => {
    const binary = make('etcd', script)
    await expect(findProgram({ binary, path: '' })).rejects.toMatchObject({ code: 'version' })
  })

  test('of 3.4 is taken with a warning, and sees no variable of ours', async () => {
    const script = 'echo etcd Version: 3.4.$(test -z "$FASTREGISTRY_TEST_SECRET" && echo 23)'
    process.env['FASTREGISTRY_TEST_SECRET'] = 'x'
    try {
      const found = await findProgram({ binary: make('etcd', script), path: '' })
      expect(found).toMatchObject({ version: '3.4.23', minor: 4 })
      expect(found.warning).toContain('3.5 to 3.7')
    } finally {
      delete process.env['FASTREGISTRY_TEST_SECRET']
    }
  })
})
