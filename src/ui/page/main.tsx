/**
 * @module The entry of the pages: the frame is drawn once the language and the caller are known.
 */
import { render } from 'preact'
import { App } from './app.tsx'
import { askSession } from './core/session.ts'
import { chooseLanguage } from './messages/catalogue.ts'

async function start(): Promise<void> {
  await Promise.all([chooseLanguage(), askSession()])
  render(<App />, document.getElementById('app')!)
}

void start()
