import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { unreadNames } from './tar.ts'

describe('what tar says when it ends with 1', () => {
  const cases: [sentence: string, said: string, names: string[] | undefined][] = [
    ['nothing', '', []],
    ['a file that has gone', 'tar: ./a/b: File removed before we read it\n', ['./a/b']],
    ['a folder that has gone', 'tar: ./a/: File removed before we read it\n', ['./a']],
    ['a colon and a backslash in a name', 'tar: ./a\\:b\\\\c: File removed before we read it\n', ['./a:b\\c']],
    ['a byte beyond ASCII in a name', 'tar: ./\\303\\234: File removed before we read it\n', undefined],
    ['a line feed in a name', 'tar: ./a\\nb: File removed before we read it\n', undefined],
    ['a backslash, then a letter in a name', 'tar: ./a\\\\nb: File removed before we read it\n', ['./a\\nb']],
    [
      'what level 1 will see by itself',
      'tar: ./a: file changed as we read it\ntar: ./b: File shrank by 1 byte; padding with zeros\ntar: ./c: socket ignored\n',
      [],
    ],
    ['something else', 'tar: ./a: File removed before we read it\ntar: ./b: Something new\n', undefined],
  ]
  for (const [sentence, said, names] of cases) it(sentence, () => assert.deepEqual(unreadNames(said), names))
})
