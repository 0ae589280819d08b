/**
 * @module The head in front of a body that comes from another node.
 */
import type { IncomingMessage } from 'node:http'
import type * as v from 'valibot'
import type { Time } from '../../metadata/log/etcd/time.ts'
import { MeshError } from '../identity/problem.ts'
import { parseJson } from '../peers/messages.ts'
import { headBytesMax } from './messages.ts'

const lengthBytes = 4

/** A head, and how many bytes of the message it was. */
export interface ReadHead<T> {
  readonly head: T
  readonly bytes: number
}

/**
 * Takes the head and leaves the body where it is. Rejects with a MeshError 'message' for what is no head of this
 * form, 'too-large' before a byte of it is read, and 'silent' when it does not come within `ms` (undefined: however
 * long it takes) or the connection ends.
 */
export async function readHead<T>(
  message: IncomingMessage,
  schema: v.GenericSchema<unknown, T>,
  { ms, time }: { readonly ms?: number; readonly time: Time },
): Promise<ReadHead<T>> {
  const late = () => message.destroy(new MeshError('silent', 'a head took too long to come'))
  const cancel = ms === undefined ? undefined : time.after(ms, late)
  try {
    const length = (await take(message, lengthBytes)).readUInt32BE()
    if (length > headBytesMax) throw new MeshError('too-large', 'a head is too large')
    if (length === 0) throw new MeshError('message', 'a head is empty')
    const head = parseJson(await take(message, length), schema)
    return { head, bytes: lengthBytes + length }
  } finally {
    cancel?.()
  }
}

/** The next `count` bytes, whole. */
function take(message: IncomingMessage, count: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void) => {
      message.off('readable', look).off('end', ended).off('error', failed).off('close', closed)
      act()
    }
    const look = () => {
      if (message.readableEnded) return ended()
      if (message.destroyed) return closed()
      const piece = message.read(count) as Buffer | null
      if (piece === null) return
      if (piece.byteLength === count) settle(() => resolve(piece))
      else ended()
    }
    const ended = () =>
      settle(() => reject(new MeshError('message', 'a message ends within its head')))
    const failed = (error: Error) => settle(() => reject(error))
    const closed = () => failed(new MeshError('silent', 'the connection ended within a head'))
    message.on('readable', look).on('end', ended).on('error', failed).on('close', closed)
    look()
  })
}
