/**
 * @module Ids of upload sessions. A session lives on the node that opened it, with its row and its file, so in a
 * mesh its id says which: `<member>-<random>`, and any node knows where to send a request for it. Nobody can guess
 * the random part; the member is no secret.
 */
import { type Random, randomHexId } from '../../runtime/random.ts'

/** A member's number, without a zero in front, and 32 characters as `randomHexId` makes them. */
const meshId = /^([1-9][0-9]{0,9})-[0-9a-f]{32}$/

/** Of the longest id that can be one of a mesh, characters. */
const meshIdLengthMax = 43

/** A new id: of a session of `member`, or of a registry that is alone. */
export function newUploadId(random: Random, member: number | undefined): string {
  const id = randomHexId(random)
  return member === undefined ? id : `${member}-${id}`
}

/** The number of the member whose session it would be; undefined for every id that is none of a mesh. */
export function memberOfUpload(id: string): number | undefined {
  if (id.length > meshIdLengthMax) return undefined
  const found = meshId.exec(id)
  return found === null ? undefined : Number(found[1])
}
