/** Whether the running containerd has the handler, whatever its files say. */
import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import { RUNTIME_CLASS } from '../../api/names.ts'
import type { CriClient } from '../runtime/cri.ts'
import type { Table } from './containerd-config.ts'

/** What CRI's Status tells of containerd's configuration, as far as it is read. */
const configSchema = z.object({
  containerd: z.object({
    runtimes: z.record(
      z.string(),
      z.object({
        PodAnnotations: z.array(z.string()).nullish(),
        options: z.record(z.string(), z.unknown()).nullish(),
      }),
    ),
  }),
})

interface LoadedHandler {
  annotations: string[]
  options: Table
}

/** @throws PodferryError, see CriClient */
export async function loadedHandler(cri: Pick<CriClient, 'statusInfo'>): Promise<LoadedHandler | undefined> {
  const { config = '{}' } = await cri.statusInfo()
  const handler = configSchema.parse(JSON.parse(config)).containerd.runtimes[RUNTIME_CLASS]
  return handler && { annotations: handler.PodAnnotations ?? [], options: handler.options ?? {} }
}

/**
 * @param handler as the files have it
 * @throws PodferryError, see CriClient
 */
export async function isLoaded(cri: Pick<CriClient, 'statusInfo'>, handler: Table): Promise<boolean> {
  const loaded = await loadedHandler(cri)
  return (
    loaded !== undefined &&
    isDeepStrictEqual(loaded.annotations, handler.pod_annotations) &&
    isDeepStrictEqual(set(loaded.options), set(handler.options as Table))
  )
}

/** Options that are not empty: one side may spell out defaults. */
const set = (options: Table): Table => Object.fromEntries(Object.entries(options).filter(([, value]) => value))
