/** @module The shape of a break, for the tests that read them. */
export interface Break {
  readonly area: string
  readonly what: string
  readonly file: string
  readonly find: string
  readonly replace: string
  readonly guard: {
    readonly project: string
    readonly file: string
    readonly env: Readonly<Record<string, string>>
  }
}
export function vitest(
  project: string,
  file: string,
  env?: Readonly<Record<string, string>>,
): Break['guard']
export function readBreaks(): Promise<readonly Break[]>
