/**
 * @module The entry of the pages: draws the frame into the document.
 */
import { render } from 'preact'

const title = document.title

render(<h1>{title}</h1>, document.getElementById('app')!)
