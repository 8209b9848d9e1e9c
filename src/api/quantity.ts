/** Kubernetes quantities of memory. */

const FACTORS: Readonly<Record<string, number>> = {
  '': 1,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
}

/** @returns bytes, or undefined for what is no quantity */
export function parseBytes(quantity: string): number | undefined {
  const [, number, suffix = ''] = /^(\d+(?:\.\d*)?|\.\d+)([A-Za-z]*)$/.exec(quantity) ?? []
  // `1e3` and `12E6` are allowed too; JavaScript reads them as Kubernetes does.
  const factor = FACTORS[suffix]
  if (number !== undefined && factor !== undefined) return Math.ceil(Number(number) * factor)
  return /^\d+(\.\d*)?[eE][+-]?\d+$/.test(quantity) ? Math.ceil(Number(quantity)) : undefined
}
