/**
 * Real restores by a real containerd. Needs the lab and the network of its node 2:
 *
 *   nsenter --net=/run/netns/podferry-node-2 node --test src/agent/destination/restore.component.test.ts
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { eventually } from '../../../lab/scenario/eventually.ts'
import { counterPod, removePod, runPod } from '../../../lab/scenario/pods.ts'
import { condition, isTrue } from '../../api/conditions.ts'
import type { Pod } from '../../api/pod.ts'
import { checkpointImageReference } from '../../oci/repository.ts'
import { POD_UID_LABEL } from '../runtime/cri.ts'
import { leaveAlias } from './images.ts'
import { openLab } from './testing/lab.ts'

const NAME = `restore-${process.pid}`
const lab = await openLab()

const last = (log: string) => Number(log.trim().split('\n').at(-1)?.match(/\d+/)?.[0])

describe('a restore in the lab', { skip: lab ? false : 'not in the network of a lab node with a registry' }, () => {
  if (!lab) return
  let source: Pod
  let archive = ''
  const made: string[] = []

  before(async () => {
    source = await runPod(lab.client, counterPod({ name: NAME, node: 'node-1' }))
    await eventually('the counter counts', async () => last(await lab.logOf(source)) > 20)
    archive = await lab.checkpoint(source)
  })
  after(async () => {
    for (const name of [NAME, ...made]) await removePod(lab.client, 'default', name)
    await rm(archive, { force: true })
    await lab[Symbol.asyncDispose]()
  })

  /** Up to the commit. */
  const deliver = async (archivePath: string) => {
    const migration = await lab.accept(source)
    await lab.until(
      migration,
      (status) => lab.isSettled('DestinationReady')(status) || status.destination?.imagesMissing !== undefined,
    )
    const missing = (await lab.fresh(migration)).status?.destination?.imagesMissing
    if (missing) {
      const name = `${NAME}-pull`
      made.push(name)
      await runPod(lab.client, counterPod({ name, node: 'node-2' }))
    }
    const ready = await lab.until(migration, lab.isSettled('DestinationReady'))
    assert.equal(condition(ready.status, 'DestinationReady')?.message, 'images, runtime, registry and disk are ready')
    await lab.decide(migration, 'Checkpointed', 'True')
    const sent = await lab.send(migration, archivePath)
    const delivered = await lab.until(migration, lab.isSettled('Delivered'))
    assert.equal(delivered.status?.containers?.[0]?.digest, sent.manifestDigest)
    assert.equal(condition(delivered.status, 'Delivered')?.reason, 'FoundInRegistry')
    await lab.decide(migration, 'Committed', 'True')
    return migration
  }

  const nothingIsLeft = async (uid: string, archivePath = archive) => {
    assert.deepEqual(await lab.images.namesUnder(`localhost:5577/podferry/default/${uid}`), [])
    const registry = join(lab.hostRoot, 'var/lib/podferry/registry/docker/registry/v2')
    assert.deepEqual(await readdir(join(registry, 'repositories/podferry/default', uid)).catch(() => []), [])
    const layer = createHash('sha256')
      .update(await readFile(archivePath))
      .digest('hex')
    const blobs = [
      join(registry, 'blobs/sha256', layer.slice(0, 2), layer),
      join(lab.hostRoot, 'var/lib/containerd/io.containerd.content.v1.content/blobs/sha256', layer),
    ]
    for (const blob of blobs) assert.equal(await stat(blob).catch(() => undefined), undefined, `${blob} is gone`)
  }

  const end = async (pod: Pod) => {
    await removePod(lab.client, 'default', pod.metadata.name)
  }

  it('goes on from the checkpoint, and is an ordinary pod afterwards', async () => {
    const migration = await deliver(archive)
    const before = Date.now()
    const pod = await lab.createDestination(migration, source)
    made.push(pod.metadata.name)
    const restored = await lab.until(migration, lab.isSettled('Restored'))
    assert.ok(isTrue(restored.status, 'Restored'), condition(restored.status, 'Restored')?.message)
    const restoredAt = Date.parse(restored.status?.timings?.restoredAt ?? '')
    assert.ok(
      restoredAt > before && restoredAt < Date.now(),
      `${restored.status?.timings?.restoredAt} is when it was restored`,
    )

    const cleaned = await lab.until(migration, ({ destination }) => destination?.cleanedAt !== undefined)
    const reference = checkpointImageReference({
      namespace: 'default',
      migrationUID: migration.metadata.uid,
      container: 'main',
    })
    assert.deepEqual(await lab.images.namesUnder(reference.replace(':checkpoint', '')), [reference])
    const base = await lab.images.get(cleaned.status?.containers?.[0]?.imageID ?? '')
    assert.equal((await lab.images.get(reference))?.target.digest, base?.target.digest)

    const [running] = await lab.cri.containers({ [POD_UID_LABEL]: pod.metadata.uid })
    assert.equal(running?.state, 'CONTAINER_RUNNING')
    await eventually('the old lines are there too', async () => last(await lab.logOf(pod)) > 20)

    // It dies: kubelet starts it again, afresh, from the image that its pod names.
    const victim = await eventually('the counter of the destination is found', () => processOf(running?.id ?? ''))
    process.kill(victim, 'SIGKILL')
    const fresh = await eventually('the container is started again', async () => {
      const attempts = await lab.cri.containers({ [POD_UID_LABEL]: pod.metadata.uid })
      return attempts.find(({ metadata, state }) => metadata.attempt > 0 && state === 'CONTAINER_RUNNING')
    })
    assert.equal(fresh.annotations.restored, undefined)
    const log = await eventually('it counts', async () => (await lab.logOf(pod)) || undefined)
    assert.match(log, /^\D*[01]\b/, 'it counts from the beginning')

    await lab.handler.sweep()
    assert.deepEqual(await lab.images.namesUnder(reference), [reference], 'the alias stays while its pod does')
    await end(pod)
    await lab.decide(migration, 'Succeeded', 'True')
    await lab.handler.sweep()
    await nothingIsLeft(migration.metadata.uid)
    assert.ok(await lab.cri.image(cleaned.status?.containers?.[0]?.imageID ?? ''), 'the base image stays')
  })

  it("that fails is told in CRIU's words, and leaves nothing that could start", async () => {
    const broken = join(lab.folder, 'broken.tar')
    await writeFile(broken, spoil(await readFile(archive), /^checkpoint\/(core-\d+|pstree|files)\.img$/))
    const migration = await deliver(broken)
    const pod = await lab.createDestination(migration, source)
    made.push(pod.metadata.name)
    const failed = await lab.until(migration, lab.isSettled('Restored'), 90)
    const { status, message = '' } = condition(failed.status, 'Restored') ?? {}
    assert.equal(status, 'False')
    assert.match(message, /criu failed/)
    assert.match(failed.status?.failure?.criuLog?.join('\n') ?? '', /Error \(/)

    // The pod is still there: no word yet that nothing can run.
    await lab.handler.reconcile(await lab.fresh(migration))
    assert.equal((await lab.fresh(migration)).status?.destination?.removedAt, undefined)
    await end(pod)
    await lab.until(
      migration,
      ({ destination }) => destination?.removedAt !== undefined && destination.cleanedAt !== undefined,
    )
    const sandboxes = await lab.sandboxesOf(migration)
    assert.ok(sandboxes.every(({ state }) => state === 'SANDBOX_NOTREADY'))
    await nothingIsLeft(migration.metadata.uid, broken)
  })

  it('is not believed when the container was started afresh', async () => {
    const migration = await deliver(archive)
    const name = { namespace: 'default', migrationUID: migration.metadata.uid, container: 'main' }
    await leaveAlias(lab.deps, name, migration.status?.containers?.[0]?.imageID ?? '')
    const pod = await lab.createDestination(migration, source)
    made.push(pod.metadata.name)
    const failed = await lab.until(migration, lab.isSettled('Restored'))
    assert.equal(condition(failed.status, 'Restored')?.reason, 'ColdStart')
    await end(pod)
    await lab.until(migration, ({ destination }) => destination?.removedAt !== undefined)
    await nothingIsLeft(migration.metadata.uid)
    assert.ok(await lab.cri.image(migration.status?.containers?.[0]?.imageID ?? ''), 'the base image stays')
  })

  it('that is aborted leaves nothing, wherever it was', async () => {
    const migration = await lab.accept(source)
    await lab.until(migration, lab.isSettled('DestinationReady'))
    await lab.decide(migration, 'Checkpointed', 'True')
    await lab.send(migration, archive)
    await lab.decide(migration, 'Committed', 'False')
    await lab.until(migration, ({ destination }) => destination?.cleanedAt !== undefined)
    await nothingIsLeft(migration.metadata.uid)
    await assert.rejects(lab.send(migration, archive), { reason: 'AlreadyDecided' })
  })
})

/** @returns the host's process ID of a container's first process on a node */
async function processOf(containerID: string): Promise<number | undefined> {
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    const cgroup = await readFile(`/proc/${entry}/cgroup`, 'utf8').catch(() => '')
    if (cgroup.includes(containerID)) return Number(entry)
  }
  return undefined
}

/** Overwrites the contents of some members of a tar archive. */
function spoil(tar: Buffer, which: RegExp): Buffer {
  for (let at = 0; at + 512 <= tar.length; ) {
    const name = tar.toString('utf8', at, at + 100).replace(/\0.*$/s, '')
    const size = Number.parseInt(tar.toString('ascii', at + 124, at + 136), 8) || 0
    if (which.test(name)) tar.fill(0xff, at + 512, at + 512 + size)
    at += 512 + Math.ceil(size / 512) * 512
  }
  return tar
}
