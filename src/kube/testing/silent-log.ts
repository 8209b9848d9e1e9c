import { pino } from 'pino'

/** A logger for tests of things that fail on purpose. */
export const silentLog = pino({ level: 'silent' })
