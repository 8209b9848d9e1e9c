/** core/v1 ConfigMap. */
import type { KubeObject, Resource } from '../../kube/resource.ts'

export interface ConfigMap extends KubeObject {
  data?: Record<string, string>
}

export const CONFIG_MAPS: Resource<ConfigMap> = { group: '', version: 'v1', plural: 'configmaps', namespaced: true }
