/**
 * @module What the status of an upstream's answer means: a refusal of the request, or a failure of the
 * host that may pass.
 */
import { type Answer, headerOf, readBody } from './client.ts'
import { type Failure, UpstreamError } from './error.ts'
import { readErrorBody, type UpstreamWords } from './words.ts'

/** How the request was made that was answered so. */
export interface AskedHow {
  readonly method: 'GET' | 'HEAD' | 'POST'
  /** By the upstream itself, not by a host that it named. */
  readonly isOwn: boolean
  /** The configured credential itself was sent, not a token that it got, and is taken nowhere. */
  readonly isCredential: boolean
  /** ms since 1970. */
  readonly now: number
  /** A sync waits for as long as a host that is overloaded says; a pull is not made to. */
  readonly isPatient?: boolean
}

const errorBytesMax = 16 * 1024

/** Longest that the words of a refusal are waited for, ms. */
const wordsMs = 1_500

/** Any answer but 200, 206, 304 and redirects, as an error. */
export function judgeStatus(
  { host }: URL,
  answer: Answer,
  how: AskedHow,
  words: UpstreamWords | undefined,
): UpstreamError {
  const { status } = answer
  const kind = kindOf(status, how)
  const isTimed = kind === 'limited' || (how.isPatient === true && status === 503)
  const retryAfterMs = isTimed ? retryAfterOf(answer, how.now) : undefined
  // A stranger's words are not passed on.
  const said = how.isOwn ? { words: words?.text, code: words?.code } : {}
  return new UpstreamError(kind, `${host} answers ${status}`, {
    host,
    status,
    retryAfterMs,
    isElsewhere: !how.isOwn,
    ...said,
  })
}

function kindOf(status: number, { method, isOwn, isCredential }: AskedHow): Failure {
  switch (status) {
    case 404:
    case 410:
      return 'missing'
    case 401:
      return isOwn ? (isCredential ? 'auth' : 'hidden') : kindOfLink(method)
    case 403:
      return isOwn ? 'denied' : kindOfLink(method)
    case 429:
      return 'limited'
    // Time-outs, connections that are not for this host, and our own proxy's refusal.
    case 407:
    case 408:
    case 421:
    case 425:
      return 'server'
    // To a request for the rest of a blob: the blob is not what it was.
    case 416:
      return 'garbage'
    case 501:
      return method === 'HEAD' ? 'rejected' : 'server'
    default:
      if (status >= 500) return 'server'
      return status >= 400 && isOwn ? 'rejected' : 'garbage'
  }
}

/**
 * Where a redirect leads nobody logs in: its link has ended, and the next one may be better; or it was
 * signed for GET alone.
 */
function kindOfLink(method: AskedHow['method']): Failure {
  return method === 'HEAD' ? 'rejected' : 'server'
}

/** What a refusal says, unless it takes its time to say it. Ends the body. */
export async function readWords(answer: Answer): Promise<UpstreamWords | undefined> {
  const timer = setTimeout(() => answer.body.abort(), wordsMs)
  try {
    return readErrorBody((await readBody(answer, errorBytesMax)).toString('utf8'))
  } catch {
    return undefined
  } finally {
    clearTimeout(timer)
  }
}

const retryAfterLengthMax = 64

/** Numbers from here on are a time since 1970, seconds: Docker Hub's older header has one. */
const unixSecondsMin = 1_000_000_000

/** When it may be asked again, as ms from now (since 1970); undefined where the answer does not say it. */
export function retryAfterOf(
  { headers }: Pick<Answer, 'headers'>,
  now: number,
): number | undefined {
  return (
    parseRetryAfter(headerOf(headers, 'retry-after'), now) ??
    parseRetryAfter(headerOf(headers, 'x-retry-after'), now)
  )
}

/** Seconds, seconds since 1970, or a date, as ms from `now`. */
export function parseRetryAfter(text: string | undefined, now: number): number | undefined {
  if (text === undefined || text.length > retryAfterLengthMax) return undefined
  if (/^\d{1,10}$/.test(text.trim())) {
    const seconds = Number(text)
    return seconds < unixSecondsMin ? seconds * 1000 : Math.max(0, seconds * 1000 - now)
  }
  const at = Date.parse(text)
  return Number.isNaN(at) ? undefined : Math.max(0, at - now)
}
