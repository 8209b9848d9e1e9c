/** A token bucket: how long to wait so that no more than so many bytes a second pass. */

export interface Pace {
  /** @returns milliseconds to wait after these bytes; 0 while below the rate */
  spend(bytes: number, nowMs: number): number
}

/** What may pass at once after a quiet time, as a share of a second's worth. */
const BURST_SECONDS = 0.1

/** @param bytesPerSecond undefined: as fast as it goes */
export function createPace(bytesPerSecond: number | undefined): Pace {
  if (bytesPerSecond === undefined) return { spend: () => 0 }
  const burst = bytesPerSecond * BURST_SECONDS
  let tokens = burst
  let filledAt: number | undefined
  return {
    spend(bytes, nowMs) {
      const grown = ((nowMs - (filledAt ?? nowMs)) / 1000) * bytesPerSecond
      filledAt = nowMs
      tokens = Math.min(burst, tokens + grown) - bytes
      return tokens >= 0 ? 0 : (-tokens / bytesPerSecond) * 1000
    },
  }
}
