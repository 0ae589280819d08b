import { expect, test } from 'vitest'
import {
  isImageIndex,
  isImageManifest,
  isNonDistributable,
  isSchema1,
  manifestTypeOf,
  mediaTypes,
} from '../../../src/registry/media-type.ts'

test('manifests and indexes of both families are known', () => {
  expect(Object.values(mediaTypes).filter(isImageManifest)).toHaveLength(2)
  expect(Object.values(mediaTypes).filter(isImageIndex)).toHaveLength(2)
  expect(Object.values(mediaTypes).filter(isSchema1)).toEqual([])
})

test.each([
  ['application/vnd.oci.image.layer.nondistributable.v1.tar', true],
  ['application/vnd.oci.image.layer.nondistributable.v1.tar+gzip', true],
  ['application/vnd.oci.image.layer.nondistributable.v1.tar+zstd', true],
  ['application/vnd.docker.image.rootfs.foreign.diff.tar', true],
  ['application/vnd.docker.image.rootfs.foreign.diff.tar.gzip', true],
  ['application/vnd.oci.image.layer.nondistributable.v1.tar+lz4', false],
  ['application/vnd.oci.image.layer.v1.tar+gzip', false],
  ['application/vnd.docker.image.rootfs.diff.tar.gzip', false],
  ['x/application/vnd.docker.image.rootfs.foreign.diff.tar', false],
])('%s need not be here: %s', (type, expected) => {
  expect(isNonDistributable(type)).toBe(expected)
})

test.each([
  ['A/B; charset=utf-8', 'a/b'],
  [' a/b ', 'a/b'],
  [undefined, undefined],
  ['', undefined],
  ['json', undefined],
  ['a/b/c', undefined],
  ['a/', undefined],
  ['application/json', undefined],
  ['text/plain; charset=utf-8', undefined],
  ['application/octet-stream', undefined],
  [`a/${'b'.repeat(200)}`, undefined],
])('Content-Type %s names the type %s', (header, expected) => {
  expect(manifestTypeOf(header)).toBe(expected)
})
