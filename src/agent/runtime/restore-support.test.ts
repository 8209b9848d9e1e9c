import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { restoreSupport } from './restore-support.ts'

const on = JSON.stringify({ enableExperimentalRestoreViaCreate: true })
const off = JSON.stringify({ enableExperimentalRestoreViaCreate: false })
const SWITCH = /enable_experimental_restore_via_create = true/

describe('restoreSupport', () => {
  const cases: [
    sentence: string,
    name: string,
    version: string,
    config: string | undefined,
    refusal: RegExp | undefined,
  ][] = [
    ['containerd 1.7 cannot', 'containerd', '1.7.27', undefined, /upgrade to containerd 2\.3/],
    ['containerd 2.0 cannot', 'containerd', 'v2.0.5', undefined, /upgrade/],
    ['2.1.0 restores unasked', 'containerd', 'v2.1.0', '{}', undefined],
    ["Debian's 2.1.9 restores unasked", 'containerd', '2.1.9~ds1', '{}', undefined],
    ['2.2.6 restores unasked', 'containerd', '2.2.6', '{}', undefined],
    ['2.2.7 needs the switch', 'containerd', '2.2.7', off, SWITCH],
    ['2.2.7 with an unreadable configuration is taken as off', 'containerd', '2.2.7', 'not json', SWITCH],
    ['2.2.7 with the switch restores', 'containerd', '2.2.7', on, undefined],
    ['2.3.3 restores unasked', 'containerd', '2.3.3', undefined, undefined],
    ['2.3.4 needs the switch', 'containerd', 'v2.3.4', off, SWITCH],
    ['2.3.4 that tells nothing is taken as off', 'containerd', 'v2.3.4', undefined, SWITCH],
    ['2.3.4 with the switch restores', 'containerd', 'v2.3.4', on, undefined],
    ['2.3.10 is newer than 2.3.4', 'containerd', 'v2.3.10', undefined, SWITCH],
    ['a distribution that brought the switch to 2.3.3 is believed', 'containerd', '2.3.3-k3s1', off, SWITCH],
    ['CRIU turned off counts', 'containerd', '2.3.4', JSON.stringify({ enableCRIU: false }), /enable_criu = true/],
    ['2.4 lost it, betas too', 'containerd', '2.4.0-beta.0', on, /removed in 2\.4/],
    ['containerd 3 has it not either', 'containerd', '3.0.0', on, /removed in 2\.4/],
    ['CRI-O 1.29 is refused', 'cri-o', '1.29.1', undefined, /CRI-O 1\.30/],
    ['CRI-O 1.30 restores', 'cri-o', '1.30.0', undefined, undefined],
    ['CRI-O 1.36 restores', 'cri-o', '1.36.3', undefined, undefined],
    ['another runtime cannot', 'docker', '27.0.0', undefined, /use containerd/],
    ['a version that is none is named', 'containerd', 'main', on, /cannot be read/],
  ]
  for (const [sentence, runtimeName, runtimeVersion, config, refusal] of cases) {
    it(sentence, () => {
      const support = restoreSupport({ runtimeName, runtimeVersion }, config === undefined ? {} : { config })
      assert.equal(support.able, refusal === undefined)
      if (!support.able) {
        assert.match(support.message, refusal ?? /^$/)
        assert.ok(support.message.includes(`${runtimeName} ${runtimeVersion}`))
      }
    })
  }
})
