/** @module An upstream client for tests, as parts of the server open it, with what it was answered. */
import type { Clock } from '../../src/runtime/clock.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import type { Rate } from '../../src/runtime/token-bucket.ts'
import type { AccountLimits } from '../../src/upstream/account.ts'
import { Accounts } from '../../src/upstream/accounts.ts'
import { HttpClient } from '../../src/upstream/client.ts'
import type { UpstreamError } from '../../src/upstream/error.ts'
import type { Credential } from '../../src/upstream/tokens.ts'
import { Upstream } from '../../src/upstream/upstream.ts'

export interface TestUpstream {
  readonly upstream: Upstream
  /** `class status` of each answer. */
  readonly answers: string[]
  readonly failures: UpstreamError[]
  close(): Promise<void>
}

export interface TestUpstreamOptions {
  readonly credentials?: readonly Credential[]
  readonly limits?: Partial<AccountLimits>
  readonly accounts?: Accounts
  readonly clock?: Clock
  readonly requestRate?: Rate
  readonly contentRate?: Pick<Rate, 'take'>
}

export async function openUpstream(
  url: string,
  options: TestUpstreamOptions = {},
): Promise<TestUpstream> {
  const timeouts = { connectMs: 2_000, firstByteMs: 5_000, stallMs: 5_000 }
  const http = await HttpClient.open({ caFile: undefined, proxy: undefined, ...timeouts })
  const answers: string[] = []
  const failures: UpstreamError[] = []
  const { credentials = [], clock = systemClock, limits, requestRate, contentRate } = options
  const upstream = new Upstream({
    bases: [url],
    credentials,
    limits: { connections: 16, bytesPerSecond: 0, requestsPerSecond: 0, ...limits },
    ...(requestRate === undefined ? {} : { requestRate }),
    ...(contentRate === undefined ? {} : { contentRate }),
    caFile: undefined,
    proxy: undefined,
    accounts: options.accounts ?? new Accounts(clock),
    http,
    clock,
    random: () => 0.5,
    onRequest: () => undefined,
    onAnswer: (of, status) => void answers.push(`${of} ${status}`),
    onFailure: (error) => void failures.push(error),
    onBytes: () => undefined,
  })
  return { upstream, answers, failures, close: () => http.close() }
}

/** A user with a password. */
export function userOf(username: string, secret: string): Credential {
  const value = { kind: 'text', value: secret } as const
  return { prefix: '', username, secret: value, isToken: false, tokenServer: undefined }
}

/** A token that is sent as it is. */
export function tokenOf(secret: string): Credential {
  return { ...userOf('', secret), username: undefined, isToken: true }
}
