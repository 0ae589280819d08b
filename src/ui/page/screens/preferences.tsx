/**
 * @module What a reader chooses in this browser, and the list of keys.
 */
import type { Signal } from '@preact/signals'
import { chosenLanguage, keys, theme } from '../core/settings.ts'
import { texts } from '../messages/catalogue.ts'

function Choice({
  label,
  of,
  options,
}: {
  readonly label: string
  readonly of: Signal<string>
  readonly options: readonly (readonly [value: string, text: string])[]
}) {
  return (
    <label class="field">
      <span>{label}</span>
      <select
        value={of.value}
        onChange={(event) => {
          of.value = event.currentTarget.value
        }}
      >
        {options.map(([value, text]) => (
          <option key={value} value={value} selected={value === of.value}>
            {text}
          </option>
        ))}
      </select>
    </label>
  )
}

export function Preferences() {
  const t = texts.value
  return (
    <div class="form">
      <Choice
        label={t.theme}
        of={theme}
        options={[
          ['system', t.asSystem],
          ['light', t.light],
          ['dark', t.dark],
        ]}
      />
      <Choice
        label={t.language}
        of={chosenLanguage}
        options={[
          ['system', t.asSystem],
          ['en', 'English'],
          ['de', 'Deutsch'],
        ]}
      />
      <Choice
        label={t.keysOfOneLetter}
        of={keys}
        options={[
          ['on', t.on],
          ['off', t.off],
        ]}
      />
      <h3>{t.keyList}</h3>
      <KeyList />
    </div>
  )
}

export function KeyList() {
  const t = texts.value
  const rows: readonly (readonly [string, string])[] = [
    ['/', t.keySearch],
    ['g h', t.keyHome],
    ['g r', t.keyRepositories],
    ['g a', t.keyActivity],
    ['j k ↓ ↑', t.keyMove],
    ['x', t.keyPick],
    ['Shift ↓', t.keyExtend],
    ['Enter', t.keyOpen],
    ['c', t.keyCopy],
    ['e', t.keyExplain],
    ['?', t.keyList],
  ]
  return (
    <dl class="keys">
      {rows.map(([key, what]) => (
        <div key={key}>
          <dt>
            <kbd>{key}</kbd>
          </dt>
          <dd>{what}</dd>
        </div>
      ))}
    </dl>
  )
}
