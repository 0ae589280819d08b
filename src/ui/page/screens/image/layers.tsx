/**
 * @module What an image is made of: a bar for each layer by its size, with the command that made it where
 * the image says so.
 */
import { useState } from 'preact/hooks'
import type { Image, Part } from '../../core/answers.ts'
import { get } from '../../core/api.ts'
import { platformText, visible } from '../../core/format.ts'
import { useLoaded } from '../../core/load.ts'
import { toImage, toRepository } from '../../core/router.ts'
import { texts } from '../../messages/catalogue.ts'
import { Empty, Ready } from '../../parts/states.tsx'
import { Digest, Size } from '../../parts/values.tsx'

/** Attestations of BuildKit are entries of an index for a platform that is none. */
export const isPlatform = ({ platform }: Part) =>
  platform !== undefined && platform.os !== 'unknown' && platform.architecture !== 'unknown'

/** Layers that are drawn before the reader asks for more. */
const drawnMax = 150

export function Layers({ image }: { readonly image: Image }) {
  const t = texts.value
  const [limit, setLimit] = useState(drawnMax)
  const { layers } = image
  if (layers.length === 0) return <Empty title={t.noLayers} />
  const total = layers.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  const largest = Math.max(1, ...layers.map(({ sizeBytes }) => sizeBytes))
  return (
    <>
      <table class="layers">
        <thead>
          <tr>
            <th class="right">#</th>
            <th class="right">{t.size}</th>
            <th class="wide">
              <span class="off-screen">{t.share}</span>
            </th>
            <th>{t.command}</th>
            <th>{t.usedBy}</th>
          </tr>
        </thead>
        <tbody>
          {layers.slice(0, limit).map((layer, index) => (
            <LayerRow
              key={index}
              layer={layer}
              number={index + 1}
              share={layer.sizeBytes / largest}
            />
          ))}
        </tbody>
      </table>
      {layers.length > limit && (
        <p>
          <button type="button" onClick={() => setLimit(layers.length)}>
            {t.showAllCount(layers.length)}
          </button>
        </p>
      )}
      <p class="sum">
        <Size bytes={total} /> {t.inLayers(layers.length)}
      </p>
    </>
  )
}

interface LayerRowProps {
  readonly layer: Part & { readonly command?: string; readonly createdBy?: string }
  readonly number: number
  readonly share: number
}

function LayerRow({ layer, number, share }: LayerRowProps) {
  const t = texts.value
  const [isOpen, setOpen] = useState(false)
  const command = layer.command ?? layer.createdBy
  return (
    <>
      <tr>
        <td class="right dim">{number}</td>
        <td class="right">
          <Size bytes={layer.sizeBytes} />
        </td>
        <td class="wide">
          <svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
            <rect width={Math.max(0.5, share * 100)} height="10" rx="1" />
          </svg>
        </td>
        <td class="command">
          {command === undefined ? (
            <span class="dim">
              {layer.mediaType.replace(/^.*\.(?=tar)/, '')} <Digest of={layer.digest} />
            </span>
          ) : (
            <code title={layer.digest}>{visible(command)}</code>
          )}
          {!layer.isHere && <span class="badge warn">{t.missing}</span>}
        </td>
        <td>
          <button
            type="button"
            class="link"
            aria-expanded={isOpen}
            aria-label={t.whoUsesLayer(number)}
            onClick={() => setOpen(!isOpen)}
          >
            {t.whoUses}
          </button>
        </td>
      </tr>
      {isOpen && (
        <tr class="more">
          <td />
          <td colSpan={4}>
            <UsedBy digest={layer.digest} />
          </td>
        </tr>
      )}
    </>
  )
}

interface BlobUse {
  readonly repositories: readonly {
    readonly repository: string
    readonly manifests: readonly string[]
  }[]
  readonly next?: string
}

function UsedBy({ digest }: { readonly digest: string }) {
  const t = texts.value
  const found = useLoaded(digest, (stop) =>
    get<BlobUse>(`admin/blobs/${digest}`, { limit: 50 }, stop),
  )
  return (
    <Ready of={found}>
      {({ repositories, next }) => (
        <ul class="names">
          {repositories.map(({ repository, manifests }) => (
            <li key={repository}>
              <a href={toRepository(repository)}>{repository}</a>{' '}
              {manifests.slice(0, 12).map((one) => (
                <a key={one} href={toImage(repository, one)}>
                  <Digest of={one} />{' '}
                </a>
              ))}
              {manifests.length > 12 && <span class="dim">{t.andMore(manifests.length - 12)}</span>}
            </li>
          ))}
          {next !== undefined && <li class="dim">{t.moreThan(repositories.length)}</li>}
        </ul>
      )}
    </Ready>
  )
}

interface PlatformsProps {
  readonly image: Image
  readonly chosen: string | undefined
  readonly onChoose: (digest: string) => void
}

/** The switch between the platforms of an index; what is none is counted. */
export function Platforms({ image, chosen, onChoose }: PlatformsProps) {
  const t = texts.value
  const platforms = image.manifests.filter(isPlatform)
  const others = image.manifests.length - platforms.length
  const shown = platforms.length > 0 ? platforms : image.manifests
  return (
    <fieldset class="platforms">
      <legend class="off-screen">{t.platforms}</legend>
      {shown.map((child) => (
        <button
          type="button"
          key={child.digest}
          class="chip"
          aria-pressed={child.digest === chosen}
          disabled={!child.isHere}
          title={child.isHere ? child.digest : t.notHere}
          onClick={() => onChoose(child.digest)}
        >
          {child.platform === undefined ? (
            <Digest of={child.digest} />
          ) : (
            platformText(child.platform)
          )}
        </button>
      ))}
      {platforms.length > 0 && others > 0 && <span class="dim">{t.countAttestations(others)}</span>}
    </fieldset>
  )
}
