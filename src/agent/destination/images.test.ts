import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { checkpointImageReference } from '../../oci/repository.ts'
import { createFakeRuntime } from '../runtime/testing/fake-runtime.ts'
import { knownCheckpoints, leaveAlias, pointAlias, removeImage } from './images.ts'

const BASE = 'sha256:base'
const BASE_ID = `registry.test/counter@${BASE}`
const CHECKPOINT = 'sha256:checkpoint'
const main = { namespace: 'default', migrationUID: '5f2a1c3e-0000-4000-8000-000000000001', container: 'main' }
const reference = checkpointImageReference(main)

/** A node that has the base image and the checkpoint. */
function aNode() {
  const runtime = createFakeRuntime()
  runtime.pull('registry.test/counter:1', BASE)
  runtime.pull(reference, CHECKPOINT, { 'podferry.dev/migration-uid': main.migrationUID })
  const base = () => [...runtime.names].filter(([name, digest]) => digest === BASE && name !== reference).length
  const checkpoint = () => [...runtime.names.values()].filter((digest) => digest === CHECKPOINT).length
  return { runtime, base, checkpoint }
}

describe('an alias', () => {
  it('leads from the checkpoint name to the base image, and the checkpoint is gone', async () => {
    const { runtime, base, checkpoint } = aNode()
    await leaveAlias(runtime, main, BASE_ID)
    assert.equal(runtime.names.get(reference), BASE)
    assert.deepEqual([base(), checkpoint()], [3, 0])
  })

  it('may be pointed first and finished later, any number of times', async () => {
    const { runtime, base, checkpoint } = aNode()
    await pointAlias(runtime, main, BASE_ID)
    assert.equal(checkpoint(), 2)
    for (let times = 0; times < 3; times++) await leaveAlias(runtime, main, BASE_ID)
    assert.deepEqual([base(), checkpoint()], [3, 0])
  })

  it('is not made without the base image', async () => {
    const { runtime, checkpoint } = aNode()
    for (const [name, digest] of runtime.names) if (digest === BASE) runtime.names.delete(name)
    await assert.rejects(leaveAlias(runtime, main, BASE_ID), { reason: 'BaseImageMissing' })
    assert.equal(checkpoint(), 3)
  })

  it('is finished whatever a crash has left of it', async () => {
    for (const lost of [
      'sha256:checkpoint-config',
      `${reference.replace(':checkpoint', '')}@${CHECKPOINT}`,
      reference,
    ]) {
      const { runtime, base } = aNode()
      runtime.names.delete(lost)
      await leaveAlias(runtime, main, BASE_ID)
      assert.equal(runtime.names.get(reference), BASE)
      assert.equal(base(), 3)
    }
  })
})

describe('removeImage', () => {
  it('removes a checkpoint whole', async () => {
    const { runtime, base, checkpoint } = aNode()
    await removeImage(runtime, main)
    assert.deepEqual([base(), checkpoint()], [3, 0])
  })

  it('removes an alias and never the base image that it leads to', async () => {
    const { runtime, base } = aNode()
    await leaveAlias(runtime, main, BASE_ID)
    await removeImage(runtime, main)
    assert.equal(runtime.names.has(reference), false)
    assert.equal(base(), 3)
  })

  it('removes an alias that was pointed but not finished', async () => {
    const { runtime, base, checkpoint } = aNode()
    await pointAlias(runtime, main, BASE_ID)
    await removeImage(runtime, main)
    assert.deepEqual([base(), checkpoint()], [3, 0])
  })

  it('removes what a broken pull has left', async () => {
    const { runtime, base, checkpoint } = aNode()
    runtime.names.delete(`${reference.replace(':checkpoint', '')}@${CHECKPOINT}`)
    await removeImage(runtime, main)
    assert.deepEqual([base(), checkpoint()], [3, 0])
  })

  it('does nothing twice', async () => {
    const { runtime, base, checkpoint } = aNode()
    for (let times = 0; times < 2; times++) await removeImage(runtime, main)
    assert.deepEqual([base(), checkpoint()], [3, 0])
  })

  it('leaves the checkpoints of other containers alone', async () => {
    const { runtime } = aNode()
    const other = checkpointImageReference({ ...main, container: 'main2' })
    runtime.pull(other, 'sha256:other')
    await removeImage(runtime, main)
    assert.equal([...runtime.names.values()].filter((digest) => digest === 'sha256:other').length, 3)
    assert.deepEqual(await knownCheckpoints(runtime), [{ ...main, container: 'main2' }])
  })

  it('leaves everything to the CRI where the runtime is not containerd', async () => {
    const { runtime, checkpoint } = aNode()
    await removeImage({ cri: runtime.cri, images: undefined }, main)
    assert.equal(checkpoint(), 0)
  })
})
