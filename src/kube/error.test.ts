import assert from 'node:assert/strict'
import { it } from 'node:test'
import { errorFromResponse, isConflict, isNotFound } from './error.ts'

const cases = [
  [
    'a Status with reason',
    403,
    '{"kind":"Status","reason":"Forbidden","message":"no pods for you"}',
    'Forbidden',
    'afterChange',
    /no pods for you; grant/,
  ],
  ['a body that is no Status', 404, '<html>proxy</html>', 'NotFound', 'afterChange', /GET \/x: <html>/],
  ['no body at all', 502, '', 'UnexpectedAnswer', 'backoff', /HTTP 502/],
  ['a Status without reason', 409, '{"kind":"Status","message":"busy"}', 'Conflict', 'backoff', /busy/],
  ['an expired version', 410, '{"kind":"Status","reason":"Gone","message":"old"}', 'Gone', 'backoff', /old/],
] as const

for (const [what, status, body, reason, retry, message] of cases) {
  it(`makes an error of ${what}`, () => {
    const error = errorFromResponse('GET', '/x', status, body)
    assert.equal(error.reason, reason)
    assert.equal(error.retry, retry)
    assert.match(error.message, message)
  })
}

it('does not take other errors for its own', () => {
  assert.equal(isNotFound(new Error('404')), false)
  assert.equal(isConflict(undefined), false)
})
