import assert from 'node:assert/strict'
import { test } from 'node:test'
import { debianEntry, findMirror } from './debian.ts'

test('the mirror is found in both of the forms that apt reads', () => {
  const deb822 = 'Types: deb\n# URIs: http://old.example/debian\nURIs: http://one.example/debian\nSuites: bookworm\n'
  assert.equal(findMirror([deb822]), 'http://one.example/debian')
  assert.equal(findMirror(['deb [arch=amd64] https://two.example/debian/ sid main\n']), 'https://two.example/debian/')
  assert.equal(findMirror(['deb-src http://three.example/debian sid main']), undefined)
})

test('archives of other names are no Debian mirror', () => {
  const others = ['URIs: http://one.example/debian-security\n', 'deb https://packages.example/apt main\n']
  assert.equal(findMirror(others), undefined)
  assert.equal(findMirror([...others, 'URIs: http://one.example/debian']), 'http://one.example/debian')
})

test('another list of packages is another tree', () => {
  assert.notEqual(debianEntry('debian', ['criu']).stamp, debianEntry('debian', ['criu', 'jq']).stamp)
})
