/**
 * @module The manifests that a plan removes, remembered while the plan is made.
 */

/** A set of V8 holds 2^24 at most; many small ones also grow in small steps. */
const setCount = 64

/**
 * The manifests that the plan removes, in little memory: the last 13 digits of each with a hash of its
 * repository, in about 40 bytes. (A slice of the text would keep the whole digest alive.) Two that look
 * alike here make an item that its own transaction refuses; nothing is lost by it.
 */
export class PlannedManifests {
  readonly #sets = Array.from({ length: setCount }, () => new Set<number>())
  #repository = ''
  #repositoryBits = hash('')

  add(repository: string, digest: string): void {
    const bits = this.#bits(repository, digest)
    this.#sets[bits % setCount]!.add(bits)
  }

  has(repository: string, digest: string): boolean {
    const bits = this.#bits(repository, digest)
    return this.#sets[bits % setCount]!.has(bits)
  }

  #bits(repository: string, digest: string): number {
    if (repository !== this.#repository) {
      this.#repository = repository
      this.#repositoryBits = hash(repository)
    }
    const high = Number.parseInt(digest.slice(-13, -5), 16) ^ this.#repositoryBits
    const low = Number.parseInt(digest.slice(-5), 16) ^ Math.imul(this.#repositoryBits, 0x9e3779b1)
    return (high >>> 0) * 0x10_0000 + (low & 0xf_ffff)
  }
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let bits = 0x811c9dc5
  for (let index = 0; index < text.length; index += 1) {
    bits = Math.imul(bits ^ text.charCodeAt(index), 0x01000193)
  }
  return bits
}
