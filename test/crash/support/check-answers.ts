/**
 * @module After a crash, over HTTP: everything that was acknowledged is there byte for byte, nothing
 * is there that was never sent in full, tags point where somebody pointed them.
 */
import { createHash } from 'node:crypto'
import { UploadLoad } from './load-uploads.ts'
import type { BlobModel, CrashModel, ManifestModel, TagModel } from './model.ts'
import { contentOf, Seeded } from './seeded.ts'
import { Violation, type Wire } from './wire.ts'

/** Things that nobody wrote lately and that are looked at all the same, of each kind. */
const olderChecked = 25

/** Sessions that stay open from cycle to cycle; more are cancelled. */
const sessionsKept = 12

const parallelRequests = 8

export interface CheckOptions {
  readonly model: CrashModel
  readonly wire: Wire
  readonly seed: string
  /** Everything, or what was written lately and a sample of the rest. */
  readonly isWhole: boolean
}

/** Compares what the registry answers with the model; the model then knows what really happened. */
export async function checkAnswers(options: CheckOptions): Promise<void> {
  const { model, wire } = options
  const blobs = chosen(options, [...model.blobs.values()], (it) => it.isThere.isFresh)
  const manifests = chosen(options, [...model.manifests.values()], (it) => it.isThere.isFresh)
  const tags = chosen(options, [...model.tags.values()], (it) => it.target.isFresh)
  await inParallel(blobs, (blob) => checkBlob(wire, blob))
  await inParallel(manifests, (manifest) => checkManifest(wire, model, manifest))
  await inParallel(tags, (tag) => checkTag(wire, tag))
  for (const repository of new Set(tags.map((tag) => tag.repository))) {
    await checkTagList(wire, model, repository)
  }
}

/** Every session stands where it was acknowledged; some are finished from there. */
export async function checkSessions({ model, wire, seed }: CheckOptions): Promise<void> {
  const uploads = new UploadLoad(model, wire)
  const random = new Seeded(seed, 'sessions')
  for (const session of [...model.sessions.values()]) {
    await uploads.checkSession(session)
    if (!model.sessions.has(session.location)) continue
    const { digest } = session.content
    const blob = model.blob(session.repository, session.content)
    await checkBlob(wire, blob)
    if (random.chance(0.5)) {
      await uploads.resume(random, session)
      const answer = await wire.ask('GET', `/v2/${session.repository}/blobs/${digest}`, [200])
      if (digestOf(answer.body) !== digest) throw new Violation(`resumed ${digest} is wrong`)
    } else if (model.sessions.size > sessionsKept) await uploads.cancel(session)
  }
}

async function checkBlob(wire: Wire, { repository, content, isThere }: BlobModel): Promise<void> {
  const target = `/v2/${repository}/blobs/${content.digest}`
  const answer = await wire.ask('GET', target, [200, 404])
  const isFound = answer.status === 200
  if (!isThere.allowed().includes(isFound)) {
    throw new Violation(`${target}: ${answer.status}, the model allows ${isThere.allowed()}`)
  }
  if (isFound && !answer.body.equals(contentOf(content.name, content.sizeBytes))) {
    throw new Violation(`${target}: ${answer.body.length} bytes that are not what was pushed`)
  }
  const head = await wire.ask('HEAD', target, [answer.status])
  if (isFound && Number(head.headers['content-length']) !== content.sizeBytes) {
    throw new Violation(`${target}: HEAD says ${head.headers['content-length']} bytes`)
  }
  isThere.observe(isFound)
}

async function checkManifest(
  wire: Wire,
  model: CrashModel,
  manifest: ManifestModel,
): Promise<void> {
  const { repository, digest, bytes, isThere, children } = manifest
  const target = `/v2/${repository}/manifests/${digest}`
  const answer = await wire.ask('GET', target, [200, 404])
  const isFound = answer.status === 200
  if (!isThere.allowed().includes(isFound)) {
    throw new Violation(`${target}: ${answer.status}, the model allows ${isThere.allowed()}`)
  }
  isThere.observe(isFound)
  if (!isFound) return
  if (!answer.body.equals(bytes)) throw new Violation(`${target} has other bytes`)
  for (const child of children) {
    if (!model.blobs.has(`${repository} ${child}`)) continue
    await wire.ask('HEAD', `/v2/${repository}/blobs/${child}`, [200])
  }
}

async function checkTag(wire: Wire, { repository, tag, target }: TagModel): Promise<void> {
  const path = `/v2/${repository}/manifests/${tag}`
  const answer = await wire.ask('GET', path, [200, 404])
  const digest = answer.status === 200 ? answer.headers['docker-content-digest'] : undefined
  if (!target.allowed().includes(digest)) {
    throw new Violation(`${path}: ${digest ?? '404'}, the model allows ${target.allowed()}`)
  }
  if (digest !== undefined && digestOf(answer.body) !== digest) {
    throw new Violation(`${path}: the bytes are not those of ${digest}`)
  }
  target.observe(digest)
}

/** The list has the tags that answer, and no other. */
async function checkTagList(wire: Wire, model: CrashModel, repository: string): Promise<void> {
  const answer = await wire.ask('GET', `/v2/${repository}/tags/list?n=1000`, [200, 404])
  const { tags = [] } = answer.status === 200 ? (answer.json as { tags?: string[] }) : {}
  for (const tag of model.tagsIn(repository)) {
    if (!tag.target.allowed().some((digest) => (digest !== undefined) === tags.includes(tag.tag))) {
      throw new Violation(`the tags of ${repository} are ${tags}, which is wrong of ${tag.tag}`)
    }
  }
}

function chosen<T>(
  { isWhole, seed }: CheckOptions,
  items: readonly T[],
  isFresh: (item: T) => boolean,
): readonly T[] {
  if (isWhole) return items
  const random = new Seeded(seed, 'sample')
  const older = items.filter((item) => !isFresh(item))
  const sample = new Set(Array.from({ length: olderChecked }, () => random.pick(older)))
  return items.filter((item) => isFresh(item) || sample.has(item))
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const waiting = [...items]
  const worker = async () => {
    for (let item = waiting.pop(); item !== undefined; item = waiting.pop()) await work(item)
  }
  await Promise.all(Array.from({ length: parallelRequests }, worker))
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}
