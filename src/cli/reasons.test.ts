import assert from 'node:assert/strict'
import { glob, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'

const ROOT = join(import.meta.dirname, '../..')
/** Where the reasons of conditions and of status.failure are born. */
const BIRTHPLACES = [
  'src/controller/checks/*.ts',
  'src/controller/steps/*.ts',
  'src/agent/preflight/judge.ts',
  'src/agent/{criu-log,kubelet,kubelet-errors}.ts',
  'src/agent/source/{checkpoint,disk,preconditions,report,unwind}.ts',
  'src/agent/source/live/{abort,cut,deliver,prepare,report,runc,send}.ts',
  'src/agent/destination/{observe,prepare}.ts',
  'src/agent/destination/live/{host-paths,lazy-pages,readiness,restore,room,root,stream,targets,verdict}.ts',
  'src/agent/destination/wrapped/*.ts',
]
/** As a field, as the first argument of a helper, as the last one, as a cell of a table, as a constant. */
const FORMS = [
  /\b(?:blocks|warns|found|older)\(\s*'([A-Z]\w+)'/g,
  /reason: (?:\w+ \? )?'([A-Z]\w+)'/g,
  /reason: [^,]*(?:\?\?|:) '([A-Z]\w+)'/g,
  /\b(?:fail|no|refuse)\('([A-Z]\w+)'/g,
  /giveUp\([^)]*'([A-Z]\w+)',?\s*\)/g,
  /^ +'([A-Z][a-z]\w*)',$/gm,
  /[/)], '([A-Z][a-z]\w*)', ['"]/g,
  /^export const [A-Z]+ = '([A-Z][a-z]\w*)'$/gm,
]
/** Successes and states on the way, which ask for nothing. */
const PEACEFUL = [
  'PreflightPassed',
  'InProgress',
  'Fenced',
  'Ready',
  'CheckpointDelivered',
  'SourcePodDeleted',
  'Staged',
  'Waiting',
  'Preparing',
]
/** What a pod of ours waits for, in the words of kubelet. */
const KUBELETS = /^(Err|.*(BackOff|Error)$|InvalidImageName)/

async function reasonsInCode(): Promise<Set<string>> {
  const reasons = new Set<string>()
  for await (const file of glob(BIRTHPLACES, { cwd: ROOT, exclude: (name) => name.endsWith('.test.ts') })) {
    const text = await readFile(join(ROOT, file), 'utf8')
    for (const form of FORMS) for (const [, reason = ''] of text.matchAll(form)) reasons.add(reason)
  }
  return new Set([...reasons].filter((reason) => !PEACEFUL.includes(reason) && !KUBELETS.test(reason)))
}

test('docs/reasons.md and docs/preflight.md have every reason of the code and no other', async () => {
  const pages = ['docs/reasons.md', 'docs/preflight.md'].map((page) => readFile(join(ROOT, page), 'utf8'))
  const text = (await Promise.all(pages)).join('\n')
  const words = (line: string) => [...line.matchAll(/`(\w+)`/g)].map(([, word = '']) => word)
  const rows = text.split('\n').filter((line) => line.startsWith('| `') && !line.startsWith('| `Succeeded'))
  const told = rows.flatMap((row) => words(row.split('|')[1] ?? ''))
  const known = await reasonsInCode()
  assert.ok(known.size > 70, `only ${known.size} reasons found: do the patterns still fit the code?`)
  assert.deepEqual({ missing: [...known].filter((reason) => !words(text).includes(reason)) }, { missing: [] })
  assert.deepEqual({ invented: told.filter((reason) => !known.has(reason)) }, { invented: [] })
})

/** How the helpers in the code tell the severity; `found` may be either. */
const SEVERITIES: Readonly<Record<string, string[]>> = {
  blocks: ['blocks'],
  warns: ['warns'],
  older: ['warns'],
  found: ['blocks', 'warns'],
}

test('docs/preflight.md has every finding with its severity', async () => {
  const page = await readFile(join(ROOT, 'docs/preflight.md'), 'utf8')
  const rows = page.split('\n').filter((line) => line.startsWith('| `'))
  let findings = 0
  for await (const file of glob(['src/controller/checks/*-checks.ts', 'src/agent/preflight/judge.ts'], { cwd: ROOT })) {
    const text = await readFile(join(ROOT, file), 'utf8')
    for (const [, helper = '', code = ''] of text.matchAll(/\b(blocks|warns|found|older)\(\s*'([A-Z]\w+)'/g)) {
      findings++
      const row = rows.find((line) => line.split('|')[1]?.includes(`\`${code}\``))
      for (const severity of SEVERITIES[helper] ?? []) {
        assert.ok(row?.split('|')[2]?.includes(severity), `${code} ${severity} of ${file}: ${row ?? 'no row'}`)
      }
    }
  }
  assert.ok(findings > 40, `only ${findings} findings found: does the pattern still fit the code?`)
})
