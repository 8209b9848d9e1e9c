/** Where the kinds that podferry reads live in the API. */
import type { Resource } from '../kube/resource.ts'
import type { Migration } from './migration.ts'
import { GROUP, VERSION } from './names.ts'
import type { Job, Node, PersistentVolume, PersistentVolumeClaim, Pod, ReplicaSet, StatefulSet } from './pod.ts'

export const MIGRATIONS: Resource<Migration> = {
  group: GROUP,
  version: VERSION,
  plural: 'migrations',
  namespaced: true,
}
export const PODS: Resource<Pod> = { group: '', version: 'v1', plural: 'pods', namespaced: true }
export const NODES: Resource<Node> = { group: '', version: 'v1', plural: 'nodes', namespaced: false }
export const CLAIMS: Resource<PersistentVolumeClaim> = {
  group: '',
  version: 'v1',
  plural: 'persistentvolumeclaims',
  namespaced: true,
}
export const VOLUMES: Resource<PersistentVolume> = {
  group: '',
  version: 'v1',
  plural: 'persistentvolumes',
  namespaced: false,
}
export const REPLICA_SETS: Resource<ReplicaSet> = {
  group: 'apps',
  version: 'v1',
  plural: 'replicasets',
  namespaced: true,
}
export const STATEFUL_SETS: Resource<StatefulSet> = {
  group: 'apps',
  version: 'v1',
  plural: 'statefulsets',
  namespaced: true,
}
export const JOBS: Resource<Job> = { group: 'batch', version: 'v1', plural: 'jobs', namespaced: true }
