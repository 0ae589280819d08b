/**
 * @module Pushing as clients do: HEAD, POST for a session, PATCH with the bytes, PUT to finish (the
 * way of docker, podman, skopeo and crane), then the manifest. Works against any registry.
 */
import { type Blob, contentOf } from './content.ts'
import type { HttpConnection, Reply, Request } from './http-client.ts'
import { type Image, manifestType } from './images.ts'

const octets = { 'Content-Type': 'application/octet-stream' }

/** Pushes one blob. Throws when the registry says anything but that it was created. */
export async function pushBlob(
  connection: HttpConnection,
  repository: string,
  blob: Blob,
): Promise<void> {
  const opened = await expectStatus(202, connection, {
    method: 'POST',
    path: `/v2/${repository}/blobs/uploads/`,
    bodyBytes: 0,
  })
  const patched = await expectStatus(202, connection, {
    method: 'PATCH',
    path: locationPath(opened),
    headers: octets,
    body: contentOf(blob),
    bodyBytes: blob.sizeBytes,
  })
  await finish(connection, locationPath(patched), blob, undefined)
}

/** The shorter way of containerd and oras: POST, then PUT with the bytes. For filling stores. */
export async function pushBlobShort(
  connection: HttpConnection,
  repository: string,
  blob: Blob,
): Promise<void> {
  const path = `/v2/${repository}/blobs/uploads/`
  const opened = await expectStatus(202, connection, { method: 'POST', path, bodyBytes: 0 })
  await finish(connection, locationPath(opened), blob, contentOf(blob))
}

/**
 * All in one request: POST with the digest and the bytes. A registry may answer 202 and mean that the
 * bytes are to be sent again, see `takesMonolithicPost`.
 */
export async function pushBlobMonolithic(
  connection: HttpConnection,
  repository: string,
  blob: Blob,
): Promise<void> {
  await expectStatus(201, connection, monolithicPost(repository, blob))
}

/** Whether a small blob is there after one POST. */
export async function takesMonolithicPost(
  connection: HttpConnection,
  repository: string,
  blob: Blob,
): Promise<boolean> {
  return (await connection.request(monolithicPost(repository, blob))).status === 201
}

function monolithicPost(repository: string, blob: Blob): Request {
  return {
    method: 'POST',
    path: `/v2/${repository}/blobs/uploads/?digest=${encodeURIComponent(blob.digest)}`,
    headers: octets,
    body: contentOf(blob),
    bodyBytes: blob.sizeBytes,
  }
}

async function finish(
  connection: HttpConnection,
  path: string,
  blob: Blob,
  body: Iterable<Uint8Array> | undefined,
): Promise<void> {
  await expectStatus(201, connection, {
    method: 'PUT',
    path: `${path}${path.includes('?') ? '&' : '?'}digest=${encodeURIComponent(blob.digest)}`,
    headers: octets,
    ...(body === undefined ? { bodyBytes: 0 } : { body, bodyBytes: blob.sizeBytes }),
  })
}

/** HEAD and push of every blob, then the manifest by its tag. Resolves to the requests made. */
export async function pushImage(
  connection: HttpConnection,
  repository: string,
  image: Image,
): Promise<number> {
  for (const blob of image.blobs) {
    const path = `/v2/${repository}/blobs/${blob.digest}`
    const { status } = await connection.request({ method: 'HEAD', path })
    if (status === 404) await pushBlob(connection, repository, blob)
    else if (status !== 200) throw new Error(`HEAD ${path} gave ${status}`)
  }
  await expectStatus(201, connection, {
    method: 'PUT',
    path: `/v2/${repository}/manifests/${image.tag}`,
    headers: { 'Content-Type': manifestType },
    body: [image.manifest],
    bodyBytes: image.manifest.length,
  })
  return image.blobs.length * 4 + 1
}

/** Manifest by tag, then every blob of it. Resolves to the bytes received. */
export async function pullImage(
  connection: HttpConnection,
  repository: string,
  image: Pick<Image, 'tag' | 'blobs'>,
): Promise<number> {
  const manifest = await expectStatus(200, connection, {
    method: 'GET',
    path: `/v2/${repository}/manifests/${image.tag}`,
    headers: { Accept: manifestType },
  })
  let bytes = manifest.bodyBytes
  for (const { digest } of image.blobs) {
    const path = `/v2/${repository}/blobs/${digest}`
    bytes += (await expectStatus(200, connection, { method: 'GET', path })).bodyBytes
  }
  return bytes
}

async function expectStatus(
  status: number,
  connection: HttpConnection,
  request: Request,
): Promise<Reply> {
  const reply = await connection.request({ ...request, keepsBody: status !== 200 })
  if (reply.status === status) return reply
  const { method, path } = request
  throw new Error(`${method} ${path} gave ${reply.status}: ${reply.body.toString().slice(0, 200)}`)
}

/** Path and query of a Location: some registries send a whole URL. */
function locationPath(reply: Reply): string {
  const location = reply.headers.get('location')
  if (location === undefined) throw new Error(`an answer ${reply.status} without a Location`)
  return location.replace(/^https?:\/\/[^/]+/, '')
}
