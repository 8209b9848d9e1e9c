/** What must hold in the instant before the kubelet is asked. Pure: throws the refusal or returns what the dump needs. */
import type { Migration } from '../../api/migration.ts'
import type { Pod } from '../../api/pod.ts'
import { PodferryError } from '../../errors.ts'

interface DumpTarget {
  pod: { name: string; uid: string }
  /** `id` as the runtime knows it, without `containerd://`. */
  container: { name: string; id: string }
}

/**
 * @param pod as the API server has it now; undefined when there is none of that name
 * @throws PodferryError `PodGone`, `PodReplaced`, `PodTerminating`, `PodNotRunning`, `SeveralContainers`, `ContainerNotRunning`
 */
export function dumpTarget(migration: Migration, nodeName: string, pod: Pod | undefined): DumpTarget {
  const { podName } = migration.spec
  const refuse = (reason: string, message: string) =>
    new PodferryError({ reason, message: `pod ${podName}: ${message}` })
  if (pod === undefined) throw refuse('PodGone', 'does not exist any more')
  if (pod.metadata.uid !== migration.status?.source?.podUID) {
    throw refuse('PodReplaced', 'is another one than the Migration was accepted for; make a new Migration')
  }
  if (pod.metadata.deletionTimestamp !== undefined) throw refuse('PodTerminating', 'is being deleted')
  if (pod.status?.phase !== 'Running' || pod.spec.nodeName !== nodeName) {
    throw refuse('PodNotRunning', `is ${pod.status?.phase ?? 'unknown'}; wait until it is Running on node ${nodeName}`)
  }
  const [container, ...others] = pod.spec.containers
  if (container === undefined || others.length > 0) {
    // The kubelet dumps one container after the other: their states would be of different moments.
    throw refuse('SeveralContainers', 'mode Image moves pods of one container; use mode Live')
  }
  const status = pod.status.containerStatuses?.find(({ name }) => name === container.name)
  const id = /^[a-z0-9-]+:\/\/([0-9a-zA-Z_.-]+)$/.exec(status?.containerID ?? '')?.[1]
  if (id === undefined || status?.state?.running === undefined) {
    throw refuse('ContainerNotRunning', `container ${container.name} is not running; wait until it is`)
  }
  return { pod: { name: podName, uid: pod.metadata.uid }, container: { name: container.name, id } }
}
