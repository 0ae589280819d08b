/**
 * @module `/ui/…`: the pages, as answers that are prepared at the start. The policy of the document
 * allows what this server sends and nothing else: no script of another host, none inside the document,
 * and no text that becomes markup.
 */
import { RegistryError } from '../../registry/errors.ts'
import { type HttpRequest, type HttpResponse, ResponseHead } from '../engine/port.ts'
import type { HeaderList } from '../respond.ts'

type Coding = 'identity' | 'gzip' | 'br'

/** A file of the pages, as far as this layer needs it. */
export interface UiFile {
  readonly contentType: string
  /** The name changes with the bytes. */
  readonly isHashed: boolean
  readonly forms: Readonly<Partial<Record<Coding, Uint8Array>>>
  readonly etag: string
}

/** What a browser may do with the document and its files. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ')

const GUARDS: HeaderList = [
  ['Content-Security-Policy', POLICY],
  ['Referrer-Policy', 'no-referrer'],
  ['Cross-Origin-Resource-Policy', 'same-origin'],
]

/** Browsers report it as an error of the page where they do not trust the connection. */
const opener = ['Cross-Origin-Opener-Policy', 'same-origin'] as const

const KEEP = 'public, max-age=31536000, immutable'
const ASK = 'no-cache'

/** Longest `Accept-Encoding` and `If-None-Match` that are read, characters. */
const headerLengthMax = 1024

/** One form of a file, with its two heads: over TLS, and not. */
interface Answer {
  readonly bytes: Uint8Array
  readonly etag: string
  readonly heads: Readonly<Record<'http' | 'https', ResponseHead>>
  readonly unchanged: Readonly<Record<'http' | 'https', ResponseHead>>
}

type Answers = Readonly<Partial<Record<Coding, Answer>>> & { readonly identity: Answer }

export class UiHandlers {
  readonly #files: ReadonlyMap<string, Answers>

  /** By the path below `/ui/`; the document is `''`. */
  constructor(files: ReadonlyMap<string, UiFile>) {
    this.#files = new Map([...files].map(([path, file]) => [path, answersOf(file)]))
  }

  /** A file of the pages. 404 for every other path: the addresses of the pages are fragments. */
  get(request: HttpRequest, response: HttpResponse): void {
    // Relative, because a proxy may serve this below a path of its own.
    if (request.path === '/ui') return response.send(redirect('ui/'), '')
    const answers = this.#files.get(request.path.slice('/ui/'.length))
    if (answers === undefined) {
      throw new RegistryError('PATH_UNKNOWN', { detail: { path: request.path.slice(0, 512) } })
    }
    const answer = answers[codingFor(request.header('accept-encoding'), answers)]!
    if (names(request.header('if-none-match'), answer.etag)) {
      return response.sendHead(answer.unchanged[request.scheme], undefined)
    }
    response.send(answer.heads[request.scheme], answer.bytes)
  }
}

/** Where the pages are, for a browser that asks for the front of the server. */
export function redirect(to: string): ResponseHead {
  return new ResponseHead(302, [
    ['Location', to],
    ['Cache-Control', 'no-store'],
    ['Vary', 'Accept'],
  ])
}

/** Whether a request is a browser's that wants a page. */
export function wantsPage(request: HttpRequest): boolean {
  return request.header('accept')?.slice(0, headerLengthMax).includes('text/html') === true
}

function answersOf({ contentType, isHashed, forms, etag }: UiFile): Answers {
  const made: Partial<Record<Coding, Answer>> = {}
  for (const [coding, bytes] of Object.entries(forms) as [Coding, Uint8Array][]) {
    const tag = `"${etag}-${coding}"`
    const common: HeaderList = [
      ...GUARDS,
      ['Cache-Control', isHashed ? KEEP : ASK],
      ['ETag', tag],
      ['Vary', 'Accept-Encoding'],
    ]
    const packing: HeaderList = coding === 'identity' ? [] : [['Content-Encoding', coding]]
    const headsOf = (status: number, headers: HeaderList) => ({
      http: new ResponseHead(status, headers),
      https: new ResponseHead(status, [...headers, opener]),
    })
    made[coding] = {
      bytes,
      etag: tag,
      heads: headsOf(200, [['Content-Type', contentType], ...packing, ...common]),
      unchanged: headsOf(304, common),
    }
  }
  return { ...made, identity: made.identity! }
}

/** The smallest form that the browser takes and that is there. */
function codingFor(accepted: string | undefined, answers: Answers): Coding {
  const words = (accepted ?? '')
    .slice(0, headerLengthMax)
    .split(',')
    .map((one) => one.split(';').map((word) => word.trim().toLowerCase()))
    .filter(([, quality]) => quality === undefined || !/^q=0(\.0*)?$/.test(quality))
    .map(([coding]) => coding)
  if (answers.br !== undefined && words.includes('br')) return 'br'
  return answers.gzip !== undefined && words.includes('gzip') ? 'gzip' : 'identity'
}

function names(header: string | undefined, etag: string): boolean {
  if (header === undefined || header.length > headerLengthMax) return false
  return header.split(',').some((one) => one.trim().replace(/^W\//, '') === etag)
}
