/**
 * @module One image, index or artifact: what it is called, what is in it, what is attached to it, why it
 * stays.
 */
import type { Image } from '../../core/answers.ts'
import { get, part } from '../../core/api.ts'
import { platformText } from '../../core/format.ts'
import { useLoaded } from '../../core/load.ts'
import { go, route, setQuery, toImage, toRepository } from '../../core/router.ts'
import { may } from '../../core/session.ts'
import { texts } from '../../messages/catalogue.ts'
import { showDialog } from '../../parts/dialog.tsx'
import { Ready } from '../../parts/states.tsx'
import { Tabs } from '../../parts/tabs.tsx'
import { Digest, Size, Time } from '../../parts/values.tsx'
import { DeleteTags } from '../delete.tsx'
import { Attached } from './attached.tsx'
import { Config } from './config.tsx'
import { isPlatform, Layers, Platforms } from './layers.tsx'
import { PullCommand } from './pull-command.tsx'
import { TagsAndPast, Why } from './tags.tsx'
import { Verdict } from './verdict.tsx'

export function ImageScreen() {
  const t = texts.value
  const { repository, reference } = route.value
  const path = `admin/repositories/${part(repository)}/manifests/${part(reference)}`
  const found = useLoaded(`${repository} ${reference}`, (stop) => get<Image>(path, undefined, stop))
  const isTag = !reference.includes(':')
  return (
    <div class="screen">
      <div class="title">
        <h1 class="path">
          <a href={toRepository(repository)}>{repository}</a>
          <span aria-hidden="true">{isTag ? ':' : '@'}</span>
          {isTag ? reference : <Digest of={reference} />}
        </h1>
        {isTag && may('delete', repository) && found.value !== undefined && (
          <button
            type="button"
            class="danger"
            onClick={() =>
              showDialog(t.deleteTags, () => (
                <DeleteTags
                  repository={repository}
                  tags={[reference]}
                  onDone={() => go(toRepository(repository))}
                />
              ))
            }
          >
            {t.delete}…
          </button>
        )}
      </div>
      <Ready of={found}>{(image) => <Shown image={image} />}</Ready>
    </div>
  )
}

function Shown({ image }: { readonly image: Image }) {
  const t = texts.value
  const { repository, reference, query } = route.value
  const isIndex = image.manifests.length > 0
  const platforms = image.manifests.filter(isPlatform)
  const chosen = query.get('platform') ?? platforms[0]?.digest
  const tab = query.get('tab') ?? 'layers'
  // Layers and configuration are those of one platform.
  const needsChild = isIndex && chosen !== undefined
  const path = `admin/repositories/${part(repository)}/manifests/${part(chosen ?? '')}`
  const child = useLoaded(needsChild ? `${repository} ${chosen}` : undefined, (stop) =>
    get<Image>(path, undefined, stop),
  )
  const inner = needsChild ? child.value : image
  const kind = image.artifactType ?? image.mediaType
  return (
    <>
      <p class="facts">
        <span title={image.digest}>
          <Digest of={image.digest} />
        </span>
        <span>
          <Size bytes={image.sizeBytes} />
        </span>
        <span>
          {t.pushed} <Time at={image.pushedAt} />
        </span>
        {image.platform !== undefined && <span>{platformText(image.platform)}</span>}
        {(inner?.created ?? image.created) !== undefined && (
          <span>
            {t.built} <Time at={inner?.created ?? image.created} />
          </span>
        )}
        <span class="dim">{kind}</span>
        {image.signature !== undefined && <Verdict of={image.signature} />}
      </p>
      <PullCommand image={image} reference={reference} />
      {isIndex && (
        <Platforms image={image} chosen={chosen} onChoose={(it) => setQuery({ platform: it })} />
      )}
      <Tabs
        label={t.image}
        chosen={tab}
        onChoose={(id) => setQuery({ tab: id === 'layers' ? '' : id })}
        tabs={[
          { id: 'layers', title: t.layers, count: inner?.layers.length },
          { id: 'attached', title: t.attached },
          { id: 'config', title: t.config },
          { id: 'tags', title: t.tagsAndPast, count: image.tags.length },
          { id: 'why', title: t.whyItStays },
        ]}
      />
      <div
        id="tab-panel"
        role="tabpanel"
        aria-labelledby={`tab-${tab}`}
        class="panel scroll"
        tabIndex={0}
      >
        {tab === 'layers' &&
          (needsChild ? (
            <Ready of={child}>{(it) => <Layers image={it} />}</Ready>
          ) : (
            <Layers image={image} />
          ))}
        {tab === 'attached' && <Attached image={image} />}
        {tab === 'config' && (inner === undefined ? null : <Config image={inner} />)}
        {tab === 'tags' && <TagsAndPast image={image} />}
        {tab === 'why' && <Why image={image} reference={reference} />}
      </div>
      {image.subject !== undefined && (
        <p>
          {t.attachedTo}{' '}
          <a href={toImage(repository, image.subject)}>
            <Digest of={image.subject} />
          </a>
        </p>
      )}
    </>
  )
}
