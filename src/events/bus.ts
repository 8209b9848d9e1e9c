/** The port between the event handler and whoever notes an arrival. Drivers: the API server itself, or Kafka. */
import type { ImageEvent } from './event.ts'

export interface EventPublisher {
  /** Resolves once the event is where it can't be lost any more; rejects so that the registry tells it again. */
  publish(event: ImageEvent): Promise<void>
  close(): Promise<void>
}

export interface EventConsumer {
  /**
   * Hands events to the handler until the signal aborts: at least once each, in order for one Migration. An event whose handler
   * rejects is handed over again.
   */
  consume(handler: (event: ImageEvent) => Promise<void>, signal: AbortSignal): Promise<void>
}
