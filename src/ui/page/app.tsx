/**
 * @module The frame: top bar, rail, the screen of the address, dialogs and notices. Without a login that
 * is good for something it shows the login alone.
 */
import { useEffect, useRef } from 'preact/hooks'
import { loginsMissing } from './core/api.ts'
import { listenToKeys } from './core/keys.ts'
import { route, toScreen } from './core/router.ts'
import { askSession, logOut, sessionOf, standing } from './core/session.ts'
import { registryTitle } from './core/settings.ts'
import { texts } from './messages/catalogue.ts'
import { DialogHost, showDialog } from './parts/dialog.tsx'
import { Icon } from './parts/icon.tsx'
import { Notices } from './parts/notice.tsx'
import { Problem } from './parts/states.tsx'
import { Login } from './screens/login.tsx'
import { Preferences } from './screens/preferences.tsx'
import { isShown, pathsOf, SCREENS } from './screens/screens.tsx'

export function App() {
  const now = standing.value
  useEffect(listenToKeys, [])
  const missing = loginsMissing.value
  useEffect(() => {
    if (missing > 0) void askSession()
  }, [missing])
  if (now.kind === 'asking') return null
  if (now.kind === 'broken') return <Problem error={now.error} retry={askSession} />
  if (now.kind === 'out') return <Login hasEnded={now.wasIn} />
  return (
    <>
      <button type="button" class="skip" onClick={() => document.getElementById('main')?.focus()}>
        {texts.value.skip}
      </button>
      <Top />
      <div class="frame">
        <Rail />
        <Main />
      </div>
      <Notices />
      <DialogHost />
    </>
  )
}

function Top() {
  const t = texts.value
  const session = sessionOf()
  const name = session?.kind === 'user' ? (session.user ?? '?') : undefined
  return (
    <header class="top">
      <a class="brand" href={toScreen('home')}>
        <span class="logo" aria-hidden="true" />
        {registryTitle}
      </a>
      <form
        role="search"
        class="search"
        onSubmit={(event) => {
          event.preventDefault()
          const field = event.currentTarget.elements.namedItem('q') as HTMLInputElement
          location.hash = toScreen('repositories', { q: field.value.trim() })
        }}
      >
        <Icon name="search" />
        <input name="q" id="search" type="search" placeholder={t.search} aria-label={t.search} />
      </form>
      <button
        type="button"
        class="icon-button"
        aria-label={t.preferences}
        title={t.preferences}
        onClick={() => showDialog(t.preferences, () => <Preferences />)}
      >
        <Icon name="theme" />
      </button>
      {name === undefined ? (
        <span class="who">
          {session?.kind === 'open' ? (
            <span class="badge warn" title={t.openRegistryWhy}>
              {t.openRegistry}
            </span>
          ) : (
            <button type="button" onClick={() => (standing.value = { kind: 'out', wasIn: false })}>
              {t.logIn}
            </button>
          )}
        </span>
      ) : (
        <span class="who">
          <Icon name="user" />
          <span class="name">{name}</span>
          <button type="button" onClick={() => logOut()}>
            {t.logOut}
          </button>
        </span>
      )}
    </header>
  )
}

function Rail() {
  const t = texts.value
  const { screen } = route.value
  return (
    <nav class="rail" aria-label={t.screens}>
      {SCREENS.filter(isShown).map(({ id, title }) => {
        const isHere = pathsOf(id).includes(screen)
        return (
          <a key={id} href={toScreen(id)} aria-current={isHere ? 'page' : undefined}>
            {title(t)}
          </a>
        )
      })}
    </nav>
  )
}

function Main() {
  const { screen, repository, reference } = route.value
  const t = texts.value
  const main = useRef<HTMLElement>(null)
  const found = SCREENS.find(({ id }) => pathsOf(id).includes(screen))
  const isThere = found !== undefined && isShown(found)
  const place = `${screen} ${repository} ${reference}`
  const subject = reference === '' ? repository : `${repository} ${reference}`
  useEffect(() => {
    const words = [subject || (found?.title(t) ?? ''), registryTitle]
    document.title = words.filter((word) => word !== '').join(' · ')
  }, [subject, found, t])
  const before = useRef(place)
  useEffect(() => {
    if (before.current === place) return
    before.current = place
    // A new screen begins at its top, for readers of screens too.
    main.current?.focus({ preventScroll: true })
    main.current?.scrollTo(0, 0)
  }, [place])
  return (
    <main id="main" tabIndex={-1} ref={main} key={place}>
      {isThere ? (
        found.draw(screen)
      ) : (
        <div class="state">
          <h1>{t.noScreen}</h1>
          <a href={toScreen('home')}>{t.toHome}</a>
        </div>
      )}
    </main>
  )
}
