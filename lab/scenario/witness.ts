/**
 * A witness outside all pods: counters report every number to it by UDP. Two copies that run at once, a number lost,
 * doubled or counted from the start again can't hide from it.
 */
import { createSocket } from 'node:dgram'

export interface Report {
  /** Drawn by the program at its start and kept in its memory: a fresh start has another. */
  nonce: string
  number: number
  /** Address of the pod that sent it. */
  from: string
  /** Milliseconds since the epoch. */
  at: number
  /** What the program says about itself, as JSON; counters say something else here, or nothing. */
  state?: string
  /** What the program itself finds spoilt of what it has told before. */
  broken?: string
}

export interface Witness {
  /** `address:port` for the counter's argument. */
  readonly target: string
  readonly reports: readonly Report[]
  close(): Promise<void>
}

/** Listens on the lab's gateway address; the caller must be inside the lab's network namespace. */
export async function startWitness(address: string): Promise<Witness> {
  const reports: Report[] = []
  const socket = createSocket('udp4')
  // A test that fails before it closes its witness must still end.
  socket.unref()
  socket.on('message', (message, { address: from }) => {
    const [nonce = '', number = '', ...rest] = message.toString().trim().split(' ')
    reports.push({ nonce, number: Number(number), from, at: Date.now(), state: rest.join(' ') })
  })
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject)
    socket.bind(0, address, resolve)
  })
  return {
    target: `${address}:${socket.address().port}`,
    reports,
    close: () => new Promise((resolve) => socket.close(() => resolve())),
  }
}

/** A message waits less than that for an ear on the same node. One that took longer was stopped between the look at the clock and the sending. */
const QUEUED_MS = 300

/**
 * @param message `NONCE NUMBER PID MICROSECONDS VERDICT`, as the ledger sends it
 * @param heardAt milliseconds since the epoch
 */
export function readLedger(message: string, from: string, heardAt: number): Report {
  const [nonce = '', number = '', , microseconds = '', verdict = 'nothing'] = message.trim().split(' ')
  // The sender's own clock is the machine's, and it knows no waiting in a queue.
  const sentAt = Number(microseconds) / 1000
  const at = heardAt - sentAt > QUEUED_MS ? heardAt : sentAt
  return { nonce, number: Number(number), from, at, ...(verdict === 'ok' ? {} : { broken: verdict }) }
}

/**
 * Everything a witness can hold against a migration. Pure.
 *
 * @returns one sentence for each violation; empty when one single program counted without gap or repeat, one copy at a time
 */
export function violations(reports: readonly Report[]): string[] {
  const found: string[] = []
  const left = new Set<string>()
  let previous: Report | undefined
  for (const report of reports) {
    if (previous && report.nonce !== previous.nonce) found.push(`a fresh start: ${describe(report)} has another nonce`)
    if (previous && report.number !== previous.number + 1)
      found.push(`${describe(report)} follows ${describe(previous)}`)
    if (report.broken !== undefined && report.broken !== previous?.broken)
      found.push(`${describe(report)}: the program finds its ${report.broken} spoilt`)
    if (previous && report.from !== previous.from) left.add(previous.from)
    if (left.has(report.from)) found.push(`${describe(report)}: this copy had been left for another`)
    previous = report
  }
  return found
}

/**
 * What a witness holds against a migration that was undone after the commit: the destination ran for a moment and was ended, and the
 * source goes on from where it was frozen. The two must still never have run at once. Pure.
 */
export function violationsOfReturn(reports: readonly Report[]): string[] {
  const [first] = reports
  const away = reports.findIndex(({ from }) => from !== first?.from)
  const back = reports.findLastIndex(({ from }) => from !== first?.from) + 1
  if (away < 0) return violations(reports)
  const [before, there, after] = [reports.slice(0, away), reports.slice(away, back), reports.slice(back)]
  return [...violations([...before, ...after]), ...violations([...before.slice(-1), ...there])]
}

/** The power of a node was cut: what ran there may begin afresh there, once; nothing of before may go on there. */
export interface PowerCut {
  /** When it began and when it was over, milliseconds since the epoch. */
  at: number
  offAt: number
  /** Whether a pod with that address is on the node. */
  isThere(address: string): boolean
}

/**
 * What a witness holds against a migration during which the power of a node was cut: each program that began is judged by itself. Pure.
 *
 * @param judge `violations`, or `violationsOfReturn` where the migration says that it has undone the work since the commit
 */
export function violationsWithPowerCut(
  reports: readonly Report[],
  cut: PowerCut,
  judge: (reports: readonly Report[]) => string[],
): string[] {
  const nonce = reports[0]?.nonce
  const [old, fresh] = [
    reports.filter((report) => report.nonce === nonce),
    reports.filter((report) => report.nonce !== nonce),
  ]
  const first = fresh[0]
  const ghost = old.find(({ from, at }) => at > cut.offAt && cut.isThere(from))
  const excused = first === undefined || (first.at > cut.at && cut.isThere(first.from))
  return [
    ...(excused ? [] : [`a fresh start that no power cut excuses: ${describe(first)}`]),
    ...(ghost && fresh.length > 0 ? [`${describe(ghost)}: its node was switched off before`] : []),
    ...judge(old),
    ...violations(fresh),
  ]
}

/** The longest silence between two reports of different copies, in milliseconds: downtime as the outside saw it. */
export function longestHandover(reports: readonly Report[]): number {
  let longest = 0
  for (const [index, report] of reports.entries()) {
    const before = reports[index - 1]
    if (before && before.from !== report.from) longest = Math.max(longest, report.at - before.at)
  }
  return longest
}

const describe = ({ number, from }: Report) => `number ${number} from ${from}`
