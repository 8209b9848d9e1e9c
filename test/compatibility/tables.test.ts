import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Seen } from '../../lab/scenario/compatibility.ts'
import { withTables } from './tables.ts'

const PAGE = `# Page

<!-- measured: made by make compatibility, do not edit -->
old
<!-- /measured -->
after
`
const SEEN: Seen[] = [
  { kind: 'feature', what: '`tty: true`', result: 'refused', checked: 'Terminal: a | b' },
  { kind: 'feature', what: 'emptyDir', result: 'moves', checked: 'files by checksum', downtimesMs: [500, 600] },
  { kind: 'program', what: 'redis', result: 'moves', checked: 'digest', downtimesMs: [700] },
]

test('the tables take the place of those of an earlier run, what moves first', () => {
  const page = withTables(PAGE, SEEN)
  assert.doesNotMatch(page, /old/)
  assert.match(page, /### Programs[\s\S]*\| redis \| moves \| digest \| 700 \|\n\n### Pods/)
  assert.match(
    page,
    /\| emptyDir \| moves \| files by checksum \| 500, 600 \|\n\| `tty: true` \| refused \| Terminal: a \\\| b \| {2}\|/,
  )
  assert.match(page, /^# Page\n\n[\s\S]*<!-- \/measured -->\nafter\n$/)
  assert.equal(withTables(page, SEEN), page)
})

test('a page without marks, or a run that has seen nothing, changes nothing', () => {
  assert.throws(() => withTables('# Page\n', SEEN), /lacks its marks/)
  assert.throws(() => withTables(PAGE, []), /no test has told/)
})
