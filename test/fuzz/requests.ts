/**
 * @module What the fuzzer sends: valid requests, the same with something broken, and noise. A seed
 * makes the same sequence again.
 */
import { mediaTypes } from '../../src/registry/media-type.ts'
import { sha256 } from '../support/registry-client.ts'

/** mulberry32: small, and the same everywhere. */
export class Dice {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** A whole number from 0 up to `bound`, exclusive. */
  below(bound: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let value = this.#state
    value = Math.imul(value ^ (value >>> 15), value | 1)
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61)
    return Math.floor((((value ^ (value >>> 14)) >>> 0) / 2 ** 32) * bound)
  }

  oneOf<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!
  }

  chance(percent: number): boolean {
    return this.below(100) < percent
  }

  bytes(count: number): Buffer {
    const bytes = Buffer.alloc(count)
    for (let index = 0; index < count; index += 1) bytes[index] = this.below(256)
    return bytes
  }
}

export interface FuzzRequest {
  /** Everything in order: head and body. */
  readonly bytes: Buffer
  readonly method: string
}

const NAMES = [
  'app',
  'team/app',
  'a/blobs/uploads',
  'UPPER',
  'a//b',
  '..',
  'a%2fb',
  'é',
  'a'.repeat(300),
]
const DIGESTS = [
  sha256('small'),
  sha256(''),
  `sha512:${'a'.repeat(128)}`,
  `blake3:${'b'.repeat(64)}`,
  'sha256:short',
  `md5:${'c'.repeat(32)}`,
  '__proto__',
]
const TAGS = ['v1', 'latest', '-x', 'x'.repeat(200), 'constructor', '%00', 'a%0d%0ab']
const HEADERS = [
  'Range: bytes=0-4',
  'Range: bytes=5-2,1-1,-0',
  `Range: bytes=${Array.from({ length: 1100 }, (_, index) => `${index}-`).join(',')}`,
  'If-Range: W/"x"',
  'If-None-Match: *',
  'If-Match: "x", *',
  'Content-Range: 0-99',
  'Content-Range: 99999999999999999999-0',
  'Accept: */*',
  'Expect: 100-continue',
  'Connection: close',
  'Connection: upgrade\r\nUpgrade: websocket',
  'Transfer-Encoding: gzip, chunked',
  'Content-Length: 5',
  'Content-Length: -1',
  'Content-Type: application/vnd.docker.distribution.manifest.v1+json',
  `X-Long: ${'y'.repeat(5000)}`,
  'X-Bad\u0000: 1',
  ': nameless',
  'Host: other',
]

/** One request for any route, mostly right. `sessions` are Locations that servers gave out. */
export function makeRequest(dice: Dice, sessions: readonly string[]): FuzzRequest {
  const name = dice.chance(70) ? 'app' : dice.oneOf(NAMES)
  const digest = dice.oneOf(DIGESTS)
  const reference = dice.oneOf([...TAGS, ...DIGESTS])
  const session =
    sessions.length > 0 && dice.chance(80)
      ? dice.oneOf(sessions)
      : `/v2/${name}/blobs/uploads/${'f'.repeat(32)}`
  const content = dice.chance(50) ? Buffer.from('small') : dice.bytes(dice.below(2000))
  const large = () => Buffer.alloc(60_000 + dice.below(200_000), dice.below(256))
  const forms: (() => [string, string, Buffer?])[] = [
    () => [
      'GET',
      dice.oneOf(['/', '/v2/', '/healthz', '/metrics', '/admin/status', '/v2/_catalog']),
    ],
    () => ['GET', `/v2/${name}/tags/list?n=${dice.oneOf(['0', '1', '-1', 'x', '99999'])}&last=%ff`],
    () => ['GET', `/v2/${name}/referrers/${digest}?artifactType=a+b&artifactType=`],
    () => [dice.oneOf(['GET', 'HEAD', 'DELETE']), `/v2/${name}/manifests/${reference}`],
    () => [dice.oneOf(['GET', 'HEAD', 'DELETE']), `/v2/${name}/blobs/${digest}`],
    () => [
      'PUT',
      `/v2/${name}/manifests/${reference}?tag=v2&tag=${dice.oneOf(TAGS)}`,
      makeManifest(dice),
    ],
    () => ['POST', `/v2/${name}/blobs/uploads/`],
    () => ['POST', `/v2/${name}/blobs/uploads/?digest=${sha256(content)}`, content],
    () => ['POST', `/v2/${name}/blobs/uploads/?mount=${digest}&from=${dice.oneOf(NAMES)}`],
    () => [dice.oneOf(['GET', 'DELETE']), session],
    () => ['PATCH', session, dice.chance(50) ? content : large()],
    () => ['PUT', `${session}?digest=${dice.chance(50) ? sha256(content) : digest}`, content],
    () => [dice.oneOf(['OPTIONS', 'TRACE', 'CONNECT', 'get', 'P\u0000T']), '/v2/'],
    () => ['GET', `/${dice.bytes(dice.below(60)).toString('latin1')}`],
  ]
  const [method, target, body] = dice.oneOf(forms)()
  return frame(dice, method, target, body)
}

function frame(dice: Dice, method: string, target: string, body: Buffer | undefined): FuzzRequest {
  const lines = [`${method} ${target} HTTP/1.1`, 'Host: fuzz']
  for (let more = dice.below(3); more > 0; more -= 1) {
    if (dice.chance(40)) lines.push(dice.oneOf(HEADERS))
  }
  const isChunked = body !== undefined && dice.chance(30)
  const length = (body?.length ?? 0) + (dice.chance(10) ? dice.below(500) - 100 : 0)
  if (isChunked) lines.push('Transfer-Encoding: chunked')
  else if (body !== undefined || dice.chance(20)) lines.push(`Content-Length: ${length}`)
  const head = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
  const payload = isChunked ? inChunks(dice, body) : (body ?? Buffer.alloc(0))
  return { bytes: Buffer.concat([head, payload]), method }
}

function inChunks(dice: Dice, body: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; at < body.length; ) {
    const size = 1 + dice.below(50_000)
    const part = body.subarray(at, at + size)
    const said = dice.chance(3)
      ? dice.oneOf(['-1', 'zz', 'ffffffffffffffffff', ''])
      : part.length.toString(16)
    parts.push(Buffer.from(`${said}\r\n`), part, Buffer.from('\r\n'))
    at += size
  }
  if (dice.chance(95)) parts.push(Buffer.from('0\r\n\r\n'))
  return Buffer.concat(parts)
}

function makeManifest(dice: Dice): Buffer {
  const descriptor = {
    mediaType: 'a/b',
    digest: dice.oneOf(DIGESTS),
    size: dice.oneOf([0, 5, -1, 1e300]),
  }
  const text = JSON.stringify({
    schemaVersion: 2,
    mediaType: dice.oneOf([...Object.values(mediaTypes), 'a/b', undefined, 7]),
    config: descriptor,
    layers: dice.chance(50) ? [descriptor] : dice.oneOf([[], {}, null]),
    manifests: dice.chance(20) ? [descriptor] : undefined,
    subject: dice.chance(50) ? descriptor : undefined,
    annotations: dice.oneOf([undefined, { a: 'b' }, ['x'], { __proto__: null, a: 1 }]),
  })
  return dice.chance(80) ? Buffer.from(text) : mutate(dice, Buffer.from(text))
}

/** The same with a few bytes changed, dropped, doubled or inserted. */
export function mutate(dice: Dice, bytes: Buffer): Buffer {
  let result = bytes
  for (let rounds = 1 + dice.below(4); rounds > 0; rounds -= 1) {
    const at = dice.below(result.length + 1)
    const [before, after] = [result.subarray(0, at), result.subarray(at)]
    const length = dice.below(20)
    result = Buffer.concat(
      dice.oneOf([
        [before, dice.bytes(length), after],
        [before, after.subarray(length)],
        [before, after.subarray(0, length), after],
        [before, Buffer.from(dice.oneOf(['\r\n', '\r\n\r\n', '\0', ' ', ':', '%', '\n'])), after],
      ]),
    )
  }
  return result
}
