/** The last step of `make compatibility FILE`: writes the tables of docs/compatibility.md from what the tests have told. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Seen } from '../../lab/scenario/compatibility.ts'
import { withTables } from './tables.ts'

const PAGE = join(import.meta.dirname, '../../docs/compatibility.md')
const [told = ''] = process.argv.slice(2)

const lines = (await readFile(told, 'utf8')).split('\n').filter(Boolean)
const seen = lines.map((line) => JSON.parse(line) as Seen)
await writeFile(PAGE, withTables(await readFile(PAGE, 'utf8'), seen))
console.log(`docs/compatibility.md: ${seen.length} rows`)
