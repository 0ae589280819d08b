/**
 * @module An empty registry: the three commands of a first push, with this host's name.
 */
import { may, sessionOf } from '../core/session.ts'
import { registryAddress } from '../core/settings.ts'
import { texts } from '../messages/catalogue.ts'
import { Empty } from '../parts/states.tsx'
import { Copy } from '../parts/values.tsx'

/** What a new reader may copy from any machine with a container engine. */
export function firstCommands(needsLogin: boolean): readonly string[] {
  const image = `${registryAddress}/hello/world:v1`
  return [
    needsLogin ? `docker login ${registryAddress}` : 'docker pull hello-world',
    needsLogin ? `docker tag hello-world ${image}` : `docker tag hello-world ${image}`,
    `docker push ${image}`,
  ]
}

export function FirstPush() {
  const t = texts.value
  const session = sessionOf()
  const mayPush = may('push', 'hello/world')
  if (!mayPush) {
    return (
      <Empty title={t.nothingHere}>
        <p>{t.nothingToSee}</p>
      </Empty>
    )
  }
  return (
    <Empty title={t.nothingHere}>
      <p>{t.firstPush}</p>
      <ol class="commands">
        {firstCommands(session?.kind === 'user').map((command) => (
          <li key={command}>
            <code>{command}</code>
            <Copy text={command} />
          </li>
        ))}
      </ol>
      {location.protocol === 'http:' && !/^(localhost|127\.|\[::1\])/.test(registryAddress) && (
        <p class="dim">{t.plainHttpHint(registryAddress)}</p>
      )}
    </Empty>
  )
}
