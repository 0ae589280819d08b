/**
 * @module `/admin/mirrors`: what each mirror does, snippets for clients, warming, purging, checking
 * one tag now.
 */
import * as v from 'valibot'
import { clientSnippets } from '../mirror/client-snippets.ts'
import type { Mirror } from '../mirror/mirror.ts'
import type { Mirrors } from '../mirror/mirrors.ts'
import { parseWarm } from '../mirror/warm.ts'
import { toRegistryError } from '../upstream/error.ts'
import { type Endpoint, endpoint, Reply } from './endpoint.ts'
import { badRequest, notFound } from './problem.ts'

const group = 'mirrors'
const params = v.object({ mirror: v.string() })
const text = v.pipe(v.string('expected text'), v.nonEmpty('expected text that is not empty'))

const mirrorSchema = v.looseObject({ name: v.string() })

const snippetSchema = v.object({ client: v.string(), file: v.string(), text: v.string() })

const warmReport = v.object({
  message: v.string(),
  warmed: v.optional(v.array(v.string())),
  failed: v.optional(v.array(v.object({ reference: v.string(), message: v.string() }))),
})

export interface MirrorSources {
  /** Undefined when none is configured. */
  readonly mirrors: Mirrors | undefined
  readonly isTls: boolean
  readonly onWarmed: (mirror: string, failed: number) => void
}

export function mirrorEndpoints({ mirrors, isTls, onWarmed }: MirrorSources): Endpoint[] {
  const find = (name: string): { all: Mirrors; mirror: Mirror } => {
    const mirror = mirrors?.addressing.get(name)
    if (mirrors === undefined || mirror === undefined) throw notFound(`no mirror ${name}`)
    return { all: mirrors, mirror }
  }
  return [
    endpoint({
      method: 'GET',
      path: '/admin/mirrors',
      summary: 'Mirrors with their counters, breakers, budgets and the space they take',
      group,
      answer: v.object({ mirrors: v.array(mirrorSchema) }),
      handle: () => ({ mirrors: mirrors?.readings().map((it) => ({ ...it })) ?? [] }),
    }),
    endpoint({
      method: 'GET',
      path: '/admin/mirrors/{mirror}',
      summary: 'One mirror',
      group,
      params,
      answer: mirrorSchema,
      handle: (input) => {
        const { all, mirror } = find(input.params.mirror)
        return { ...all.readings().find(({ name }) => name === mirror.name)! }
      },
    }),
    endpoint({
      method: 'GET',
      path: '/admin/mirrors/{mirror}/clients',
      summary: 'Configuration snippets for docker, containerd, podman, BuildKit, k3s',
      group,
      params,
      query: v.strictObject({ address: v.optional(text) }),
      answer: v.object({ clients: v.array(snippetSchema) }),
      handle: (input) => {
        const { mirror } = find(input.params.mirror)
        const { config } = mirror
        const address = input.query.address ?? 'registry.example:5000'
        return { clients: clientSnippets({ ...config, address, isTls }) }
      },
    }),
    endpoint({
      method: 'POST',
      path: '/admin/mirrors/{mirror}/warm',
      summary: 'Fetch images before the first client needs them',
      group,
      params,
      body: v.strictObject({
        references: v.pipe(v.array(text), v.minLength(1), v.maxLength(1000)),
        platforms: v.optional(v.array(text), []),
        wait: v.optional(v.boolean(), false),
      }),
      answer: warmReport,
      handle: async (input) => {
        const { all, mirror } = find(input.params.mirror)
        const { references, platforms, wait } = input.body
        for (const reference of references) parseImage(mirror, reference)
        const running = all.warming.run(mirror, references, platforms)
        if (wait) return { message: 'warmed', ...(await running) }
        running.then(
          ({ failed }) => onWarmed(mirror.name, failed.length),
          () => onWarmed(mirror.name, references.length),
        )
        return new Reply(202, { message: 'warming has begun' })
      },
    }),
    endpoint({
      method: 'POST',
      path: '/admin/mirrors/{mirror}/purge',
      summary: 'Take a repository, or all that is cached, out of the mirror',
      group,
      params,
      body: v.strictObject({ repository: v.optional(text) }),
      answer: v.object({ repositories: v.number(), manifests: v.number(), blobs: v.number() }),
      handle: async (input, { actor }) => {
        const { all, mirror } = find(input.params.mirror)
        const { repository } = input.body
        const name = repository === undefined ? undefined : mirror.localName(repository)
        if (repository !== undefined && name === undefined) throw badRequest('not a repository')
        return all.purge.run(mirror, name, actor)
      },
    }),
    endpoint({
      method: 'POST',
      path: '/admin/mirrors/{mirror}/refresh',
      summary: 'Ask upstream now what a tag means',
      group,
      params,
      body: v.strictObject({ repository: text, tag: text }),
      answer: v.object({ digest: v.optional(v.string()) }),
      handle: async (input) => {
        const { all, mirror } = find(input.params.mirror)
        const { repository, tag } = input.body
        const parsed = parseImage(mirror, `${repository}:${tag}`)
        if (parsed.reference.kind !== 'tag') throw badRequest('not a tag')
        try {
          const digest = await all.refresh(parsed.repository, parsed.reference.tag)
          return digest === undefined ? {} : { digest }
        } catch (error) {
          throw toRegistryError(error, mirror.name, 'MANIFEST_UNKNOWN')
        }
      },
    }),
  ]
}

function parseImage(mirror: Mirror, reference: string) {
  try {
    return parseWarm(mirror, reference)
  } catch (error) {
    throw badRequest((error as Error).message)
  }
}
