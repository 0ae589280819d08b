/**
 * @module The configuration as the rest of the program sees it: checked, complete and frozen. A field is
 * its key in camel case, with its unit at the end of the name. What each one means, its default and
 * its bounds are in `sections/`, and `load.ts` alone makes a `Config`.
 */
import type { AccessPart } from './sections/access.ts'
import type { CleanupConfig } from './sections/cleanup.ts'
import type { MeshPart } from './sections/mesh.ts'
import type { MirrorPart } from './sections/mirrors.ts'
import type { ServerPart } from './sections/server.ts'
import type { SigningConfig } from './sections/signing/settings.ts'
import type { StoragePart } from './sections/storage.ts'
import type { SyncConfig } from './sections/sync.ts'

export type { ListenAddress } from './address.ts'
export type {
  AccessAction,
  AccessPart,
  AccessRule,
  AuthConfig,
  ForeignTokensConfig,
  TokensConfig,
} from './sections/access.ts'
export type {
  CleanupConfig,
  ExpiryRule,
  GcConfig,
  KeepRule,
  RetentionPolicy,
  TagRule,
} from './sections/cleanup.ts'
export type { MeshConfig } from './sections/mesh.ts'
export type { MeshLogConfig } from './sections/mesh-log.ts'
export type {
  MirrorConfig,
  MirrorCredential,
  MirrorLimits,
  MirrorTimeouts,
  MirrorWarming,
  TagFreshness,
} from './sections/mirrors.ts'
export type {
  LimitsConfig,
  LogConfig,
  MetricsConfig,
  ServerConfig,
  TlsFiles,
  UiConfig,
  WorkersConfig,
} from './sections/server.ts'
export type {
  SigningConfig,
  SigningKeyConfig,
  SigningPolicyConfig,
  SigningRevokedConfig,
  SigningRootConfig,
  SigningStoreConfig,
} from './sections/signing/settings.ts'
export type { PolicyConfig, ScrubConfig, StorageConfig } from './sections/storage.ts'
export type {
  SyncAccount,
  SyncConfig,
  SyncPruneConfig,
  SyncReferrers,
  SyncSecret,
  SyncSourceConfig,
  SyncTagsConfig,
} from './sections/sync.ts'
export type { TimeWindow } from './time-window.ts'

export interface Config extends ServerPart, StoragePart, AccessPart, MirrorPart, MeshPart {
  readonly cleanup: CleanupConfig
  readonly sync: SyncConfig
  readonly signing: SigningConfig
}
