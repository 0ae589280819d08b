/**
 * @module The images that every client pushes and pulls, built once from this machine's own files
 * and kept under `.cache/images` (remove the folder to build them anew).
 */

import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import {
  emptyLayer,
  fileLayer,
  HERE,
  type Layer,
  type Layout,
  writeArtifact,
  writeImage,
  writeIndex,
} from '../../support/random-image.ts'
import { projectRoot } from '../../support/start-registry.ts'
import { dealFiles } from './real-files.ts'
import { hasTool } from './tools.ts'

const MEBIBYTE = 2 ** 20
const FILE_ROOTS = ['/usr/bin', '/usr/lib', '/usr/local', '/usr/share']
/** Name of the cached set; changes with what is built below. */
const VERSION = 'v2'
export const ARTIFACT_TYPE = 'application/vnd.example.programs'

export interface ImageSet {
  /** Three gzip layers, the first above 100 MiB as it travels. */
  readonly multiLayer: Layout
  /** Two layers, one of them the empty tar. */
  readonly emptyLayer: Layout
  /** `layers: []`. */
  readonly noLayers: Layout
  /** This machine's platform and a foreign one; one layer is shared. */
  readonly multiArch: Layout
  /** Not an image: one program file, its subject being this machine's image of `multiArch`. */
  readonly artifact: Layout
  /** A zstd and a gzip layer; absent where no zstd program is. */
  readonly zstd: Layout | undefined
}

/** Builds the set when it is not cached yet. Concurrent callers may build twice; one result stays. */
export async function imageSet(): Promise<ImageSet> {
  const cache = join(projectRoot(), '.cache/images')
  const kept = join(cache, hasTool('zstd') ? VERSION : `${VERSION}-without-zstd`)
  if (!existsSync(kept)) {
    await mkdir(cache, { recursive: true })
    const building = await mkdtemp(join(cache, 'building-'))
    try {
      await writeFile(join(building, 'set.json'), JSON.stringify(await build(building)))
      await rename(building, kept)
    } catch (error) {
      await rm(building, { recursive: true, force: true })
      if (!existsSync(kept)) throw error
    }
  }
  const set = JSON.parse(await readFile(join(kept, 'set.json'), 'utf8')) as ImageSet
  return movedSet(set, (folder) => join(kept, folder))
}

async function build(root: string): Promise<ImageSet> {
  const pool = join(root, 'pool')
  const partBytes = [360, 30, 8, 4, 4, 40].map((mebibytes) => mebibytes * MEBIBYTE)
  const parts = await dealFiles(FILE_ROOTS, partBytes)
  const layer = (part: number, compression: 'gzip' | 'zstd' = 'gzip') =>
    fileLayer(pool, parts[part] ?? [], compression)
  const image = (name: string, layers: readonly Layer[], platform = HERE) =>
    writeImage(pool, join(root, name), layers, platform)

  const base = await layer(0)
  if (base.size < 100 * MEBIBYTE) throw new Error(`the base layer has only ${base.size} bytes`)
  const small = await layer(2)
  const foreign = { architecture: HERE.architecture === 'arm64' ? 'amd64' : 'arm64', os: 'linux' }
  const here = await image('here', [small, await layer(3)])
  const other = await image('foreign', [small, await layer(4)], foreign)
  const multiArch = await writeIndex(pool, join(root, 'multi-arch'), [
    { platform: HERE, image: here },
    { platform: foreign, image: other },
  ])
  const artifact = await writeArtifact(pool, join(root, 'artifact'), here, {
    type: ARTIFACT_TYPE,
    mediaType: 'application/octet-stream',
    file: parts[3]?.[0] ?? '',
  })
  const set = {
    multiLayer: await image('multi-layer', [base, await layer(1), small]),
    emptyLayer: await image('empty-layer', [small, await emptyLayer(pool)]),
    noLayers: await image('no-layers', []),
    multiArch,
    artifact,
    zstd: hasTool('zstd') ? await image('zstd', [await layer(5, 'zstd'), small]) : undefined,
  }
  return movedSet(set, (folder) => relative(root, folder))
}

/** Layouts name their folders, and the whole set is built in one place and kept in another. */
function movedSet(set: ImageSet, move: (folder: string) => string): ImageSet {
  const moved = (layout: Layout): Layout => ({ ...layout, folder: move(layout.folder) })
  return {
    multiLayer: moved(set.multiLayer),
    emptyLayer: moved(set.emptyLayer),
    noLayers: moved(set.noLayers),
    multiArch: moved(set.multiArch),
    artifact: moved(set.artifact),
    zstd: set.zstd === undefined ? undefined : moved(set.zstd),
  }
}
