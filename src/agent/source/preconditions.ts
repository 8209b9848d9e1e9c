/** What must hold in the instant before the kubelet is asked. Pure: throws the refusal or returns what the dump needs. */
import type { Migration } from '../../api/migration.ts'
import { type Container, lastingContainers, lastingStatuses, type Pod } from '../../api/pod.ts'
import { PodferryError } from '../../errors.ts'

/** `id` as the runtime knows it, without `containerd://`. */
interface ContainerTarget {
  name: string
  id: string
}

interface DumpTarget {
  pod: { name: string; uid: string }
  container: ContainerTarget
}

/**
 * What mode Image dumps: a pod of one container.
 *
 * @param pod as the API server has it now; undefined when there is none of that name
 * @throws PodferryError `PodGone`, `PodReplaced`, `PodTerminating`, `PodNotRunning`, `SeveralContainers`, `ContainerNotRunning`
 */
export function dumpTarget(migration: Migration, nodeName: string, pod: Pod | undefined): DumpTarget {
  const running = runningPod(migration, nodeName, pod)
  const [container, ...others] = lastingContainers(running)
  if (container === undefined || others.length > 0) {
    // The kubelet dumps one container after the other: their states would be of different moments.
    throw refuse(running.metadata.name, 'SeveralContainers', 'mode Image moves pods of one container; use mode Live')
  }
  return { pod: nameOf(running), container: runningContainer(running, container) }
}

/**
 * What mode Live dumps: all containers of a pod at one moment.
 *
 * @throws PodferryError as `dumpTarget`, but for `SeveralContainers`
 */
export function liveTarget(migration: Migration, nodeName: string, pod: Pod | undefined) {
  const running = runningPod(migration, nodeName, pod)
  return {
    pod: nameOf(running),
    containers: lastingContainers(running).map((container) => runningContainer(running, container)),
  }
}

function runningPod(migration: Migration, nodeName: string, pod: Pod | undefined): Pod {
  const { podName } = migration.spec
  if (pod === undefined) throw refuse(podName, 'PodGone', 'does not exist any more')
  if (pod.metadata.uid !== migration.status?.source?.podUID) {
    throw refuse(podName, 'PodReplaced', 'is another one than the Migration was accepted for; make a new Migration')
  }
  if (pod.metadata.deletionTimestamp !== undefined) throw refuse(podName, 'PodTerminating', 'is being deleted')
  if (pod.status?.phase !== 'Running' || pod.spec.nodeName !== nodeName) {
    throw refuse(
      podName,
      'PodNotRunning',
      `is ${pod.status?.phase ?? 'unknown'}; wait until it is Running on node ${nodeName}`,
    )
  }
  return pod
}

function runningContainer(pod: Pod, container: Container): ContainerTarget {
  const status = lastingStatuses(pod).find(({ name }) => name === container.name)
  const id = /^[a-z0-9-]+:\/\/([0-9a-zA-Z_.-]+)$/.exec(status?.containerID ?? '')?.[1]
  if (id === undefined || status?.state?.running === undefined) {
    throw refuse(
      pod.metadata.name,
      'ContainerNotRunning',
      `container ${container.name} is not running; wait until it is`,
    )
  }
  return { name: container.name, id }
}

const nameOf = ({ metadata: { name, uid } }: Pod) => ({ name, uid })

const refuse = (podName: string, reason: string, message: string) =>
  new PodferryError({ reason, message: `pod ${podName}: ${message}` })
