/**
 * @module The manifests that a plan removes, remembered while the plan is made.
 */

/**
 * The manifests that the plan removes, in little memory: 16 characters each. Two that look alike
 * here make an item that its own transaction refuses; nothing is lost by it.
 */
export class PlannedManifests {
  readonly #repositories = new Map<string, Set<string>>()

  add(repository: string, digest: string): void {
    let set = this.#repositories.get(repository)
    if (set === undefined) {
      set = new Set()
      this.#repositories.set(repository, set)
    }
    set.add(digest.slice(-16))
  }

  has(repository: string, digest: string): boolean {
    return this.#repositories.get(repository)?.has(digest.slice(-16)) === true
  }
}
