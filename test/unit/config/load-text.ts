/** @module A configuration from a text, or the lines of its refusal; and what an empty one means. */
import { expect } from 'vitest'
import type { Config } from '../../../src/config/config.ts'
import { ConfigError } from '../../../src/config/explain.ts'
import { loadConfigText } from '../../../src/config/load.ts'

export const load = (text: string, environment: Record<string, string> = {}): Promise<Config> =>
  loadConfigText(text, 'config.yaml', { environment })

/** The lines of the refusal; fails when the text is accepted. */
export async function problems(
  text: string,
  environment?: Record<string, string>,
): Promise<string[]> {
  const error = await load(text, environment).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(ConfigError)
  return (error as ConfigError).message.split('\n')
}

export const defaults = {
  server: {
    addr: { host: '127.0.0.1', port: 5000 },
    isOpen: false,
    corsOrigins: [],
    hosts: [],
    alsoListen: undefined,
    alsoListenTls: false,
    engine: 'auto',
    tls: undefined,
    maxConnections: 20_000,
    maxUploadsPerClient: 1000,
    idleTimeoutMs: 120_000,
    proxyProtocol: [],
    shutdownTimeoutMs: 30_000,
  },
  storage: {
    path: '/var/lib/fastregistry',
    cacheSizeMb: 1024,
    reserveMb: 512,
    inlineLimitBytes: 65_536,
    durability: 'full',
    uploadTtlMs: 86_400_000,
    reader: 'auto',
    scrub: { enabled: false, schedule: '0 3 * * 0', bytesPerSecond: 64 * 1024 * 1024 },
  },
  cleanup: {
    gc: {
      enabled: true,
      schedule: '0 2 * * *',
      keepRecent: 10,
      graceMs: 86_400_000,
      undeleteWindowMs: 86_400_000,
      maxDeletePercent: 50,
      bytesPerSecond: 0,
      maxPauseMs: 4,
    },
    retention: [],
    expiry: [],
    immutableTags: [],
  },
  policy: {
    allowsSparseIndex: true,
    allowsMissingBlobs: false,
    checksSizes: true,
    allowsDelete: true,
  },
  workers: { ingestThreads: 0 },
  log: { level: 'info', access: true, accessSample: 1 },
  metrics: { enabled: true },
  ui: { isEnabled: true, title: 'FastRegistry', publicAddress: undefined },
  trustedProxies: [],
  limits: { requestsPerSecond: 0, bytesPerSecond: 0 },
  auditFile: undefined,
  auth: {
    type: 'none',
    htpasswdFile: undefined,
    groups: {},
    tokens: {
      challenge: 'auto',
      realm: undefined,
      service: undefined,
      issuer: 'fastregistry',
      ttlMs: 600_000,
      refreshTtlMs: 30 * 86_400_000,
      keyLifeMs: 90 * 86_400_000,
      loginLifeMs: 90 * 86_400_000,
    },
    foreign: undefined,
  },
  access: [],
  mirrors: [],
  mirrorMaxBytes: 0,
  sync: { concurrency: 10, sources: [] },
  mesh: undefined,
  signing: {
    keys: [],
    roots: [],
    stores: [],
    signers: [],
    revoked: { keys: [], certificates: [], digests: [] },
    policies: [],
    attest: {
      enabled: false,
      keyFile: undefined,
      host: 'localhost:5000',
      isHostGuessed: true,
      facts: [],
    },
  },
}
