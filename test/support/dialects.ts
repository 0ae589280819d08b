/**
 * @module How the registries that exist differ from the textbook, as data: each dialect is a set of
 * switches of the programmable upstream, with what clients of a mirror must get. Facts from public
 * documentation and issue threads; the sources stand beside what is not plain.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { digestOf } from '../../src/registry/hasher.ts'
import { type Fault, FaultyUpstream, sendJson } from './faulty-upstream.ts'

export interface Dialect {
  readonly name: string
  /** Undefined: nobody is asked who he is. */
  readonly login?: Login
  readonly manifests?: Manifests
  readonly blobs?: Blobs
  readonly tags?: Tags
  readonly referrers?: Referrers
  /** What a repository that is not there is answered with, after a login. */
  readonly missing?: { readonly status: number; readonly body?: string; readonly challenge?: true }
  /** Sent with every answer. */
  readonly headers?: Readonly<Record<string, string>>
  /** Path before each repository's name, and part of the upstream's URL. */
  readonly prefix?: string
  readonly expect: Expected
}

export interface Login {
  readonly kind: 'basic' | 'token'
  /** `WWW-Authenticate`; `REALM` and `REPOSITORY` are filled in. */
  readonly challenge: string
  /** Where tokens are: on the upstream itself, or on another host. */
  readonly tokens?: 'own' | 'elsewhere'
  readonly answer?: (token: string) => { readonly body: string; readonly type?: string }
  /** What has to be asked for; `REPOSITORY` is filled in. */
  readonly scope?: string
  /** Anonymous callers are refused by the token server, with this. */
  readonly anonymous?: { readonly status: number; readonly body: string }
  /** The password that is configured in the mirror, and right. */
  readonly needsPassword?: boolean
}

export interface Manifests {
  readonly type?: string
  readonly hasDigestHeader?: boolean
  readonly isChunked?: boolean
  /** HEAD is answered with this status instead. */
  readonly head?: number
  /** 307 to another path of the same host, or to another host that challenges. */
  readonly redirect?: 'own' | 'elsewhere'
}

export interface Blobs {
  readonly head?: number
  /** 307 to another host; `signed`: for GET alone. */
  readonly redirect?: 'open' | 'signed'
  readonly isChunked?: boolean
  readonly ignoresRange?: boolean
}

export interface Tags {
  /** Refused as a list at all. */
  readonly status?: number
  readonly max?: number
  readonly refusal?: string
  readonly page?: number
  readonly link?: 'relative' | 'absolute' | 'prefixed' | 'unquoted' | 'none'
  /** All that is known of the manifests, beside the tags. */
  readonly hasManifests?: boolean
  readonly isNullWhenNone?: boolean
}

export interface Referrers {
  readonly status: number
  readonly body?: string
  readonly type?: string
  /** Redirects to a page of another host. */
  readonly location?: 'elsewhere'
  /** Signatures stand under the fallback tag. */
  readonly hasTag?: boolean
}

export interface Expected {
  readonly tags: 'all' | number
  readonly referrers: 'listed' | number
  readonly missing: number
  /** For a mirror without credentials; 404 where nothing is said. */
  readonly strangers?: number
}

const textbook: Expected = { tags: 'all', referrers: 'listed', missing: 404 }

const bearer = (more = '') => `Bearer realm="REALM",service="reg"${more}`
const scoped = bearer(',scope="repository:REPOSITORY:pull"')
const error = (code: string, message = code) => JSON.stringify({ errors: [{ code, message }] })

export const DIALECTS: readonly Dialect[] = [
  {
    name: 'Docker Hub',
    login: {
      kind: 'token',
      challenge: scoped,
      tokens: 'elsewhere',
      answer: (token) => ({
        body: JSON.stringify({ token, access_token: token, expires_in: 300, issued_at: 'x' }),
      }),
    },
    blobs: { redirect: 'open' },
    tags: { page: 100, link: 'relative' },
    referrers: { status: 404, hasTag: true },
    // A token is given for what does not exist as well; then 401 insufficient_scope (distribution#3856).
    missing: {
      status: 401,
      body: error('UNAUTHORIZED', 'authentication required'),
      challenge: true,
    },
    headers: { 'RateLimit-Limit': '100;w=21600', 'RateLimit-Remaining': '76;w=21600' },
    expect: textbook,
  },
  {
    name: 'GHCR',
    login: {
      kind: 'token',
      challenge: scoped,
      answer: (token) => ({ body: JSON.stringify({ token }) }),
    },
    // stargz-snapshotter#167: the storage answers HEAD with 403.
    blobs: { redirect: 'signed' },
    tags: { page: 100, link: 'relative' },
    referrers: { status: 303, location: 'elsewhere', hasTag: true },
    missing: { status: 404, body: error('NAME_UNKNOWN', 'repository name not known to registry') },
    expect: textbook,
  },
  {
    name: 'GHCR, private and without credentials',
    login: {
      kind: 'token',
      challenge: bearer(',scope="repository:user/image:pull"'),
      anonymous: { status: 403, body: error('DENIED', 'requested access is denied') },
      needsPassword: true,
    },
    referrers: { status: 303, location: 'elsewhere' },
    expect: { ...textbook, referrers: 404 },
  },
  {
    name: 'quay.io',
    login: {
      kind: 'token',
      challenge: bearer(),
      // No lifetime, and a page of 100 whatever is asked for, with a link to another name of the host.
      answer: (token) => ({ body: JSON.stringify({ token }) }),
    },
    blobs: { redirect: 'open' },
    tags: { page: 100, link: 'absolute' },
    referrers: { status: 400, body: error('MANIFEST_INVALID'), hasTag: true },
    missing: {
      status: 401,
      body: error('UNAUTHORIZED', 'access is not permitted'),
      challenge: true,
    },
    expect: textbook,
  },
  {
    name: 'GitLab',
    login: {
      kind: 'token',
      challenge: bearer(',scope="repository:REPOSITORY:pull",error="invalid_token"'),
      answer: (token) => ({ body: JSON.stringify({ token }) }),
    },
    blobs: { redirect: 'signed' },
    tags: { max: 1_000, page: 100, link: 'relative' },
    referrers: { status: 404, body: '404 page not found', type: 'text/plain', hasTag: true },
    missing: {
      status: 401,
      body: error('UNAUTHORIZED', 'authentication required'),
      challenge: true,
    },
    expect: textbook,
  },
  {
    name: 'ECR',
    login: {
      kind: 'basic',
      challenge: 'Basic realm="https://upstream/",service="ecr.amazonaws.com"',
      needsPassword: true,
    },
    blobs: { redirect: 'signed' },
    // go-containerregistry#681: 400 above 1,000.
    tags: {
      max: 1_000,
      page: 100,
      link: 'absolute',
      refusal: error('UNSUPPORTED', "Invalid parameter at 'maxResults'"),
    },
    referrers: { status: 405, body: error('UNSUPPORTED'), hasTag: true },
    missing: { status: 404, body: error('NAME_UNKNOWN', 'The repository does not exist') },
    expect: textbook,
  },
  {
    name: 'ECR Public',
    login: { kind: 'token', challenge: bearer(',scope="aws"'), scope: 'aws' },
    // buildbuddy#12566: 401 for every HEAD of a blob.
    blobs: { head: 401, redirect: 'open' },
    tags: { max: 1_000, page: 1_000, link: 'relative' },
    referrers: { status: 400, body: error('UNSUPPORTED'), hasTag: true },
    missing: { status: 404, body: error('NAME_UNKNOWN') },
    expect: textbook,
  },
  {
    name: 'GCR and Artifact Registry',
    login: {
      kind: 'token',
      challenge: bearer(),
      answer: (token) => ({ body: JSON.stringify({ token, expires_in: '3599', issued_at: '' }) }),
    },
    blobs: { redirect: 'open' },
    tags: { hasManifests: true },
    referrers: { status: 404, body: '<html>404</html>', type: 'text/html', hasTag: true },
    missing: { status: 403, body: error('DENIED', 'Permission denied, or it may not exist') },
    expect: { ...textbook, missing: 403 },
  },
  {
    name: 'registry.k8s.io, which sends manifests to another host that challenges',
    manifests: { redirect: 'elsewhere' },
    blobs: { redirect: 'open' },
    referrers: { status: 404, hasTag: true },
    expect: textbook,
  },
  {
    name: 'ACR',
    login: {
      kind: 'token',
      challenge: scoped,
      needsPassword: true,
      // Only the second key, and lists want more than pull.
      answer: (token) => ({ body: JSON.stringify({ access_token: token }) }),
    },
    blobs: { redirect: 'signed' },
    tags: { page: 100, link: 'relative' },
    referrers: { status: 200 },
    missing: {
      status: 401,
      body: error('UNAUTHORIZED', 'authentication required'),
      challenge: true,
    },
    expect: textbook,
  },
  {
    name: 'MCR',
    blobs: { redirect: 'open' },
    tags: { page: 1_000, link: 'none' },
    referrers: { status: 200 },
    missing: { status: 404, body: error('MANIFEST_UNKNOWN') },
    expect: textbook,
  },
  {
    name: 'Harbor',
    login: {
      kind: 'token',
      challenge: 'Bearer realm="REALM",service="harbor-registry"',
      answer: (token) => ({ body: JSON.stringify({ token, access_token: '', expires_in: 1800 }) }),
    },
    tags: { max: 100, page: 100, link: 'relative', refusal: error('BAD_REQUEST', 'page size') },
    referrers: { status: 200 },
    missing: { status: 404, body: error('NOT_FOUND', 'repository not found') },
    expect: textbook,
  },
  {
    name: 'Artifactory',
    prefix: 'artifactory/api/docker/remote',
    login: { kind: 'token', challenge: bearer(), needsPassword: true },
    // RTFACT-18971: links lose the prefix.
    tags: { page: 100, link: 'prefixed' },
    referrers: { status: 404, body: error('MANIFEST_UNKNOWN'), hasTag: true },
    missing: { status: 403, body: '{"errors":[{"status":403,"message":"Forbidden"}]}' },
    expect: { ...textbook, missing: 403 },
  },
  {
    name: 'Nexus',
    login: {
      kind: 'basic',
      challenge: 'BASIC realm="Sonatype Nexus Repository Manager"',
      needsPassword: true,
    },
    manifests: { type: 'application/vnd.oci.image.manifest.v1+json; charset=utf-8' },
    // nexus-public#1011: links with a path of another port.
    tags: { page: 100, link: 'prefixed' },
    referrers: { status: 404, body: '<html>Not Found</html>', type: 'text/html', hasTag: true },
    missing: { status: 404, body: error('NAME_UNKNOWN') },
    expect: textbook,
  },
  {
    name: 'distribution 3.1',
    // distribution#4844
    tags: {
      max: 1_000,
      page: 1_000,
      link: 'relative',
      refusal: error('PAGINATION_NUMBER_INVALID', 'invalid number of results requested'),
    },
    referrers: { status: 404, body: '404 page not found', type: 'text/plain', hasTag: true },
    missing: { status: 404, body: error('NAME_UNKNOWN') },
    expect: textbook,
  },
  {
    name: 'zot',
    login: {
      kind: 'basic',
      challenge: 'Basic realm="Authorization Required"',
      needsPassword: true,
    },
    tags: { page: 1_000, link: 'unquoted' },
    referrers: { status: 200 },
    missing: { status: 404, body: error('NAME_UNKNOWN') },
    expect: textbook,
  },
  {
    name: 'Ollama',
    // ollama#6470, oras-go#882: another type, no length, no digest, HEAD not known; no lists.
    manifests: {
      type: 'text/plain; charset=utf-8',
      hasDigestHeader: false,
      isChunked: true,
      head: 405,
    },
    blobs: { redirect: 'signed' },
    tags: { status: 404 },
    referrers: { status: 404, body: '404 page not found', type: 'text/plain' },
    missing: { status: 404, body: error('MANIFEST_UNKNOWN') },
    expect: { tags: 404, referrers: 404, missing: 404 },
  },
  {
    name: 'a registry that knows GET alone, without lengths and ranges',
    manifests: { head: 501, hasDigestHeader: false },
    blobs: { head: 501, isChunked: true, ignoresRange: true },
    tags: { page: 1_000 },
    referrers: { status: 501, hasTag: true },
    missing: { status: 410, body: '' },
    expect: textbook,
  },
  {
    name: 'a registry that refuses each HEAD',
    manifests: { head: 403 },
    blobs: { head: 403 },
    referrers: { status: 406, hasTag: true },
    missing: { status: 451, body: error('DENIED', 'for legal reasons') },
    expect: { ...textbook, missing: 451 },
  },
  {
    name: 'a registry that offers passwords and tokens, and whose token server is elsewhere and gone',
    login: {
      kind: 'basic',
      challenge: 'Basic realm="x", Bearer realm="http://127.0.0.1:1/token",service="s"',
      needsPassword: true,
    },
    referrers: { status: 200 },
    missing: { status: 400, body: error('NAME_INVALID', 'invalid repository name') },
    expect: { ...textbook, missing: 400, strangers: 502 },
  },
  {
    name: 'a registry that hides behind its own redirects',
    manifests: { redirect: 'own' },
    blobs: { redirect: 'open', ignoresRange: true },
    tags: { status: 403 },
    referrers: { status: 200, body: '<html>Sign in</html>', type: 'text/html' },
    missing: { status: 403, body: '<html>Sign in</html>' },
    expect: { tags: 403, referrers: 404, missing: 403 },
  },
]

export const password = { username: 'team', password: 'secret' }

export const allTags = Array.from(
  { length: 230 },
  (_, index) => `t${String(index).padStart(3, '0')}`,
)

/** An upstream that speaks a dialect; what it has is added by the test. */
export class DialectUpstream {
  readonly upstream = new FaultyUpstream()
  /** Its token server, its storage, its web pages. */
  readonly elsewhere = new FaultyUpstream()
  readonly #dialect: Dialect

  constructor(dialect: Dialect) {
    this.#dialect = dialect
    this.upstream.fault = (request, response, content) => this.#answer(request, response, content)
    this.elsewhere.fault = (request, response, content) =>
      this.#answerElsewhere(request, response, content)
  }

  get url(): string {
    const { prefix } = this.#dialect
    return `${this.upstream.url}${prefix === undefined ? '' : `/${prefix}`}`
  }

  async start(): Promise<void> {
    await Promise.all([this.upstream.start(), this.elsewhere.start()])
  }

  async stop(): Promise<void> {
    await Promise.all([this.upstream.stop(), this.elsewhere.stop()])
  }

  /** The name under which the upstream has a repository. */
  nameOf(repository: string): string {
    const { prefix } = this.#dialect
    return prefix === undefined ? repository : `${prefix}/${repository}`
  }

  #answer(request: IncomingMessage, response: ServerResponse, content: Content): boolean {
    const { headers = {}, missing } = this.#dialect
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
    const url = new URL(request.url!, 'http://x')
    if (url.pathname === '/token') return this.#token(request, response, url)
    const path = /^\/v2\/(.*)\/(manifests|blobs|tags|referrers)\/([^/]+)$/.exec(url.pathname)
    const repository = path?.[1] ?? ''
    if (!this.#isLoggedIn(request, repository)) return this.#challenge(response, repository)
    if (path === null) return false
    if (repository.endsWith('/absent')) {
      const { status, body = '', challenge } = missing ?? { status: 404, body: error('X') }
      if (challenge === true) return this.#challenge(response, repository, 'insufficient_scope')
      response.writeHead(status, { 'Content-Type': typeOf(body) }).end(body)
      return true
    }
    switch (path[2]) {
      case 'manifests':
        return this.#manifest(request, response, content)
      case 'blobs':
        return this.#blob(request, response, content)
      case 'tags':
        return this.#tags(response, url)
      default:
        return this.#referrers(response)
    }
  }

  #isLoggedIn({ headers: { authorization } }: IncomingMessage, repository: string): boolean {
    const { login } = this.#dialect
    if (login === undefined) return true
    if (login.kind === 'basic') return authorization === basicHeader
    return authorization === `Bearer ${tokenFor(this.#scope(login, repository))}`
  }

  #scope({ scope }: Login, repository: string): string {
    return (scope ?? 'repository:REPOSITORY:pull').replace('REPOSITORY', repository)
  }

  #challenge(response: ServerResponse, repository: string, problem?: string): boolean {
    const { login } = this.#dialect
    const host = login?.tokens === 'elsewhere' ? this.elsewhere.url : this.upstream.url
    const challenge = (login?.challenge ?? '')
      .replace('REALM', `${host}/token`)
      .replace('REPOSITORY', repository)
    const more = problem === undefined ? '' : `,error="${problem}"`
    sendJson(response, 401, 'UNAUTHORIZED', 'authentication required', {
      'WWW-Authenticate': `${challenge}${more}`,
    })
    return true
  }

  #token(request: IncomingMessage, response: ServerResponse, url: URL): boolean {
    const { login } = this.#dialect
    const { authorization } = request.headers
    if (login?.needsPassword === true && authorization !== basicHeader) {
      const { status, body } = login.anonymous ?? { status: 401, body: error('UNAUTHORIZED') }
      response.writeHead(status, { 'Content-Type': 'application/json' }).end(body)
      return true
    }
    const token = tokenFor(url.searchParams.get('scope') ?? '')
    const { body, type = 'application/json' } = login?.answer?.(token) ?? {
      body: JSON.stringify({ token }),
    }
    response.writeHead(200, { 'Content-Type': type }).end(body)
    return true
  }

  #manifest(request: IncomingMessage, response: ServerResponse, content: Content): boolean {
    const { manifests = {} } = this.#dialect
    if (manifests.redirect !== undefined && !request.url!.includes('?there')) {
      const host = manifests.redirect === 'own' ? '' : this.elsewhere.url
      response.writeHead(307, { Location: `${host}${request.url}?there` }).end()
      return true
    }
    if (request.method === 'HEAD' && manifests.head !== undefined) {
      response.writeHead(manifests.head).end()
      return true
    }
    return content !== undefined && sendManifest(request, response, content, manifests)
  }

  #blob(request: IncomingMessage, response: ServerResponse, content: Content): boolean {
    const { blobs = {} } = this.#dialect
    if (content === undefined) return false
    if (request.method === 'HEAD' && blobs.head !== undefined) {
      response.writeHead(blobs.head).end()
      return true
    }
    if (blobs.redirect !== undefined) {
      this.elsewhere.addBlob('app', content.bytes)
      const digest = digestOf('sha256', content.bytes)
      const method = request.method ?? ''
      const signed = blobs.redirect === 'signed' ? 'GET' : method
      const Location = `${this.elsewhere.url}/v2/app/blobs/${digest}?signed=${signed}`
      response.writeHead(307, { Location }).end()
      return true
    }
    if (blobs.ignoresRange === true) delete request.headers.range
    if (blobs.isChunked !== true) return false
    response.writeHead(200, { 'Content-Type': 'application/octet-stream' })
    response.write(content.bytes.subarray(0, 1_000))
    response.end(content.bytes.subarray(1_000))
    return true
  }

  #tags(response: ServerResponse, url: URL): boolean {
    const { tags = {} } = this.#dialect
    const { status, max = Number.POSITIVE_INFINITY, page = 10_000, link = 'relative' } = tags
    if (status !== undefined) {
      sendJson(response, status, 'UNSUPPORTED', 'no lists')
      return true
    }
    const wanted = Number(url.searchParams.get('n') ?? page)
    if (wanted > max) {
      response.writeHead(400, { 'Content-Type': 'application/json' })
      response.end(tags.refusal ?? error('PAGINATION_NUMBER_INVALID'))
      return true
    }
    const size = Math.min(page, wanted)
    const after = url.searchParams.get('last') ?? ''
    const rest = allTags.filter((tag) => tag > after)
    const found = rest.slice(0, size)
    const query = `?n=${size}&last=${found.at(-1)}`
    const next = rest.length > size ? linkOf(link, url.pathname, query) : undefined
    if (next !== undefined) response.setHeader('Link', next)
    const manifest = { 'sha256:x': { tag: allTags, timeCreatedMs: '1' } }
    const more = tags.hasManifests === true ? { child: [], manifest } : {}
    response.writeHead(200, { 'Content-Type': 'text/plain; charset=utf-8' })
    response.end(JSON.stringify({ name: 'app', ...more, tags: found }))
    return true
  }

  /** False: from what was added, as the specification has it. */
  #referrers(response: ServerResponse): boolean {
    const {
      status,
      body = '',
      type = 'application/json',
      location,
    } = this.#dialect.referrers ?? {
      status: 200,
    }
    if (status === 200 && body === '') return false
    const headers = location === undefined ? {} : { Location: `${this.elsewhere.url}/page` }
    response.writeHead(status, { 'Content-Type': type, ...headers }).end(body)
    return true
  }

  #answerElsewhere(request: IncomingMessage, response: ServerResponse, content: Content): boolean {
    const url = new URL(request.url!, 'http://x')
    if (url.pathname === '/token') return this.#token(request, response, url)
    if (url.pathname === '/page') {
      response.writeHead(200, { 'Content-Type': 'text/html' }).end('<html>Packages</html>')
      return true
    }
    if (url.pathname.includes('/manifests/')) {
      const repository = /^\/v2\/(.*)\/manifests\//.exec(url.pathname)![1]!
      const scope = `repository:there/${repository}:pull`
      if (request.headers.authorization !== `Bearer ${tokenFor(scope)}`) {
        const challenge = `Bearer realm="${this.elsewhere.url}/token",scope="${scope}"`
        sendJson(response, 401, 'UNAUTHORIZED', 'x', { 'WWW-Authenticate': challenge })
        return true
      }
      const found = this.upstream.contentOf(url.pathname)
      if (found === undefined) sendJson(response, 404, 'MANIFEST_UNKNOWN', 'not here')
      else sendManifest(request, response, found, {})
      return true
    }
    if (url.searchParams.get('signed') === request.method) {
      if (this.#dialect.blobs?.ignoresRange === true) delete request.headers.range
      return false
    }
    response.writeHead(403, { 'Content-Type': 'application/xml' })
    response.end(content === undefined ? '' : '<Error>SignatureDoesNotMatch</Error>')
    return true
  }
}

type Content = Parameters<Fault>[2]

const basicHeader = `Basic ${btoa(`${password.username}:${password.password}`)}`

const tokenFor = (scope: string) => `t-${btoa(scope).replaceAll('=', '')}`

const typeOf = (body: string) => (body.startsWith('<') ? 'text/html' : 'application/json')

function linkOf(form: NonNullable<Tags['link']>, path: string, query: string): string | undefined {
  switch (form) {
    case 'none':
      return undefined
    case 'relative':
      return `<${path}${query}>; rel="next"`
    case 'absolute':
      return `<https://other.name${path}${query}>; rel="next"`
    case 'prefixed':
      return `<http://host:5002/repository/docker-proxy${path}${query}>; rel="next"`
    case 'unquoted':
      return `<${path}${query}>; rel=next`
  }
}

function sendManifest(
  request: IncomingMessage,
  response: ServerResponse,
  content: NonNullable<Content>,
  { type, hasDigestHeader = true, isChunked = false }: Manifests,
): boolean {
  const digest = digestOf('sha256', content.bytes)
  response.writeHead(200, {
    'Content-Type': type ?? content.type,
    ...(hasDigestHeader ? { 'Docker-Content-Digest': digest } : {}),
    ...(isChunked ? {} : { 'Content-Length': content.bytes.byteLength }),
  })
  response.end(request.method === 'HEAD' ? undefined : content.bytes)
  return true
}
