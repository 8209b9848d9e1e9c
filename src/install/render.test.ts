import assert from 'node:assert/strict'
import { test } from 'node:test'
import { splitImage } from './render.ts'

const DIGEST = `sha256:${'0a'.repeat(32)}`

const CASES: [string, object][] = [
  ['podferry', { newName: 'podferry', newTag: 'latest' }],
  ['podferry:dev', { newName: 'podferry', newTag: 'dev' }],
  ['10.0.0.1:5000/a/podferry', { newName: '10.0.0.1:5000/a/podferry', newTag: 'latest' }],
  ['10.0.0.1:5000/podferry:v1.2', { newName: '10.0.0.1:5000/podferry', newTag: 'v1.2' }],
  [`10.0.0.1:5000/podferry@${DIGEST}`, { newName: '10.0.0.1:5000/podferry', digest: DIGEST }],
  [`podferry:dev@${DIGEST}`, { newName: 'podferry', digest: DIGEST }],
]

for (const [image, parts] of CASES) {
  test(`${image} is taken apart`, () => assert.deepEqual(splitImage(image), parts))
}

for (const image of ['', ':tag', 'a b', 'podferry@sha256:short', '--evil']) {
  test(`"${image}" is refused`, () => assert.throws(() => splitImage(image), /is no image/))
}
