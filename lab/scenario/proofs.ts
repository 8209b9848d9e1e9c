/** What a scenario must show before it may call a move a success. Each proof is a sentence and whether it holds. */
import { condition } from '../../src/api/conditions.ts'
import type { Migration } from '../../src/api/migration.ts'
import type { KubeClient } from '../../src/kube/client.ts'
import { kubectl } from '../cluster.ts'
import { podOrUndefined, restarts } from './pods.ts'

export interface Proof {
  sentence: string
  holds: boolean
}

/** @returns the numbers that a counter has printed, as kubectl logs shows them */
export async function countedBy(pod: string, namespace = 'default'): Promise<number[]> {
  const log = await kubectl(['logs', '-n', namespace, pod, '--tail=-1'])
  return log.split('\n').filter(Boolean).map(Number)
}

/** @returns redis' own digest of the whole dataset */
export const redisDigest = async (pod: string): Promise<string> =>
  (await kubectl(['exec', pod, '--', '/usr/bin/redis-cli', 'debug', 'digest'])).trim()

/** Every number follows the one before it: nothing lost, doubled or begun again. */
export const isUnbroken = (numbers: readonly number[]): boolean =>
  numbers.length > 1 && numbers.every((number, index) => index === 0 || number === (numbers[index - 1] ?? 0) + 1)

/** What holds for every move, whatever the program. */
export async function proofsOfMove(client: KubeClient, migration: Migration): Promise<Proof[]> {
  const { status, metadata, spec } = migration
  const namespace = metadata.namespace ?? 'default'
  const source = await podOrUndefined(client, namespace, spec.podName)
  const destination = await podOrUndefined(client, namespace, status?.destination?.podName ?? '-')
  const summary = condition(status, 'Succeeded')
  return [
    { sentence: `Succeeded is ${summary?.status}: ${summary?.message}`, holds: summary?.status === 'True' },
    { sentence: 'source pod gone', holds: source === undefined || source.metadata.uid !== status?.source?.podUID },
    {
      sentence: `destination runs on ${destination?.spec.nodeName} with ${destination ? restarts(destination) : '?'} restarts`,
      holds: destination?.status?.phase === 'Running' && restarts(destination) === 0,
    },
  ]
}
