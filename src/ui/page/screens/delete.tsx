/**
 * @module The dialogs before something goes: what goes, what stays and why, what is freed when. Afterwards
 * the bar at the foot takes it back.
 */
import { useState } from 'preact/hooks'
import type { Explained } from '../core/answers.ts'
import { call, get, part } from '../core/api.ts'
import { useLoaded } from '../core/load.ts'
import { go, toScreen } from '../core/router.ts'
import { deleteTags, undoOperation } from '../core/undo.ts'
import { texts } from '../messages/catalogue.ts'
import { closeDialog } from '../parts/dialog.tsx'
import { offerUndo, say } from '../parts/notice.tsx'

/** Names that a dialog lists. */
const listedMax = 8

/** Tags whose fate a dialog asks for one by one. */
const explainedMax = 20

interface DeleteTagsProps {
  readonly repository: string
  readonly tags: readonly string[]
  readonly onDone: () => void
}

export function DeleteTags({ repository, tags, onDone }: DeleteTagsProps) {
  const t = texts.value
  const { problem, isBusy, run } = useAction()
  const explained = useLoaded(tags.length > explainedMax ? undefined : tags.join(' '), (stop) =>
    Promise.all(
      tags.map(async (tag) => {
        const query = { of: `${repository}:${tag}` }
        const { verdicts } = await get<{ readonly verdicts: readonly Explained[] }>(
          'admin/explain',
          query,
          stop,
        ).catch(() => ({ verdicts: [] }))
        return { tag, verdict: verdicts.find(({ kind }) => kind === 'tag') }
      }),
    ),
  )
  const reasons = new Map(explained.value?.map(({ tag, verdict }) => [tag, verdict?.reason]))
  const submit = () =>
    run(async () => {
      const { operation, deleted, left } = await deleteTags(repository, tags)
      closeDialog()
      onDone()
      if (left.length > 0) say(t.keptTags(left.length, left[0]!.tag, left[0]!.reason))
      if (deleted.length === 0) return
      offerUndo({
        text: t.deletedTags(deleted.length, deleted[0]!),
        undo: async () => {
          const words = await undoOperation(operation)
          onDone()
          return words
        },
      })
    })
  return (
    <div class="form">
      <p>{t.deleteTagsOf(tags.length, repository)}</p>
      <ul class="names">
        {tags.slice(0, listedMax).map((tag) => (
          <li key={tag}>
            <code>{tag}</code>
            {reasons.get(tag) !== undefined && <span class="dim"> {reasons.get(tag)}</span>}
          </li>
        ))}
        {tags.length > listedMax && <li class="dim">{t.andMore(tags.length - listedMax)}</li>}
      </ul>
      <p class="dim">{t.deleteFrees}</p>
      <Buttons problem={problem} isBusy={isBusy} label={t.deleteCount(tags.length)} run={submit} />
    </div>
  )
}

export function DeleteRepository({ repository }: { readonly repository: string }) {
  const t = texts.value
  const { problem, isBusy, run } = useAction()
  const [typed, setTyped] = useState('')
  const submit = () =>
    run(async () => {
      await call('DELETE', `admin/repositories/${part(repository)}`, { body: { wait: true } })
      closeDialog()
      say(t.deletedRepository(repository))
      go(toScreen('repositories'))
    })
  return (
    <div class="form">
      <p>{t.deleteRepositoryWords}</p>
      <label class="field">
        <span>{t.typeName(repository)}</span>
        <input value={typed} onInput={(event) => setTyped(event.currentTarget.value)} />
      </label>
      <Buttons
        problem={problem}
        isBusy={isBusy || typed !== repository}
        label={t.delete}
        run={submit}
      />
    </div>
  )
}

/** What a dialog's button does, and what the server said when it refused. */
export function useAction() {
  const [problem, setProblem] = useState<string | undefined>(undefined)
  const [isBusy, setBusy] = useState(false)
  const run = async (act: () => Promise<void>) => {
    setBusy(true)
    setProblem(undefined)
    try {
      await act()
    } catch (error) {
      setProblem(error instanceof Error && error.message !== '' ? error.message : String(error))
    }
    setBusy(false)
  }
  return { problem, isBusy, run }
}

interface ButtonsProps {
  readonly problem: string | undefined
  readonly isBusy: boolean
  readonly label: string
  readonly run: () => void
}

export function Buttons({ problem, isBusy, label, run }: ButtonsProps) {
  return (
    <>
      {problem !== undefined && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      <div class="buttons">
        <button type="button" onClick={closeDialog}>
          {texts.value.cancel}
        </button>
        <button type="button" class="danger" disabled={isBusy} onClick={run}>
          {label}
        </button>
      </div>
    </>
  )
}
