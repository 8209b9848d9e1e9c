/**
 * A node in a scratch folder: the real wrapper run by a real shell on a runc that only writes down how it was called, beneath a
 * kubelet and a runtime that are just large enough. Kubelet tries again, as the real one does.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Pod } from '../../../../api/pod.ts'
import type { ContainerState, CriContainer } from '../../../runtime/cri.ts'

export const POD_UID = 'bbbbbbbb-0000-4000-8000-000000000000'
export const CONTAINER = 'c'
const LABELS = { 'io.kubernetes.pod.uid': POD_UID }
const RETRY_MS = 30
const WRAPPER = new URL('../../../../../runtime/podferry-runc', import.meta.url)

export class ScratchNode {
  readonly hostRoot: string
  pod: Pod | undefined
  sandboxReady = true
  containers: CriContainer[] = []
  mounts = new Set<string>()
  #attempts = 0
  #wrapper: ChildProcess | undefined
  #restarts: Promise<void>[] = []

  private constructor(hostRoot: string, pod: Pod) {
    this.hostRoot = hostRoot
    this.pod = pod
  }

  static async make(pod: Pod): Promise<ScratchNode> {
    const hostRoot = await mkdtemp(join(tmpdir(), 'podferry-live-'))
    await symlink('/proc', join(hostRoot, 'proc'))
    await mkdir(join(hostRoot, 'opt/podferry/bin'), { recursive: true })
    const moved = (await readFile(WRAPPER, 'utf8')).replaceAll(/=\/(opt|run)\//g, `=${hostRoot}/$1/`)
    await writeFile(join(hostRoot, 'wrapper'), moved, { mode: 0o755 })
    const runc = `#!/bin/sh
for id; do :; done
work='' previous='' what=''
for word; do
  case $word in create | restore | start | delete) what=$word ;; esac
  [ "$previous" = --work-path ] && work=$word
  previous=$word
done
echo "$what $id" >>${hostRoot}/calls
[ "$what" = restore ] || exit 0
while [ -e ${hostRoot}/hang ]; do sleep 0.01; done
code=$(cat ${hostRoot}/code)
[ "$code" = 0 ] && echo '(00.1) Restore finished successfully. Tasks resumed.' >"$work/restore.log"
[ "$code" = 0 ] || echo '(00.1) Error (criu/files.c:1): Can'"'"'t open file x on restore' >"$work/restore.log"
exit "$code"
`
    await writeFile(join(hostRoot, 'opt/podferry/bin/runc'), runc)
    await chmod(join(hostRoot, 'opt/podferry/bin/runc'), 0o755)
    await writeFile(join(hostRoot, 'code'), '0')
    await writeFile(join(hostRoot, 'calls'), '')
    return new ScratchNode(hostRoot, pod)
  }

  /** What runc was called for, `start` and `delete` left out. */
  async calls(what?: 'create' | 'restore'): Promise<string[]> {
    const lines = (await readFile(join(this.hostRoot, 'calls'), 'utf8')).split('\n')
    return lines.filter((line) => (what ? line.startsWith(`${what} `) : /^(create|restore) /.test(line)))
  }

  get runs(): boolean {
    return this.containers.some(({ state }) => state === 'CONTAINER_RUNNING')
  }

  /** Kubelet makes the container, again and again until it runs, as long as it has the pod. */
  async startContainer(): Promise<void> {
    while (this.pod?.metadata.deletionTimestamp === undefined && this.pod && this.sandboxReady) {
      const container = await this.#newContainer()
      if ((await this.#runc('create', container.id)) === 0 && (await this.#runc('start', container.id)) === 0) {
        // Killed while it was being started.
        if (container.state === 'CONTAINER_CREATED') container.state = 'CONTAINER_RUNNING'
        return
      }
      container.state = 'CONTAINER_EXITED'
      await delay(RETRY_MS)
    }
  }

  /** kill -9 of the wrapper alone. */
  /** Resolves when it is gone. */
  async killWrapper(): Promise<void> {
    const wrapper = this.#wrapper
    if (!wrapper || wrapper.exitCode !== null || wrapper.signalCode !== null) return
    const gone = once(wrapper, 'exit')
    wrapper.kill('SIGKILL')
    await gone
  }

  /** SIGKILL for all processes of the pod: kubelet starts the container again. */
  killProcesses(): void {
    for (const container of this.containers) {
      if (container.state !== 'CONTAINER_RUNNING') continue
      container.state = 'CONTAINER_EXITED'
      this.#restarts.push(delay(1).then(() => this.startContainer()))
    }
  }

  /** The API server marks it; kubelet ends what runs, then confirms. */
  async deletePod(): Promise<void> {
    if (!this.pod || this.pod.metadata.deletionTimestamp !== undefined) return
    this.pod = { ...this.pod, metadata: { ...this.pod.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } }
    this.killProcesses()
    // A creation that is under way is waited for.
    while (this.containers.some(({ state }) => state === 'CONTAINER_CREATED')) {
      await delay(5)
      this.killProcesses()
    }
    await Promise.all(this.#restarts)
    this.sandboxReady = false
    this.pod = undefined
  }

  async close(): Promise<void> {
    this.sandboxReady = false
    await this.killWrapper()
    await rm(join(this.hostRoot, 'hang'), { force: true })
    await delay(20)
    await rm(this.hostRoot, { recursive: true, force: true, maxRetries: 5 })
  }

  sandboxes() {
    const state = this.sandboxReady ? ('SANDBOX_READY' as const) : ('SANDBOX_NOTREADY' as const)
    return [{ id: 's', metadata: { name: 'd', uid: POD_UID, namespace: 'ns', attempt: 0 }, state, labels: LABELS }]
  }

  async #newContainer(): Promise<CriContainer> {
    const attempt = this.#attempts++
    const id = attempt.toString(16).padStart(64, 'e')
    const state: ContainerState = 'CONTAINER_CREATED'
    const rest = {
      createdAt: '1',
      startedAt: '0',
      finishedAt: '0',
      exitCode: 0,
      reason: '',
      message: '',
      annotations: {},
    }
    const container: CriContainer = { id, metadata: { name: CONTAINER, attempt }, state, labels: LABELS, ...rest }
    this.containers.push(container)
    const annotations = {
      'podferry.dev/await': 'aaaaaaaa-0000-4000-8000-000000000000',
      'io.kubernetes.cri.container-type': 'container',
      'io.kubernetes.cri.container-name': CONTAINER,
      'io.kubernetes.cri.sandbox-uid': POD_UID,
    }
    await mkdir(join(this.hostRoot, `bundle/${id}/rootfs`), { recursive: true })
    await mkdir(join(this.hostRoot, `upper/${id}`), { recursive: true })
    await writeFile(join(this.hostRoot, `bundle/${id}/config.json`), JSON.stringify({ annotations, mounts: [] }))
    this.mounts.add(id)
    return container
  }

  async #runc(command: 'create' | 'start', id: string): Promise<number> {
    const bundle = join(this.hostRoot, 'bundle', id)
    const flags = command === 'create' ? ['--bundle', bundle, '--pid-file', `${bundle}/pid`] : []
    const child = spawn(join(this.hostRoot, 'wrapper'), [command, ...flags, id], { stdio: 'ignore' })
    if (command === 'create') this.#wrapper = child
    const [code] = await once(child, 'exit')
    return code ?? 137
  }
}
