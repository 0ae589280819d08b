/**
 * @module What is done to an image in each case, what is asked, and what is right. Where a tool says otherwise, the reason
 * stands beside the case.
 */

import {
  type Cosign,
  KEY_KINDS,
  PLAIN,
  STRANGER,
  signArgs,
  verifyArgs,
} from '../support/signing.ts'
import { type AttestationType, type Form, type Place, type Scene, TYPES } from './scene.ts'

export interface Case {
  readonly name: string
  readonly tool: Cosign
  readonly form: Form
  /** The image, unless it is an index. */
  readonly isIndex?: boolean
  /** Signs and spoils; the place to ask about, where it is another one. */
  readonly make: (scene: Scene, place: Place) => Promise<Place | undefined>
  readonly asks: { readonly key: string } | { readonly type: AttestationType }
  /** By the registry. */
  readonly isVerified: boolean
  /** Why the tool says the opposite. */
  readonly toolDiffers?: string
  /** Asks the tool, where it has to be asked in another way. */
  readonly verifies?: (scene: Scene, place: Place) => Promise<boolean>
}

const TOOLS: readonly Cosign[] = ['cosign', 'cosign2']
const FORMS: readonly Form[] = ['tag', 'bundle']
const EACH = TOOLS.flatMap((tool) => FORMS.map((form) => ({ tool, form })))
const words = ({ tool, form }: { tool: Cosign; form: Form }) => `${tool}, ${form}`

/** cosign signs with the hash of the curve, and verifies with SHA-256 unless it is told. */
const HASHES: Readonly<Partial<Record<string, string>>> = { p384: 'sha384', p521: 'sha512' }

const KEYS: readonly Case[] = EACH.flatMap(({ tool, form }) =>
  KEY_KINDS.map((key) => ({
    name: `${words({ tool, form })}: a signature of a key ${key}`,
    tool,
    form,
    make: async (scene: Scene, place: Place) => {
      await scene.sign(tool, form, place, key)
      return undefined
    },
    asks: { key },
    // cosign signs with Ed25519ph, and expects Ed25519 when it verifies: neither takes what it has made.
    isVerified: key !== 'ed25519',
    verifies: (scene: Scene, place: Place) => {
      const hash = HASHES[key]
      const more = hash === undefined ? [] : ['--signature-digest-algorithm', hash]
      return scene.verifies(tool, form, place, key, more)
    },
  })),
)

const ATTESTATIONS: readonly Case[] = (Object.keys(TYPES) as AttestationType[]).flatMap(
  (type, at) => {
    // Each type once as a tag and once as a bundle, by turns of the two tools.
    const other = at % 2
    return FORMS.map((form, index) => {
      const tool = TOOLS[(index + other) % 2]!
      return {
        name: `${words({ tool, form })}: an attestation of type ${type}`,
        tool,
        form,
        make: async (scene: Scene, place: Place) => {
          await scene.attest(tool, form, place, type)
          return undefined
        },
        asks: { type },
        isVerified: true,
      }
    })
  },
)

/** The same thing for each way to sign. */
function each(
  name: string,
  rest: (it: { tool: Cosign; form: Form }) => Omit<Case, 'name' | 'tool' | 'form'>,
): readonly Case[] {
  return EACH.map((it) => ({ name: `${words(it)}: ${name}`, ...it, ...rest(it) }))
}

const key = 'p256'
const EXPERIMENTAL = 'COSIGN_EXPERIMENTAL=1'
const nothing = async () => undefined

const BAD: readonly Case[] = [
  ...each('nothing at all', () => ({ make: nothing, asks: { key }, isVerified: false })),
  ...each('a signature of another key', ({ tool, form }) => ({
    make: async (scene, place) => {
      await scene.sign(tool, form, place, STRANGER)
      return undefined
    },
    asks: { key },
    isVerified: false,
  })),
  ...each('an attestation of another key', ({ tool, form }) => ({
    make: async (scene, place) => {
      await scene.attest(tool, form, place, 'custom', STRANGER)
      return undefined
    },
    asks: { type: 'custom' },
    isVerified: false,
  })),
  ...each('an attestation of another type', ({ tool, form }) => ({
    make: async (scene, place) => {
      await scene.attest(tool, form, place, 'openvex')
      return undefined
    },
    asks: { type: 'vuln' },
    isVerified: false,
  })),
  ...each('a signature where an attestation is asked for', ({ tool, form }) => ({
    make: async (scene, place) => {
      await scene.sign(tool, form, place)
      return undefined
    },
    asks: { type: 'custom' },
    isVerified: false,
  })),
  ...each('an attestation where a signature is asked for', ({ tool, form }) => ({
    make: async (scene, place) => {
      await scene.attest(tool, form, place, 'custom')
      return undefined
    },
    asks: { key },
    isVerified: false,
    ...(form === 'bundle'
      ? { toolDiffers: 'to it every bundle about the image is a signature, whatever it says' }
      : {}),
  })),
  ...each('a signature of another image', ({ tool, form }) => ({
    make: async (scene, place) => {
      const other = await scene.image(place.repository, 'another image')
      await scene.sign(tool, form, other)
      if (form === 'tag') await scene.put(place, await scene.tagged(other, 'sig'), 'sig')
      else await scene.put(place, await readdressed(scene, other, place))
      return undefined
    },
    asks: { key },
    isVerified: false,
  })),
  ...each('a signature whose words were changed', ({ tool, form }) => ({
    make: async (scene, place) => {
      const other = await scene.image(place.repository, 'another image')
      await scene.sign(tool, form, other)
      await (form === 'tag' ? forgeTag(scene, other, place) : forgeBundle(scene, other, place))
      return undefined
    },
    asks: { key },
    isVerified: false,
  })),
  ...each('an image in a repository without its signatures', ({ tool, form }) => ({
    make: async (scene, place) => {
      await scene.sign(tool, form, place)
      const repository = `${place.repository}/elsewhere`
      const to = `${scene.named(repository)}:copied`
      await scene.run('crane', '--insecure', 'copy', scene.at(place), to)
      return { ...place, repository }
    },
    asks: { key },
    isVerified: false,
  })),
  ...each('a signature that was removed', ({ tool, form }) => ({
    make: async (scene, place) => {
      await scene.sign(tool, form, place)
      if (form === 'tag') await scene.clean(place)
      else await scene.client.delete((await scene.referrer(place)).path)
      return undefined
    },
    asks: { key },
    isVerified: false,
  })),
]

const ofMember = 'to it a signature of the index says nothing of what the index lists'

const INDEXES: readonly Case[] = [
  ...each('an index that is signed', ({ tool, form }) => ({
    isIndex: true,
    make: async (scene, place) => {
      await scene.sign(tool, form, place)
      return undefined
    },
    asks: { key },
    isVerified: true,
  })),
  ...each('a platform of an index that is signed with what it lists', ({ tool, form }) => ({
    isIndex: true,
    make: async (scene, place) => {
      await scene.sign(tool, form, place, key, ['--recursive'])
      return { ...place, digest: place.platforms[1]! }
    },
    asks: { key },
    isVerified: true,
  })),
  ...each('a platform of an index that alone is signed', ({ tool, form }) => ({
    isIndex: true,
    make: async (scene, place) => {
      await scene.sign(tool, form, place)
      return { ...place, digest: place.platforms[0]! }
    },
    asks: { key },
    isVerified: true,
    toolDiffers: ofMember,
  })),
  ...each('an index of which a platform is signed', ({ tool, form }) => ({
    isIndex: true,
    make: async (scene, place) => {
      await scene.sign(tool, form, { ...place, digest: place.platforms[0]! })
      return undefined
    },
    asks: { key },
    isVerified: false,
  })),
]

const COPIES: readonly Case[] = [
  ...each('two signatures, of which one is known', ({ tool, form }) => ({
    make: async (scene, place) => {
      await scene.sign(tool, form, place, STRANGER)
      await scene.sign(tool, form, place)
      return undefined
    },
    asks: { key },
    isVerified: true,
  })),
  ...TOOLS.map(
    (tool): Case => ({
      name: `${tool}, tag: a copy by cosign copy`,
      tool,
      form: 'tag',
      make: async (scene, place) => {
        await scene.sign(tool, 'tag', place)
        const repository = `${place.repository}/copy`
        await scene.run(tool, 'copy', PLAIN, scene.at(place), `${scene.named(repository)}:v1`)
        return { ...place, repository }
      },
      asks: { key },
      isVerified: true,
    }),
  ),
  ...TOOLS.map(
    (tool): Case => ({
      name: `${tool}, tag: a copy by crane, of the image and of the tag of its signatures`,
      tool,
      form: 'tag',
      make: async (scene, place) => {
        await scene.sign(tool, 'tag', place)
        const repository = `${place.repository}/copy`
        const copy = (from: string, tag: string) =>
          scene.run('crane', '--insecure', 'copy', from, `${scene.named(repository)}:${tag}`)
        const tag = `${place.digest.replace(':', '-')}.sig`
        await copy(scene.at(place), 'v1')
        await copy(`${scene.named(place.repository)}:${tag}`, tag)
        return { ...place, repository }
      },
      asks: { key },
      isVerified: true,
    }),
  ),
  ...TOOLS.map(
    (tool): Case => ({
      name: `${tool}, bundle: a copy by oras with what is attached`,
      tool,
      form: 'bundle',
      make: async (scene, place) => {
        await scene.sign(tool, 'bundle', place)
        const repository = `${place.repository}/copy`
        const plain = ['--from-plain-http', '--to-plain-http']
        const to = `${scene.named(repository)}:v1`
        await scene.run('oras', 'cp', '--recursive', ...plain, scene.at(place), to)
        return { ...place, repository }
      },
      asks: { key },
      isVerified: true,
    }),
  ),
  ...each('a copy inside the registry', ({ tool, form }) => ({
    make: async (scene, place) => {
      await scene.sign(tool, form, place)
      const repository = `${place.repository}/copy`
      const from = { repository: place.repository, reference: place.digest }
      const body = JSON.stringify({ from, to: { repository, tag: 'v1' } })
      const headers = { 'Content-Type': 'application/json' }
      await scene.client.request('POST', '/admin/copy', { headers, body })
      return { ...place, repository }
    },
    asks: { key },
    isVerified: true,
  })),
]

/** The first kind of referrers, which cosign 2 has behind a switch. */
const REFERRERS: readonly Case[] = [key, STRANGER].map((signer) => ({
  name: `cosign2, referrer of its first kind: a signature of a key ${signer}`,
  tool: 'cosign2',
  form: 'tag',
  make: async (scene, place) => {
    const mode = ['--registry-referrers-mode', 'oci-1-1']
    await scene.run(
      'env',
      EXPERIMENTAL,
      'cosign2',
      'sign',
      ...signArgs('cosign2', signer),
      ...mode,
      scene.at(place),
    )
    return undefined
  },
  asks: { key },
  isVerified: signer === key,
  verifies: (scene, place) =>
    scene.succeeds(
      'env',
      EXPERIMENTAL,
      'cosign2',
      'verify',
      ...verifyArgs(key),
      '--experimental-oci11',
      scene.at(place),
    ),
}))

export const CASES: readonly Case[] = [
  ...KEYS,
  ...ATTESTATIONS,
  ...BAD,
  ...INDEXES,
  ...COPIES,
  ...REFERRERS,
]

/** The bundle about one image, as if it were about another: only who carries it is changed. */
async function readdressed(scene: Scene, from: Place, to: Place): Promise<object> {
  const { manifest } = await scene.referrer(from)
  return { ...manifest, subject: { ...manifest.subject!, digest: to.digest } }
}

/** The words say the other image, the signature stays. */
async function forgeTag(scene: Scene, from: Place, to: Place): Promise<void> {
  const manifest = await scene.tagged(from, 'sig')
  const [layer] = manifest.layers
  const payload = await scene.blob(from.repository, layer!.digest)
  const forged = payload.toString().replaceAll(from.digest, to.digest)
  const { digest, size } = await scene.client.pushBlob(to.repository, forged)
  await scene.put(to, { ...manifest, layers: [{ ...layer!, digest, size }] }, 'sig')
}

async function forgeBundle(scene: Scene, from: Place, to: Place): Promise<void> {
  const { manifest } = await scene.referrer(from)
  const [layer] = manifest.layers
  const bundle = JSON.parse((await scene.blob(from.repository, layer!.digest)).toString()) as {
    dsseEnvelope: { payload: string }
  }
  const words = Buffer.from(bundle.dsseEnvelope.payload, 'base64').toString()
  const hex = (place: Place) => place.digest.slice('sha256:'.length)
  const forged = Buffer.from(words.replaceAll(hex(from), hex(to))).toString('base64')
  bundle.dsseEnvelope.payload = forged
  const { digest, size } = await scene.client.pushBlob(to.repository, JSON.stringify(bundle))
  const subject = { ...manifest.subject!, digest: to.digest }
  await scene.put(to, { ...manifest, subject, layers: [{ ...layer!, digest, size }] })
}
