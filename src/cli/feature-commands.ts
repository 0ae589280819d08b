/**
 * @module The commands of the larger features: each is a file in `commands/` that reads its own
 * arguments, loaded only when it is asked for. `arguments.ts` knows the others.
 */
import type { Terminal } from './terminal.ts'

export interface FeatureCommand {
  /** One line for `fastregistry help`. */
  readonly summary: string
  /** Runs with the words after its name; resolves to the exit code (0, 1 failed, 2 not understood). */
  readonly load: () => Promise<RunCommand>
}

export type RunCommand = (args: readonly string[], terminal: Terminal) => Promise<number>

/** By the word on the command line. */
export const FEATURE_COMMANDS: Readonly<Record<string, FeatureCommand>> = {
  htpasswd: {
    summary: 'add, remove or verify a user of the htpasswd file',
    load: async () => (await import('./commands/htpasswd.ts')).htpasswd,
  },
  token: {
    summary: 'create, list or revoke access tokens; replace the signing key',
    load: async () => (await import('./commands/token.ts')).token,
  },
  gc: {
    summary: 'run, plan, apply or explain a collection (of a running server)',
    load: async () => (await import('./commands/gc.ts')).gc,
  },
  retention: {
    summary: 'the same words as gc: plan, show, apply what the rules say',
    load: async () => (await import('./commands/contents.ts')).retention,
  },
  repos: {
    summary: 'list repositories with sizes and times',
    load: async () => (await import('./commands/contents.ts')).repos,
  },
  tags: {
    summary: 'list the tags of a repository, sorted',
    load: async () => (await import('./commands/contents.ts')).tags,
  },
  copy: {
    summary: 'copy an image inside the registry',
    load: async () => (await import('./commands/contents.ts')).copy,
  },
  undelete: {
    summary: 'list what was deleted, or bring it back',
    load: async () => (await import('./commands/contents.ts')).undelete,
  },
  health: {
    summary: 'ask the server of a configuration on this machine: ready (or live), exit code 0 or 1',
    load: async () => (await import('./commands/health.ts')).health,
  },
  'mirror-config': {
    summary: 'print how docker, containerd, podman, BuildKit and k3s pull through the mirrors',
    load: async () => (await import('./commands/mirror-config.ts')).mirrorConfig,
  },
}

/** Lines for the help text. */
export function featureHelp(): string {
  return Object.entries(FEATURE_COMMANDS)
    .map(([word, { summary }]) => `  ${word.padEnd(21)} ${summary}\n`)
    .join('')
}
