/** @module What tests of clean-up say again and again: images of their own content, admin calls. */
import { expect } from 'vitest'
import { mediaTypes } from '../../src/registry/media-type.ts'
import { type Answer, imageManifest, type RegistryClient, sha256 } from './registry-client.ts'

export interface Job {
  readonly id: string
  readonly state: string
  readonly message?: string
  readonly counts: Readonly<Record<string, number>>
}

export interface Run {
  readonly message: string
  readonly job: Job
  readonly plan: string
}

/** A call with a JSON body; the answer as it came. */
export function admin(
  client: RegistryClient,
  method: string,
  target: string,
  body?: object,
): Promise<Answer> {
  return client.request(method, target, {
    headers: { 'Content-Type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
}

/** The JSON of a call that must succeed. */
export async function adminJson<T>(
  client: RegistryClient,
  method: string,
  target: string,
  body?: object,
): Promise<T> {
  const answer = await admin(client, method, target, body)
  expect(answer.status, answer.text).toBeLessThan(300)
  return answer.json as T
}

/** A collection to its end, which must be a good one. */
export async function collect(client: RegistryClient, body: object = {}): Promise<Run> {
  const run = await adminJson<Run>(client, 'POST', '/admin/gc', { wait: true, ...body })
  expect(run.job.state, run.job.message).toBe('done')
  return run
}

/** An image of its own config and layer. */
export async function pushOwnImage(
  client: RegistryClient,
  repository: string,
  tag: string,
  seed: string,
  fields: { readonly labels?: object; readonly manifest?: object } = {},
) {
  const config = await client.pushBlob(
    repository,
    JSON.stringify({ seed, os: 'linux', architecture: 'amd64', config: { Labels: fields.labels } }),
  )
  const layer = await client.pushBlob(repository, `layer ${seed} `.repeat(10_000))
  const body = JSON.stringify(imageManifest(config, [layer], { ...fields.manifest }))
  const answer = await client.putManifest(repository, tag, body, {
    'Content-Type': mediaTypes.ociManifest,
  })
  expect(answer.status, answer.text).toBe(201)
  const descriptor = { mediaType: mediaTypes.ociManifest, digest: sha256(body), size: body.length }
  return { ...descriptor, config, layer, body }
}
