/**
 * @module One upload's long-running task: takes chunks from its port in order, answers when bytes
 * have reached the operating system or the blob is in place. Several run on one thread at a time.
 */
import { closeSync } from 'node:fs'
import type { MessagePort } from 'node:worker_threads'
import { algorithmOf } from '../../../registry/digest.ts'
import { disk } from '../../../runtime/disk.ts'
import { type Libc, loadLibc } from '../../../runtime/libc.ts'
import { toWorkerFailure } from '../../../runtime/worker-failure.ts'
import type { IngestReply, IngestRequest, IngestSetup } from './messages.ts'
import { type Receiving, receive } from './receive.ts'
import { UploadFile } from './upload-file.ts'

type StopReceiving = IngestRequest & { readonly kind: 'stop-receiving' }

let loaded: ReturnType<typeof loadLibc> | undefined

/**
 * Loaded with the first upload: a thread that is ended while it loads a native module takes the
 * process with it, and a store may be closed as soon as it is open.
 */
function nativeCalls(): Libc | undefined {
  loaded ??= loadLibc()
  return 'unavailable' in loaded ? undefined : loaded
}

export async function ingest(setup: IngestSetup): Promise<void> {
  const { port } = setup
  const rest: Rest = { id: undefined, receiving: undefined, stoppedId: undefined }
  const requests = requestsOf(port, rest)
  let file: UploadFile | undefined
  let failure: unknown
  try {
    file = await UploadFile.open(
      setup.path,
      setup.algorithm,
      setup.offsetBytes,
      nativeCalls(),
      setup.sizeBytes,
    )
  } catch (error) {
    failure = error
  }
  for await (const request of requests) {
    if (request.kind === 'park' || request.kind === 'discard') {
      if (request.kind === 'park') await file?.close()
      else if (file !== undefined) await file.discard()
      // One that could not be opened may be there all the same, too short.
      else await disk.unlink(setup.path)
      return
    }
    if (file === undefined) refuse(port, request, failure)
    else await perform(port, file, request, rest)
  }
  await file?.close()
}

/** What a task reads from a socket by itself. */
interface Rest {
  id: number | undefined
  receiving: Receiving | undefined
  /** Of the request that was stopped last: it may be waiting still, or over. */
  stoppedId: number | undefined
}

/** Requests in order. Chunks that wait here are bounded by the sender (4 MiB a session). */
function requestsOf(
  port: MessagePort,
  rest: Rest,
): AsyncIterable<Exclude<IngestRequest, StopReceiving>> {
  const waiting: Exclude<IngestRequest, StopReceiving>[] = []
  let wake: (() => void) | undefined
  let isClosed = false
  port.on('message', (request: IngestRequest) => {
    if (request.kind === 'stop-receiving') {
      rest.stoppedId = request.id
      if (rest.id === request.id) rest.receiving?.stop()
      return
    }
    waiting.push(request)
    wake?.()
  })
  port.on('close', () => {
    isClosed = true
    rest.receiving?.stop()
    wake?.()
  })
  return {
    async *[Symbol.asyncIterator]() {
      while (true) {
        const request = waiting.shift()
        if (request !== undefined) yield request
        else if (isClosed) return
        else
          await new Promise<void>((resolve) => {
            wake = resolve
          })
      }
    },
  }
}

/**
 * Even a committed upload's task goes on until it is told to end: its last answer and the end of
 * the task travel on different channels, and the end could overtake the answer.
 */
async function perform(
  port: MessagePort,
  file: UploadFile,
  request: Exclude<IngestRequest, StopReceiving | { kind: 'park' | 'discard' }>,
  rest: Rest,
): Promise<void> {
  switch (request.kind) {
    case 'chunk':
    case 'shared-chunk': {
      const { buffer, length } = request
      file.append(new Uint8Array(buffer, 0, length))
      giveBack(port, buffer, length, file)
      file.relieve()
      return
    }
    case 'receive':
      await receiveRest(port, file, request, rest)
      return
    case 'mark':
      file.mark()
      return
    default:
      break
  }
  try {
    if (request.kind === 'commit') {
      const actual = await file.commit(request.digest, request.target, request.isFlushed)
      if (actual !== request.digest) {
        reply(port, { kind: 'mismatch', id: request.id, actual })
        return
      }
    } else if (request.kind === 'verify') {
      // Of what was hashed: a disk that takes no more does not make the bytes wrong.
      const actual = await file.digest(algorithmOf(request.digest))
      if (actual !== request.digest) {
        reply(port, { kind: 'mismatch', id: request.id, actual })
        return
      }
    } else if (request.kind === 'rollback') await file.rollback()
    else file.settle()
    reply(port, { kind: 'done', id: request.id, offsetBytes: file.offsetBytes })
  } catch (error) {
    reply(port, { kind: 'failed', id: request.id, failure: toWorkerFailure(error) })
  }
}

async function receiveRest(
  port: MessagePort,
  file: UploadFile,
  { id, descriptor, rest: lent, toldBytes }: IngestRequest & { kind: 'receive' },
  rest: Rest,
): Promise<void> {
  const onProgress = (bytes: number) =>
    reply(port, { kind: 'receiving', id, bytes, writtenBytes: file.writtenBytes })
  const receiving = receive(file, descriptor, lent, onProgress, toldBytes)
  rest.id = id
  rest.receiving = receiving
  if (rest.stoppedId === id) receiving.stop()
  const { bytes, end } = await receiving.ended
  rest.receiving = undefined
  reply(port, { kind: 'received', id, bytes, end })
}

function refuse(port: MessagePort, request: IngestRequest, failure: unknown): void {
  if (request.kind === 'receive') closeSync(request.descriptor)
  if (request.kind === 'chunk' || request.kind === 'shared-chunk')
    giveBack(port, request.buffer, request.length, undefined)
  else if ('id' in request) {
    reply(port, { kind: 'failed', id: request.id, failure: toWorkerFailure(failure) })
  }
}

function giveBack(
  port: MessagePort,
  buffer: ArrayBuffer | SharedArrayBuffer,
  length: number,
  file: UploadFile | undefined,
): void {
  const writtenBytes = file?.writtenBytes ?? 0
  const isBroken = file?.isBroken ?? true
  const own = buffer instanceof ArrayBuffer ? buffer : undefined
  const message: IngestReply = { kind: 'buffer', buffer: own, length, writtenBytes, isBroken }
  port.postMessage(message, own === undefined ? [] : [own])
}

function reply(port: MessagePort, message: IngestReply): void {
  port.postMessage(message)
}
