/** Real programs that tell a witness of their own state: `test/programs` holds their sources, a ConfigMap brings them into the pods. */
import { join } from 'node:path'
import { kubectl } from '../cluster.ts'
import { CHECKOUT } from '../places.ts'
import { barePod } from './pods.ts'
import type { Report } from './witness.ts'

const CONFIG_MAP = 'programs'
/** Where the programs find their sources. */
export const SOURCES = '/programs'

/** Puts the sources into the cluster; later ones replace earlier ones. */
export async function bringPrograms(): Promise<void> {
  const from = `--from-file=${join(CHECKOUT, 'test/programs')}`
  const object = await kubectl(['create', 'configmap', CONFIG_MAP, from, '--dry-run=client', '-o', 'json'])
  await kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], { input: object })
}

interface ProgramPod {
  name: string
  node: string
  image: string
  command: string[]
  /** The pod's seccomp profile. */
  seccomp: 'RuntimeDefault' | 'Unconfined'
}

/** A pod with the sources at `SOURCES` and an emptyDir at /data. */
export function programPod({ name, node, image, command, seccomp }: ProgramPod): ReturnType<typeof barePod> {
  const pod = barePod({ name, node, image, command })
  const volumes = [
    { name: 'programs', configMap: { name: CONFIG_MAP } },
    { name: 'data', emptyDir: {} },
  ]
  const volumeMounts = [
    { name: 'programs', mountPath: SOURCES },
    { name: 'data', mountPath: '/data' },
  ]
  Object.assign(pod.spec, { volumes, securityContext: { seccompProfile: { type: seccomp } } })
  for (const container of pod.spec.containers) Object.assign(container, { volumeMounts })
  return pod
}

/** @returns what the program said of itself in each report */
export const statesOf = <State>(reports: readonly Report[]): State[] =>
  reports.map(({ state }) => JSON.parse(state || '{}') as State)
