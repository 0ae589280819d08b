/**
 * @module What can be wrong with the log in etcd, by what its operator can do about it.
 */

/**
 * `no-quorum`: no answer in time, or no majority: members or the network are down.
 * `no-space`: etcd is above its quota and takes no entries until it is compacted, defragmented and disarmed.
 * `denied`: wrong certificates or credentials, or a role without rights on the log's keys.
 * `changed`: this is not the log that it was: another etcd, created again, or gone back.
 * `missing`: there is no log yet.
 * `too-large`: an entry, or an answer, above what either side takes.
 * `malformed`: an answer that is none of etcd's: something else listens there.
 * `compacted`: etcd has forgotten the revision that was asked for. Nothing to do; the engine deals with it.
 * `broken`: etcd says of itself that it cannot go on, as with corrupt data.
 * `refused`: a change of the members that etcd does not make, or not yet: a learner is behind, a voter is
 * down, or the change is made already.
 * `closed`: the log was closed here.
 */
export type EtcdErrorCode =
  | 'no-quorum'
  | 'no-space'
  | 'denied'
  | 'changed'
  | 'missing'
  | 'too-large'
  | 'malformed'
  | 'compacted'
  | 'broken'
  | 'refused'
  | 'closed'

export class EtcdError extends Error {
  readonly code: EtcdErrorCode

  constructor(code: EtcdErrorCode, message: string) {
    super(message)
    this.name = 'EtcdError'
    this.code = code
  }
}

/** How a call ended that was not answered: the name of gRPC's status, and what came with it. */
export interface CallFailure {
  readonly status: string
  readonly details: string
}

/** What the details say, first match; they tell more than the status, which etcd chooses freely. */
const BY_DETAILS: readonly (readonly [RegExp, EtcdErrorCode])[] = [
  [/database space exceeded/, 'no-space'],
  [/request is too large|message larger than max/i, 'too-large'],
  [/permission denied|user name is empty|authentication|auth token|common name/i, 'denied'],
  // The words of TLS for either side's certificate, in the reason why there is no connection.
  [/certificate|self.signed|SSL routines|SSL alert/i, 'denied'],
  [/required revision has been compacted/, 'compacted'],
  [/required revision is a future revision/, 'changed'],
  [/corrupt/, 'broken'],
  [
    /re-configuration failed|unhealthy cluster|too many learner|promote a learner|member not found|(?:ID|URLs) already exist|not leader|leader transferee/,
    'refused',
  ],
]

const BY_STATUS: Readonly<Record<string, EtcdErrorCode>> = {
  PERMISSION_DENIED: 'denied',
  UNAUTHENTICATED: 'denied',
  DATA_LOSS: 'broken',
  UNIMPLEMENTED: 'malformed',
}

/** The details of a failed call go into messages: a stranger's text is cut here, in characters. */
const DETAILS_MAX = 300

/** The error of a call to `endpoint` that failed. What nothing is known of counts as no quorum. */
export function errorOf({ status, details }: CallFailure, endpoint: string): EtcdError {
  const said = details.slice(0, DETAILS_MAX)
  const known = BY_DETAILS.find(([words]) => words.test(said))?.[1]
  const code = known ?? BY_STATUS[status] ?? 'no-quorum'
  return new EtcdError(code, `etcd at ${endpoint}: ${status}: ${said}`)
}
