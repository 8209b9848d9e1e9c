import type { KubeObject, Resource } from '../resource.ts'

/** The simplest real resource there is. */
export interface ConfigMap extends KubeObject {
  data?: Record<string, string>
  status?: { phase?: string; count?: number }
}

export const configMaps: Resource<ConfigMap> = { group: '', version: 'v1', plural: 'configmaps', namespaced: true }

/** A ConfigMap of namespace `default`. */
export function configMap(name: string, data: Record<string, string> = {}): ConfigMap {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace: 'default', name }, data }
}
