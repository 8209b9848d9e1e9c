/**
 * A witness with an ear on each node: pods reach it by the same address everywhere, without the node's cable. So it hears also what
 * runs on a node that is cut off. The senders' own times bring the ears' reports into order.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { NODES, type NodeName, netnsOf, netnsPath } from '../places.ts'
import { run } from '../run.ts'
import { type Report, readLedger } from './witness.ts'

const ADDRESS = '10.77.1.1'
const PORT = 7777

export interface NodeWitness {
  /** `address:port` for the program's argument. */
  readonly target: string
  /** @param at milliseconds since the epoch. @returns what was sent since, oldest first */
  since(at: number): Report[]
  /** Listens on a node that was booted again. */
  listen(node: NodeName): Promise<void>
  close(): void
}

export async function startNodeWitness(): Promise<NodeWitness> {
  const reports: Report[] = []
  const ears = new Map<NodeName, ChildProcess>()

  const listen = async (node: NodeName): Promise<void> => {
    ears.get(node)?.kill()
    await run(['ip', '-n', netnsOf(node), 'addr', 'replace', `${ADDRESS}/32`, 'dev', 'lo'])
    const ear = [process.execPath, join(import.meta.dirname, 'ear.ts'), ADDRESS, String(PORT)]
    const child = spawn('nsenter', [`--net=${netnsPath(node)}`, '--', ...ear], { stdio: ['pipe', 'pipe', 'inherit'] })
    ears.set(node, child)
    const lines = createInterface({ input: child.stdout })
    const listening = once(lines, 'line')
    lines.on('line', (line) => {
      const [from = '', heardAt = '', ...text] = line.split(' ')
      if (text.length > 0) reports.push(readLedger(text.join(' '), from, Number(heardAt)))
    })
    const ended = once(child, 'exit').then(() => {
      throw new Error(`the witness cannot listen on ${node}`)
    })
    await Promise.race([listening, ended])
    ended.catch(() => {})
  }

  await Promise.all(NODES.map(listen))
  return {
    target: `${ADDRESS}:${PORT}`,
    since(at) {
      const first = reports.findIndex((report) => report.at >= at)
      return first < 0 ? [] : inOrder(reports.slice(first).filter((report) => report.at >= at))
    },
    listen,
    close() {
      for (const ear of ears.values()) ear.kill()
    },
  }
}

const inOrder = (reports: Report[]): Report[] => reports.sort((a, b) => a.at - b.at)
