/**
 * @module Which manifests of an index are copied by their platform, and which images alone.
 */
import { describe, expect, test } from 'vitest'
import { mediaTypes } from '../../../../src/registry/media-type.ts'
import { type IndexEntry, PlatformFilter } from '../../../../src/sync/selection/platforms.ts'

const entry = (digest: string, platform?: string, more: Partial<IndexEntry> = {}): IndexEntry => {
  const [os, architecture, variant] = platform?.split('/') ?? []
  return {
    digest,
    mediaType: mediaTypes.ociManifest,
    ...(platform === undefined ? {} : { platform: { os, architecture, variant } }),
    ...more,
  }
}
const attestation = (digest: string, subject: string) =>
  entry(digest, 'unknown/unknown', {
    annotations: {
      'vnd.docker.reference.type': 'attestation-manifest',
      'vnd.docker.reference.digest': subject,
    },
  })

const index = [
  entry('amd64', 'linux/amd64'),
  entry('arm7', 'linux/arm/v7'),
  entry('arm6', 'linux/arm/v6'),
  entry('arm', 'linux/arm'),
  entry('arm64', 'linux/arm64/v8'),
  entry('windows', 'windows/amd64'),
  entry('none'),
  attestation('amd64-att', 'amd64'),
  attestation('arm64-att', 'arm64'),
]

const wantedOf = (platforms: string[], entries: readonly IndexEntry[] = index) =>
  new PlatformFilter(platforms).children(entries)

describe('of an index', () => {
  test.each([
    [['linux/amd64'], ['amd64', 'amd64-att']],
    [['linux/arm'], ['arm7', 'arm6', 'arm']],
    [['linux/arm/v7'], ['arm7', 'arm']],
    [['linux/arm64'], ['arm64', 'arm64-att']],
    [['linux/arm64/v8'], ['arm64', 'arm64-att']],
    [
      ['linux/amd64', 'windows/amd64'],
      ['amd64', 'windows', 'amd64-att'],
    ],
    [[''], ['none']],
    [
      ['linux/amd64', ''],
      ['amd64', 'none', 'amd64-att'],
    ],
  ])('%j are wanted', (platforms, digests) => {
    const { wanted, unwanted, isMatched } = wantedOf(platforms)
    expect(wanted).toEqual(digests)
    expect(wanted.length + unwanted.length).toBe(index.length)
    expect(new Set([...wanted, ...unwanted])).toEqual(new Set(index.map(({ digest }) => digest)))
    expect(isMatched).toBe(true)
  })

  test('all are, without platforms', () => {
    expect(wantedOf([])).toMatchObject({ unwanted: [], isMatched: true })
    expect(wantedOf([]).wanted).toHaveLength(index.length)
  })

  test('none is, where none fits: what is attached to others does not count', () => {
    const { wanted, isMatched } = wantedOf(['linux/s390x'])
    expect(wanted).toEqual([])
    expect(isMatched).toBe(false)
  })

  test('an inner index is wanted unless its platform says otherwise', () => {
    const inner = { mediaType: mediaTypes.ociIndex }
    const entries = [
      entry('inner', undefined, inner),
      entry('inner-arm', 'linux/arm64', inner),
      entry('list', undefined, { mediaType: mediaTypes.dockerList }),
    ]
    expect(wantedOf(['linux/amd64'], entries).wanted).toEqual(['inner', 'list'])
  })

  test('one that says of itself that it is attached is wanted with its subject alone', () => {
    const entries = [
      entry('amd64', 'linux/amd64'),
      entry('lie', 'linux/amd64', { annotations: { 'vnd.docker.reference.digest': 'arm64' } }),
      attestation('self', 'self'),
    ]
    expect(wantedOf(['linux/amd64', ''], entries).wanted).toEqual(['amd64'])
  })

  test('what strangers write is taken for no platform', () => {
    const odd = (platform: unknown) => ({ ...entry('odd'), platform }) as IndexEntry
    for (const platform of [null, {}, { os: 5 }, { os: '' }, 'linux/amd64']) {
      expect(wantedOf(['linux/amd64'], [odd(platform)]).wanted).toEqual([])
      expect(wantedOf([''], [odd(platform)]).wanted).toEqual(['odd'])
    }
  })
})

describe('an image alone', () => {
  test.each([
    [['linux/amd64'], { os: 'linux', architecture: 'amd64' }, true],
    [['linux/amd64'], { os: 'linux', architecture: 'arm64' }, false],
    [['linux/arm/v7'], { os: 'linux', architecture: 'arm', variant: 'v7' }, true],
    [['linux/arm/v7'], { os: 'linux', architecture: 'arm', variant: 'v6' }, false],
    [['linux/amd64'], {}, false],
    [['linux/amd64'], undefined, false],
    [['linux/amd64', ''], {}, true],
    [[''], undefined, true],
    [[], { os: 'plan9', architecture: 'mips' }, true],
    [[], undefined, true],
  ])('with %j and the config %o is wanted: %s', (platforms, config, is) => {
    expect(new PlatformFilter(platforms).isImageWanted(config)).toBe(is)
  })
})
