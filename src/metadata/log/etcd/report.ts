/**
 * @module What the log in etcd tells beside its answers, for the operator's log and for metrics.
 * @apart the follower and the log both report, and who starts them reads it
 */
import type { EtcdError } from './errors.ts'

export interface EtcdReport {
  /**
   * `version`: an endpoint runs an etcd that is older than 3.5, or unknown.
   * `failed`: a follower's watch ended and is opened on the next endpoint.
   * `silent`: it showed nothing although there was something, and is opened on the next endpoint.
   * `gap`: it left entries out, which etcd can do around a compaction; nothing is lost, they come again.
   * `changed`: it met another log, takes nothing from it, and goes on looking for its own.
   */
  readonly kind: 'version' | 'failed' | 'silent' | 'gap' | 'changed'
  readonly message: string
  readonly error?: EtcdError
}
