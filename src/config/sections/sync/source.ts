/**
 * @module One source of a synchronisation: `SyncSourceConfig`, and how it is read from its keys.
 */
import type { TimeWindow } from '../../time-window.ts'
import * as type from '../../values.ts'
import { absolutePattern, sourceIssues } from './checks.ts'
import { type RawSyncSource, rawSource } from './keys.ts'

export interface SyncSourceConfig {
  readonly name: string
  /** Its name before, whose journal it goes on with. */
  readonly previously: string | undefined
  readonly type: 'quay' | 'registry' | 'fastregistry' | 'harbor' | 'dockerhub'
  /** Of the registry. A path in it is put before every repository's name. */
  readonly url: string
  /** Address of the Hub's own API; undefined for every other type. */
  readonly api: string | undefined
  /** PEM file with certificates trusted beside those of Node.js. */
  readonly caFile: string | undefined
  readonly proxy: string | undefined
  /** A token; one of the form `user:secret` is a user and a password, for every type but Quay. */
  readonly token: SyncSecret | undefined
  /** A user or a robot. Beside a token only for Quay: the token asks the API, the account pulls. */
  readonly account: SyncAccount | undefined
  /** Of which every repository is selected; `*`: of all. */
  readonly organizations: readonly string[]
  /** Patterns of whole upstream names, selected beside the organizations. */
  readonly repositories: readonly string[]
  /** Patterns of whole upstream names; what they fit is not copied, whatever selects it. */
  readonly excludeRepositories: readonly string[]
  /** Put before every local name, without a slash at its end; empty: none. */
  readonly destination: string
  /** Text that is taken off the beginning of upstream names first; empty: none. */
  readonly strip: string
  readonly tags: SyncTagsConfig
  /** `os/arch[/variant]`, and empty for content without a platform. None: all content. */
  readonly platforms: readonly string[]
  readonly referrers: SyncReferrers
  /** How often the referrers of a subject that has not changed are asked for. */
  readonly referrersEveryMs: number
  readonly mode: 'once' | 'continuous' | 'manual'
  /** Five cron fields, of `continuous` alone; undefined: every `intervalMs`. */
  readonly schedule: string | undefined
  /** Of the schedule and the windows; undefined: the machine's. */
  readonly timezone: string | undefined
  /** Empty: any time. */
  readonly windows: readonly TimeWindow[]
  /** From the end of a run to the next, without a schedule. */
  readonly intervalMs: number
  readonly fullEveryMs: number
  /** Of one run; 0: none. */
  readonly timeoutMs: number
  /** Blobs in flight. */
  readonly concurrency: number
  /** 0: unlimited. */
  readonly bytesPerSecond: number
  readonly requestsPerSecond: number
  /** What happens when upstream has moved a tag. */
  readonly onChange: 'follow' | 'keep' | 'fail'
  /** Whether a tag is replaced that was moved here. */
  readonly overwrites: boolean
  readonly prune: SyncPruneConfig
  readonly hookSecretFile: string | undefined
}

export interface SyncAccount {
  readonly username: string
  readonly secret: SyncSecret
  readonly isRobot: boolean
}

export interface SyncSecret {
  readonly kind: 'text' | 'file'
  readonly value: string
}

export interface SyncTagsConfig {
  /** Patterns; none: every tag. */
  readonly include: readonly string[]
  readonly exclude: readonly string[]
  /** A range of versions; undefined: every tag. */
  readonly semver: string | undefined
  /** 0: all. */
  readonly newest: number
  /** 0: of any age. */
  readonly maxAgeMs: number
  /** Fewest tags that are copied of a repository; with fewer none is. */
  readonly min: number
}

/** What is copied of all that is attached to an image. */
export interface SyncReferrers {
  readonly signatures: boolean
  readonly sboms: boolean
  /** What is neither. */
  readonly others: boolean
}

export interface SyncPruneConfig {
  readonly isEnabled: boolean
  /** Of the tags of a repository that are the source's own; a plan for more waits for an operator. */
  readonly maxPercent: number
  /** Whether tags go too that upstream has and the filter no longer selects. */
  readonly removesUnselected: boolean
}

export const syncSource = type.convert(
  type.inspect(rawSource, sourceIssues),
  (it): SyncSourceConfig => ({
    name: it.name,
    previously: it.previously,
    type: it.type,
    url: it.url,
    api: it.type === 'dockerhub' ? (it.api ?? 'https://hub.docker.com') : undefined,
    caFile: it.ca,
    proxy: it.proxy,
    ...credentialsOf(it),
    organizations: it.organizations,
    repositories: it.repositories.map((one) => absolutePattern(one, it.organizations)),
    excludeRepositories: it.exclude_repositories.map((one) =>
      absolutePattern(one, it.organizations),
    ),
    destination: it.destination,
    strip: it.strip,
    tags: {
      include: it.tags.include ?? it.include_tags ?? [],
      exclude: it.tags.exclude ?? it.exclude_tags ?? [],
      semver: it.tags.semver,
      newest: it.tags.newest,
      maxAgeMs: it.tags.max_age,
      min: it.tags.min,
    },
    platforms: it.platforms,
    referrers: referrersOf(it),
    referrersEveryMs: it.referrers_every,
    mode: modeOf(it),
    schedule: it.schedule,
    timezone: it.timezone,
    windows: it.windows,
    intervalMs: it.interval ?? intervalMsDefault,
    fullEveryMs: it.full_every,
    timeoutMs: it.timeout,
    concurrency: it.concurrency,
    bytesPerSecond: it.bytes_per_second,
    requestsPerSecond: it.requests_per_second,
    onChange: it.on_change,
    overwrites: it.overwrite,
    prune: {
      isEnabled: it.prune.enabled,
      maxPercent: it.prune.max_percent,
      removesUnselected: it.prune.unselected,
    },
    hookSecretFile: it.hook_secret_file,
  }),
)

const intervalMsDefault = 5 * 60_000

function credentialsOf(it: RawSyncSource): Pick<SyncSourceConfig, 'token' | 'account'> {
  const username = it.robot_account ?? it.username
  const secret =
    secretOf(it.robot_token, it.robot_token_file) ?? secretOf(it.password, it.password_file)
  return {
    token: secretOf(it.token, it.token_file),
    account:
      username === undefined || secret === undefined
        ? undefined
        : { username, secret, isRobot: it.robot_account !== undefined },
  }
}

function secretOf(value: string | undefined, path: string | undefined): SyncSecret | undefined {
  if (path !== undefined) return { kind: 'file', value: path }
  return value === undefined ? undefined : { kind: 'text', value }
}

/** The words of the first FastRegistry say more exactly what `referrers` says of all. */
function referrersOf(it: RawSyncSource): SyncReferrers {
  const isNoneOld = it.sync_signatures === false && it.sync_sboms === false
  return {
    signatures: it.sync_signatures ?? it.referrers ?? true,
    sboms: it.sync_sboms ?? it.referrers ?? true,
    others: it.referrers ?? !isNoneOld,
  }
}

/** A source with times and no mode means them. */
function modeOf({ mode, schedule, interval }: RawSyncSource): SyncSourceConfig['mode'] {
  return mode ?? (schedule !== undefined || interval !== undefined ? 'continuous' : 'once')
}
