/**
 * @module What clients hear when the other nodes cannot do their part: to be sent again in a moment.
 */
import type { Digest } from '../../registry/digest.ts'
import { RegistryError } from '../../registry/errors.ts'

/** A push: too few nodes keep a copy. */
export function copiesShort(digest: Digest | undefined): RegistryError {
  return new RegistryError('BUSY', {
    message: 'too few nodes of the mesh can take a copy of the blob now; send the same again',
    detail: { digest, outcome: 'not done' },
    facts: { retryAfterSeconds: 5 },
  })
}

/** A pull: whether there is a copy is not known. */
export function copiesSilent(digest: Digest, cause?: unknown): RegistryError {
  return new RegistryError('BUSY', {
    message: 'the nodes that have the blob do not answer; try again in a moment',
    detail: { digest },
    facts: { retryAfterSeconds: 2 },
    cause,
  })
}
