/**
 * @module Tries an upstream once: the support probe of its API, with the credentials that it will be asked with.
 */
import { systemClock } from '../runtime/clock.ts'
import { parseChallenges } from './challenge.ts'
import { HttpClient, type HttpClientOptions, headerOf, readBody } from './client.ts'
import { toUpstreamError } from './error.ts'
import { Slots } from './slots.ts'
import { judgeTarget, requireTokenServer } from './target-rules.ts'
import { basicHeader, bearerHeader, type Credential, Credentials } from './tokens.ts'

const answerBytesMax = 64 * 1024
const probeMs = 10_000

export interface ProbeSettings {
  readonly credentials: readonly Credential[]
  readonly caFile: string | undefined
  readonly proxy: string | undefined
  readonly timeouts: Pick<HttpClientOptions, 'connectMs' | 'firstByteMs' | 'stallMs'>
}

/** Undefined when it is a registry that lets us in, else what is wrong. */
export async function probeUpstream(
  settings: ProbeSettings,
  base: string,
): Promise<string | undefined> {
  const { caFile, proxy, timeouts } = settings
  const url = new URL('/v2/', base)
  let http: HttpClient | undefined
  try {
    http = await HttpClient.open({ caFile, proxy, ...timeouts })
    const credential = new Credentials(settings.credentials).find('')
    const bearer = credential && (await bearerHeader(credential))
    const slots = new Slots(1)
    const get = async (target: URL, authorization: string | undefined) => {
      const headers = authorization === undefined ? {} : { Authorization: authorization }
      const deadline = systemClock.monotonic() + probeMs
      const isOwn = target.origin === url.origin || http!.isPrivate(url.hostname)
      const reach = isOwn ? 'any' : 'public'
      const answer = await http!.send({
        method: 'GET',
        url: target,
        headers,
        deadline,
        reach,
        slots,
      })
      await readBody(answer, answerBytesMax)
      return answer
    }
    const first = await get(url, bearer)
    if (first.status === 200) {
      const isPage = /^text\/html\b/i.test(headerOf(first.headers, 'content-type') ?? '')
      return isPage ? 'answers a web page' : undefined
    }
    if (first.status !== 401) return `answers ${first.status} to ${url.pathname}`
    const [challenge] = parseChallenges(headerOf(first.headers, 'www-authenticate'))
    const basic = credential && (await basicHeader(credential))
    if (challenge === undefined) return 'answers 401 without a challenge'
    if (challenge.scheme === 'basic') {
      if (basic === undefined) return 'wants a user and a password'
      const { status } = await get(url, basic)
      return status === 200 ? undefined : `refuses the credentials (${status})`
    }
    const realm = judgeTarget(challenge.realm, url, url.protocol === 'https:')
    if (challenge.service !== undefined) realm.searchParams.set('service', challenge.service)
    if (basic !== undefined) await requireTokenServer(realm, url, credential?.tokenServer)
    const { status } = await get(realm, basic)
    return status === 200 ? undefined : `its token server ${realm.host} answers ${status}`
  } catch (error) {
    const { kind, message } = toUpstreamError(error, url.host)
    return `${kind}: ${message}`
  } finally {
    await http?.close()
  }
}
