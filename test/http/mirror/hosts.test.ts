/**
 * One mirror by all the names of its registry: with and without a port, in any case, Docker Hub's
 * aliases; and snippets that name where images really are.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadConfigText } from '../../../src/config/load.ts'
import { clientSnippets } from '../../../src/mirror/client-snippets.ts'
import { FaultyUpstream } from '../../support/faulty-upstream.ts'
import { dispose, type InProcessRegistry, startInProcess } from '../../support/in-process.ts'
import { imageManifest, sha256 } from '../../support/registry-client.ts'

const upstream = new FaultyUpstream()
let registry: InProcessRegistry
const image = JSON.stringify(
  imageManifest({ mediaType: 'application/x', digest: sha256('{}'), size: 2 }, []),
)

beforeAll(async () => {
  await upstream.start()
  upstream.addManifest('library/app', 'v1', image)
  const { url } = upstream
  registry = await startInProcess({
    engine: 'uws',
    mirrors: [
      { name: 'docker.io', upstream: url },
      {
        name: 'office',
        upstream: url,
        hosts: ['My-Registry:2524', '10.0.0.5:5000', '[fd00::5]:5000'],
      },
      { name: 'ghcr.io', upstream: url },
      { name: 'plain', upstream: 'http://plain.test', hosts: ['plain.test'] },
    ],
  })
})
afterAll(async () => {
  await dispose(registry)
  await upstream.stop()
})

const ask = (ns: string) =>
  registry.client.get(`/v2/library/app/manifests/v1?ns=${encodeURIComponent(ns)}`)

describe('ns', () => {
  test.each([
    ['docker.io', 'docker.io'],
    ['DOCKER.IO', 'docker.io'],
    ['docker.io:443', 'docker.io'],
    ['index.docker.io', 'index.docker.io'],
    ['registry-1.docker.io', 'registry-1.docker.io'],
    ['Registry-1.Docker.io:443', 'registry-1.docker.io'],
    ['my-registry:2524', 'my-registry:2524'],
    ['MY-REGISTRY:2524', 'my-registry:2524'],
    ['10.0.0.5:5000', '10.0.0.5:5000'],
    ['[fd00::5]:5000', '[fd00::5]:5000'],
    ['[FD00::5]:5000', '[fd00::5]:5000'],
    ['ghcr.io:443', 'ghcr.io'],
    ['office', 'office'],
  ])('%s is known', async (ns, host) => {
    const answer = await ask(ns)
    expect([answer.status, answer.text]).toEqual([200, image])
    expect(answer.headers['oci-namespace']).toBe(host)
  })

  test('the host of the upstream is known where no hosts are written', async () => {
    // Of those that share it the first is meant.
    expect((await ask(new URL(upstream.url).host)).status).toBe(200)
  })

  test.each([
    'docker.io:5000',
    'my-registry',
    'my-registry:2525',
    '10.0.0.5',
    'evil.docker.io',
    'docker.io.evil.test',
    'http://docker.io',
    'docker.io/library',
    'a'.repeat(5_000),
    '[::1',
    ' ',
  ])('%s is not', async (ns) => {
    expect((await ask(ns)).status).toBe(404)
  })

  test('a path prefix that comes with it is not meant twice', async () => {
    const path = '/v2/docker.io/library/app/manifests/v1?ns=index.docker.io'
    expect((await registry.client.get(path)).text).toBe(image)
  })

  test('the default port of http is that of an upstream without TLS', async () => {
    const answer = await ask('plain.test:80')
    expect(answer.status).not.toBe(404)
  })
})

describe('configuration', () => {
  const load = (mirrors: string) => loadConfigText(`mirrors: ${mirrors}\n`, 'test.yaml')

  test('takes hosts in their normal form', async () => {
    const { mirrors } = await load('[{name: a, upstream: "https://a.test", hosts: ["A.test:443"]}]')
    expect(mirrors[0]!.hosts).toEqual(['a.test'])
    expect(mirrors[0]!.rootAllow).toEqual(['library/*'])
  })

  test.each([
    [
      '[{name: "my-registry:2524", upstream: "https://a.test"}]',
      'a host with a port goes into hosts',
    ],
    ['[{name: a, upstream: "https://a.test", hosts: ["https://a.test"]}]', 'without a scheme'],
    [
      '[{name: a, upstream: "https://a.test", hosts: [x.test]}, {name: b, upstream: "https://a.test", hosts: ["X.TEST:443"]}]',
      'the host x.test appears twice',
    ],
    [
      '[{name: a, upstream: "https://a.test", credentials: [{username: u, password: p, token_server: auth.test}]}]',
      'expected an http or https URL such as',
    ],
  ])('refuses %s', async (mirrors, words) => {
    await expect(load(mirrors)).rejects.toThrow(words)
  })
})

describe('snippets', () => {
  const textsOf = (mirror: object) =>
    clientSnippets({
      name: 'a',
      hosts: [],
      upstreams: [],
      isRoot: false,
      address: 'r.test:5000',
      isTls: true,
      ...mirror,
    })
  const containerd = (mirror: object) => {
    const { file, text } = textsOf(mirror).find(({ client }) => client === 'containerd')!
    return [file.split('/').at(-2), /^server = "(.*)"/.exec(text)![1]]
  }

  test.each([
    [
      { name: 'docker.io', upstreams: ['https://registry-1.docker.io'] },
      'docker.io',
      'https://registry-1.docker.io',
    ],
    [
      { name: 'hub', upstreams: ['https://registry-1.docker.io'] },
      'docker.io',
      'https://registry-1.docker.io',
    ],
    [
      { name: 'docker.io', upstreams: ['https://mirror.gcr.io'] },
      'docker.io',
      'https://registry-1.docker.io',
    ],
    [{ name: 'quay.io', upstreams: ['https://quay.io'] }, 'quay.io', 'https://quay.io'],
    [
      { name: 'my-registry', upstreams: ['http://my-registry:2524'] },
      'my-registry:2524',
      'http://my-registry:2524',
    ],
    [{ name: 'm.test', upstreams: ['https://m.test:5000'] }, 'm.test:5000', 'https://m.test:5000'],
    [
      { name: 'a', hosts: ['10.0.0.5:5000'], upstreams: ['http://10.0.0.5:5000'] },
      '10.0.0.5:5000',
      'http://10.0.0.5:5000',
    ],
    [
      { name: 'a', hosts: ['x.test:1'], upstreams: ['https://inside.test'] },
      'x.test:1',
      'https://x.test:1',
    ],
  ])('of %j name the real host', (mirror, host, server) => {
    expect(containerd(mirror)).toEqual([host, server])
    for (const { client, text } of textsOf(mirror)) expect(text, client).toContain(host)
  })

  test('come for every host', () => {
    const hosts = ['a.test', 'b.test:5000']
    const files = textsOf({ hosts, upstreams: ['https://a.test'] }).map(({ file }) => file)
    for (const host of hosts) expect(files).toContain(`/etc/containerd/certs.d/${host}/hosts.toml`)
  })
})
