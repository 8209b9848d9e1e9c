/** The dump: announced to the fence, made by the kubelet, and worth something only if the pod is frozen afterwards. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Migration } from '../../api/migration.ts'
import { MIGRATIONS, PODS } from '../../api/resources.ts'
import { PodferryError } from '../../errors.ts'
import { isNotFound } from '../../kube/error.ts'
import type { AgentContext } from '../context.ts'
import { dumpErrors } from '../criu-log.ts'
import type { PodCgroup } from '../fence/pod-cgroup.ts'
import { RUNC_CONF } from '../install/runc-conf.ts'
import { referenceOf } from '../status.ts'
import { archiveBytes, archivesOf, checkpointFolder } from './archives.ts'
import type { SourceDependencies } from './dependencies.ts'
import { checkDisk } from './disk.ts'
import type { SourceEntry } from './entry.ts'
import { failureFrom } from './failure.ts'
import { plan } from './plan.ts'
import { dumpTarget } from './preconditions.ts'
import { unwind } from './unwind.ts'

/** A freeze is complete when the last thread has left the kernel; CRIU has held all of them still, so it is a matter of milliseconds. */
const FREEZE_PATIENCE_MS = 5_000

/**
 * Checks everything that can be checked before the pod is touched.
 *
 * @returns the journal entry to begin with, or undefined when the Migration does not want a dump any more
 * @throws PodferryError the refusal
 */
export async function prepare(
  ctx: AgentContext,
  deps: SourceDependencies,
  { metadata }: Migration,
): Promise<SourceEntry | undefined> {
  const { client, hostRoot, nodeName, log } = ctx
  const migration = await client.get(MIGRATIONS, metadata.namespace, metadata.name)
  const view = { entry: undefined, task: undefined, pod: 'present', frozen: false } as const
  const wanted = plan({ ...view, status: migration.status ?? {} }).do === 'checkpoint'
  if (migration.metadata.uid !== metadata.uid || !wanted) return undefined

  const pod = await client.get(PODS, metadata.namespace, migration.spec.podName).catch((error) => {
    if (!isNotFound(error)) throw error
    return undefined
  })
  const target = dumpTarget(migration, nodeName, pod)
  await deps.install()
  const cgroup = await deps.fence.find(target.pod.uid)
  if (cgroup === undefined) throw cgroupNotFound(target.pod.name)
  await deps.preflight(cgroup)
  const memoryBytes = await deps.fence.memoryBytes(cgroup)
  if (memoryBytes === undefined) log.warn({ cgroup: cgroup.path }, 'memory use unknown; disk space is not checked')
  else await checkDisk(hostRoot, deps.kubeletRoot, memoryBytes)

  const reference = referenceOf(migration)
  const named = { namespace: reference.namespace, pod: target.pod.name, container: target.container.name }
  return {
    ...reference,
    ...target,
    cgroup,
    step: 'dumping',
    startedAt: ctx.now().toISOString(),
    foreignArchives: await archivesOf(hostRoot, checkpointFolder(deps.kubeletRoot), named),
    archives: [],
  }
}

/**
 * Makes the dump of a journalled entry. Afterwards the journal says `fenced` or `failed`, nothing between.
 *
 * @throws whatever keeps a failed dump from being unwound; the journal then still says `dumping`
 */
export async function dump(
  ctx: AgentContext,
  deps: SourceDependencies,
  entry: SourceEntry,
  timeoutSeconds: number,
): Promise<void> {
  const { fence, journal, kubelet } = deps
  try {
    await fence.announce(entry.cgroup, entry.uid)
    const frozenAt = ctx.now().toISOString()
    const path = await kubelet.checkpoint({
      namespace: entry.namespace,
      pod: entry.pod.name,
      container: entry.container.name,
      timeoutSeconds,
    })
    await verifyFence(deps, entry)
    const bytes = await archiveBytes(ctx.hostRoot, path)
    const archives = [{ container: entry.container.name, path, bytes }]
    await journal.write({ ...entry, step: 'fenced', frozenAt, archives })
  } catch (error) {
    const failed = { ...entry, failure: await failureOf(ctx, entry, error) }
    ctx.log.warn(
      { migration: entry.name, pod: entry.pod.name, reason: failed.failure.reason, err: error },
      'dump failed',
    )
    // The reason must outlive a crash in the unwinding, which may have to wait for the runtime. A full disk must not stop it.
    await journal.write(failed).catch((err) => ctx.log.error({ err }, 'the reason of a failed dump is not journalled'))
    await unwind(ctx, deps, failed)
  }
}

async function verifyFence({ fence }: SourceDependencies, { cgroup, uid }: SourceEntry): Promise<void> {
  const claim = await fence.withdraw(cgroup, uid)
  if (claim === 'withdrawn') throw fenceFailed(cgroup, 'the announcement was withdrawn or CRIU did not run the hook')
  if (claim === 'absent') throw fenceFailed(cgroup, 'the announcement has disappeared')
  for (const end = Date.now() + FREEZE_PATIENCE_MS; ; await delay(10)) {
    if (await fence.isFrozen(cgroup)) return
    if (Date.now() > end) throw fenceFailed(cgroup, `the cgroup is ${await fence.state(cgroup)} after the hook`)
  }
}

async function failureOf({ hostRoot, log }: AgentContext, entry: SourceEntry, error: unknown) {
  const criuLog = await dumpErrors(hostRoot, entry.container.id, Date.parse(entry.startedAt)).catch((err) => {
    log.warn({ err }, "CRIU's log cannot be read")
    return []
  })
  return failureFrom(error, criuLog)
}

const cgroupNotFound = (pod: string) =>
  new PodferryError({
    reason: 'PodCgroupNotFound',
    message: `pod ${pod}: no process on the node is in a cgroup with the pod's UID; the agent's pod needs hostPID: true and the node's root at --host-root`,
  })

const fenceFailed = (cgroup: PodCgroup, why: string) =>
  new PodferryError({
    reason: 'FenceFailed',
    message: `cgroup ${cgroup.path} was not frozen at the end of the dump: ${why}; CRIU must be 3.19 or newer and the OCI runtime must read ${RUNC_CONF} (runc, or crun 1.26 with libcriu 4.2)`,
  })
