/**
 * @module What the admin API answers, as far as the pages show it. `openapi.json` of the server has all
 * of it; a field that an older server does not send is optional here.
 */

export interface Right {
  readonly repositories: readonly string[]
  readonly actions: readonly string[]
}

export interface Session {
  readonly kind: 'open' | 'anonymous' | 'user'
  readonly user: string | null
  readonly groups: readonly string[]
  readonly isAdmin: boolean
  readonly rights: readonly Right[]
  readonly limits?: readonly Right[]
  /** What this server has, by name: `mirrors`, `sync`, `mesh`, … */
  readonly features: Readonly<Record<string, boolean>>
  readonly version?: string
}

export interface RepositoryRow {
  readonly name: string
  readonly createdAt: string
  readonly tags: number
  readonly manifests: number
  readonly pushedAt?: string
  readonly pulledAt?: string
  readonly logicalBytes: number
  readonly exclusiveBytes: number
}

export interface Verdict {
  readonly state: string
  readonly by: readonly string[]
  readonly policy: string
}

export interface Platform {
  readonly os?: string
  readonly architecture?: string
  readonly variant?: string
}

export interface TagRow {
  readonly tag: string
  readonly digest: string
  readonly mediaType: string
  readonly pushedAt: string
  readonly pulledAt?: string
  readonly sizeBytes: number
  readonly by?: string
  readonly pinned?: boolean
  readonly platforms?: readonly string[]
  readonly artifactType?: string
  readonly expiresAt?: string
  readonly signature?: Verdict
}

export interface Part {
  readonly digest: string
  readonly mediaType: string
  readonly sizeBytes: number
  readonly isHere: boolean
  readonly platform?: Platform
}

export interface Referrer {
  readonly digest: string
  readonly kind?: string
  readonly artifactType?: string
  readonly mediaType?: string
  readonly sizeBytes?: number
}

export interface Image {
  readonly repository: string
  readonly digest: string
  readonly mediaType: string
  readonly sizeBytes: number
  readonly artifactType?: string
  readonly subject?: string
  readonly pushedAt: string
  readonly expiresAfterSeconds?: number
  readonly platform?: Platform
  readonly created?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  /** What the configuration says of running it: user, entry, environment, ports. */
  readonly settings?: Readonly<Record<string, unknown>>
  readonly config?: Part
  readonly layers: readonly Part[]
  readonly manifests: readonly Part[]
  readonly tags: readonly string[]
  readonly signature?: Verdict
  readonly referrers?: readonly Referrer[]
}

export interface TagHistory {
  readonly tag: string
  readonly digest: string
  readonly pushedAt: string
  readonly by?: string
  readonly previous: readonly {
    readonly digest: string
    readonly replacedAt: string
    readonly by?: string
  }[]
}

export interface Explained {
  readonly kind: 'tag' | 'manifest'
  readonly name: string
  readonly stays: boolean
  readonly rule?: string
  readonly reason: string
  readonly goesAt?: string
}

export interface RegistryEvent {
  readonly id: number
  readonly at: string
  readonly action: string
  readonly repository: string
  readonly by: string
  readonly tag?: string
  readonly digest?: string
  readonly from?: string
  readonly why?: string
  /** Names the deletion that it was part of; it can be undone as a whole. */
  readonly operation?: string
}

export interface EventPage {
  readonly events: readonly RegistryEvent[]
  readonly next?: number
  readonly last: number
}

export interface Usage {
  readonly physicalBytes: number
  readonly logicalBytes: number
  readonly savedBytes: number
  readonly blobs: number
  readonly trashBytes: number
  readonly trashBlobs: number
}

export interface Job {
  readonly id: string
  readonly kind: string
  readonly state: string
  readonly createdAt: string
  readonly endedAt?: string
  readonly by: string
  readonly counts?: Readonly<Record<string, number>>
  readonly message?: string
}

export interface Pin {
  readonly digest: string
  readonly name: string
  readonly repository?: string
  readonly expiresAt?: string
  readonly note: string
  readonly createdAt: string
  readonly by: string
}
