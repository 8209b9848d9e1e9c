import assert from 'node:assert/strict'
import { test } from 'node:test'
import { barChart } from './chart.ts'

test('ten times the time is a decade more of length, and texts are escaped', () => {
  const svg = barChart('downtime <of> moves', [
    { label: 'a & b', ms: 1_000 },
    { label: 'c', ms: 10_000 },
  ])
  const [first = 0, second = 0] = [...svg.matchAll(/<rect x="230" y="\d+" width="([\d.]+)"/g)].map((m) => Number(m[1]))
  assert.ok(Math.abs(second - 2 * first) < 0.5, `${first} and ${second}`)
  assert.match(svg, /downtime &lt;of&gt; moves/)
  assert.match(svg, /a &amp; b/)
})
