/** The default bus driver: nothing to install, the event is written straight into the Migration. */
import type { EventPublisher } from './bus.ts'
import type { ImageEvent } from './event.ts'

/** @param record writes the event down; rejecting makes the registry tell the event again */
export const createKubernetesPublisher = (record: (event: ImageEvent) => Promise<void>): EventPublisher => ({
  publish: record,
  close: async () => {},
})
