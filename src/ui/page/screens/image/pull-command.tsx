/**
 * @module The reference of an image as the reader's tool wants it; the browser remembers the tool.
 */
import type { Image } from '../../core/answers.ts'
import { registryAddress, tool } from '../../core/settings.ts'
import { texts } from '../../messages/catalogue.ts'
import { Copy, copyText } from '../../parts/values.tsx'

const TOOLS: Readonly<Record<string, (name: string, isPlain: boolean) => string>> = {
  reference: (name) => name,
  docker: (name) => `docker pull ${name}`,
  podman: (name, isPlain) => `podman pull ${isPlain ? '--tls-verify=false ' : ''}${name}`,
  crictl: (name) => `crictl pull ${name}`,
  skopeo: (name, isPlain) =>
    `skopeo inspect ${isPlain ? '--tls-verify=false ' : ''}docker://${name}`,
  crane: (name, isPlain) => `crane pull ${isPlain ? '--insecure ' : ''}${name} image.tar`,
  oras: (name, isPlain) => `oras pull ${isPlain ? '--plain-http ' : ''}${name}`,
  FROM: (name) => `FROM ${name}`,
}

const CHART = 'application/vnd.cncf.helm.config.v1+json'

interface PullCommandProps {
  readonly image: Image
  readonly reference: string
}

export function PullCommand({ image, reference }: PullCommandProps) {
  const t = texts.value
  const base = `${registryAddress}/${image.repository}`
  const isTag = !reference.includes(':')
  const tagged = isTag ? `${base}:${reference}` : `${base}@${reference}`
  const isPlain = location.protocol === 'http:'
  const isChart = image.config?.mediaType === CHART
  const commandOf = (name: string) => {
    if (isChart && isTag && tool.value === 'reference') {
      return `helm pull oci://${base} --version ${reference.replaceAll('_', '+')}`
    }
    return (TOOLS[tool.value] ?? TOOLS['reference']!)(name, isPlain)
  }
  const exact = `${base}@${image.digest}`
  return (
    <div class="pull">
      <select
        aria-label={t.tool}
        value={tool.value}
        onChange={(event) => {
          tool.value = event.currentTarget.value
        }}
      >
        {Object.keys(TOOLS).map((name) => (
          <option key={name} value={name} selected={name === tool.value}>
            {name === 'reference' ? t.referenceOnly : name}
          </option>
        ))}
      </select>
      <code>{commandOf(tagged)}</code>
      <Copy text={commandOf(tagged)} />
      <button
        type="button"
        class="link wide"
        title={exact}
        onClick={() => copyText(commandOf(exact))}
      >
        {t.copyDigestForm}
      </button>
    </div>
  )
}
