/**
 * @module One entry of a list of referrers: what is stored of it and what is shown. Annotations are
 * somebody else's text: they are kept as JSON, so that every name survives and a list that leaves an
 * entry out does not read them, and only up to a bound.
 */

import type { MetadataReader } from '../metadata/port.ts'
import type { Databases, ReferrerRow } from '../metadata/schema.ts'
import { referrerAnnotationsBytesMax } from '../registry/limits.ts'

type Annotations = Readonly<Record<string, string>>

/** What a list shows of a manifest (image-spec, descriptor). */
export interface ReferrerEntry {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly artifactType?: string
  readonly annotations?: Annotations
}

/** The annotations as a row has them; none when there are more than an entry shows. */
export function shownAnnotations(
  annotations: Annotations | undefined,
): Pick<ReferrerRow, 'annotationsJson'> {
  if (annotations === undefined) return {}
  const json = Buffer.from(JSON.stringify(annotations))
  return json.byteLength > referrerAnnotationsBytesMax ? {} : { annotationsJson: json }
}

/** Stored bytes of a list that one turn of the event loop decodes: one entry with all it may have. */
const bytesPerTurn = referrerAnnotationsBytesMax + 4 * 1024
const rowsPerTurn = 200

/** The next rows of a list, as many as one turn may read; none at its end. */
export function nextReferrers(
  metadata: MetadataReader,
  prefix: readonly [repository: string, subject: string],
  last: string | undefined,
): { readonly key: Databases['referrers']['key']; readonly row: ReferrerRow }[] {
  const rows = metadata.entriesWithin('referrers', prefix, last, rowsPerTurn, bytesPerTurn)
  return rows.flatMap(({ key, row = withoutAnnotations(metadata, key) }) =>
    row === undefined ? [] : [{ key, row }],
  )
}

/** A row that an earlier version wrote, with megabytes of annotations: the manifest's row has the rest. */
function withoutAnnotations(
  metadata: MetadataReader,
  key: Databases['referrers']['key'],
): ReferrerRow | undefined {
  const [repository, , digest] = key
  const manifest = metadata.get('manifests', [repository, digest])
  if (manifest === undefined) {
    // A list of an upstream, whose manifests are not all here.
    const { annotations: _annotations, ...row } = metadata.get('referrers', key) ?? {}
    return 'digest' in row ? (row as ReferrerRow) : undefined
  }
  const { mediaType, sizeBytes: size, artifactType } = manifest
  return { mediaType, digest, size, ...(artifactType === undefined ? {} : { artifactType }) }
}

/** The entry of a row. */
export function toEntry({ annotationsJson, ...row }: ReferrerRow): ReferrerEntry {
  if (annotationsJson === undefined) return row
  return { ...row, annotations: JSON.parse(Buffer.from(annotationsJson).toString()) as Annotations }
}
