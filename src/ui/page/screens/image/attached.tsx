/**
 * @module What is attached to an image: signatures with their signer, SBOMs, provenance, reports.
 */
import type { Image, Referrer } from '../../core/answers.ts'
import { get, part } from '../../core/api.ts'
import { useLoaded } from '../../core/load.ts'
import { toImage } from '../../core/router.ts'
import { texts } from '../../messages/catalogue.ts'
import { Empty, Ready } from '../../parts/states.tsx'
import { Digest, Size } from '../../parts/values.tsx'

interface Signer {
  readonly name?: string
  readonly fingerprint?: string
  readonly subject?: string
  readonly identity?: { readonly issuer: string; readonly subject: string }
  readonly store?: { readonly subject: string }
}

interface Finding {
  readonly scheme: string
  readonly manifest: string
  readonly signature: boolean
  readonly signer?: Signer
  readonly predicateType?: string
  readonly result: string
  readonly reason?: string
}

interface Report {
  readonly state: string
  readonly policy?: string
  readonly required?: readonly string[]
  readonly signatures: readonly Finding[]
}

export function Attached({ image }: { readonly image: Image }) {
  const t = texts.value
  const { repository, digest, referrers = [] } = image
  const path = `admin/repositories/${part(repository)}/manifests/${part(digest)}/signatures`
  const found = useLoaded(digest, (stop) => get<Report>(path, undefined, stop))
  return (
    <Ready of={found}>
      {({ state, policy, required = [], signatures }) => {
        const known = new Set(signatures.map(({ manifest }) => manifest))
        const others = referrers.filter((one) => !known.has(one.digest))
        if (signatures.length + others.length === 0) {
          return (
            <Empty title={t.nothingAttached}>
              <p>{t.attachHint}</p>
            </Empty>
          )
        }
        return (
          <>
            {policy !== undefined && (
              <p>
                {t.policyIs(policy)} <span class="badge">{state}</span>{' '}
                <span class="dim">{required.join(', ')}</span>
              </p>
            )}
            <table>
              <thead>
                <tr>
                  <th>{t.kind}</th>
                  <th>{t.digest}</th>
                  <th>{t.by}</th>
                  <th>{t.state}</th>
                </tr>
              </thead>
              <tbody>
                {signatures.map((one) => (
                  <tr key={`${one.manifest} ${one.scheme} ${signerWords(one.signer)}`}>
                    <td>
                      {one.signature ? t.signature : (one.predicateType ?? t.attestation)}{' '}
                      <span class="dim">{one.scheme}</span>
                    </td>
                    <td>
                      <a href={toImage(repository, one.manifest)}>
                        <Digest of={one.manifest} />
                      </a>
                    </td>
                    <td>{signerWords(one.signer)}</td>
                    <td>
                      {one.result} <span class="dim">{one.reason ?? ''}</span>
                    </td>
                  </tr>
                ))}
                {others.map((one) => (
                  <OtherRow key={one.digest} repository={repository} of={one} />
                ))}
              </tbody>
            </table>
          </>
        )
      }}
    </Ready>
  )
}

function OtherRow({ repository, of }: { readonly repository: string; readonly of: Referrer }) {
  return (
    <tr>
      <td>
        {of.kind ?? of.artifactType ?? of.mediaType}{' '}
        {of.kind !== undefined && <span class="dim">{of.artifactType ?? ''}</span>}
      </td>
      <td>
        <a href={toImage(repository, of.digest)}>
          <Digest of={of.digest} />
        </a>
      </td>
      <td />
      <td>
        <Size bytes={of.sizeBytes} />
      </td>
    </tr>
  )
}

function signerWords(signer: Signer | undefined): string {
  if (signer === undefined) return ''
  const { identity, name, store, subject, fingerprint } = signer
  if (identity !== undefined) return `${identity.subject} (${identity.issuer})`
  return name ?? store?.subject ?? subject ?? fingerprint ?? ''
}
