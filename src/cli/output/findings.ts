/** Findings, pods and nodes of `podferry doctor` as text. Pure but for the width and colours of the stream. */
import { styleText } from 'node:util'
import { type Finding, isBlocking } from '../../api/finding.ts'
import type { NodeDiagnosis, PodDiagnosis } from '../diagnosis.ts'
import type { Io } from '../io.ts'
import { formatTable } from './table.ts'
import { formatBytes } from './units.ts'

type Stream = Io['stdout']

const WIDTH = 100
const widthOf = (stream: Stream) => (stream.isTTY ? Math.max(60, stream.columns ?? WIDTH) : WIDTH)

const COLOURS = { blocks: 'red', warns: 'yellow' } as const

/** @returns each finding in full: code and what, then why and remedy */
export function findingLines(findings: readonly Finding[], stream: Stream): string[] {
  const paragraph = (title: string, text: string) => wrapped(title, text, widthOf(stream))
  return findings.flatMap(({ code, severity, what, why, remedy }) => [
    styleText(COLOURS[severity], `  ${severity.padEnd(8)}${code}`, { stream }),
    ...paragraph('          what    ', what),
    ...paragraph('          why     ', why),
    ...paragraph('          remedy  ', remedy),
  ])
}

/** @returns the pod's head line and every finding */
export function explainPod(pod: PodDiagnosis, stream: Stream): string[] {
  const blocking = pod.findings.filter(isBlocking).length
  const to = pod.destination === undefined ? 'as far as can be seen from here' : `to ${pod.destination}`
  const verdict =
    blocking > 0
      ? styleText('red', `cannot move ${to}: ${blocking} finding${blocking > 1 ? 's' : ''} in the way`, { stream })
      : styleText('green', `can move ${to}${pod.mode === undefined ? '' : ` in mode ${pod.mode}`}`, { stream })
  const where = pod.node === undefined ? '' : ` on ${pod.node}`
  return [`pod ${pod.namespace}/${pod.name}${where} ${verdict}`, ...findingLines(pod.findings, stream)]
}

/** @returns lines, header first */
export function podTable(pods: readonly PodDiagnosis[], namespaces: boolean, stream: Stream): string[] {
  const rows = pods.map(({ namespace, name, node, mode, destination, findings }) => [
    ...(namespaces ? [namespace] : []),
    name,
    node,
    mode ?? 'no',
    mode === undefined ? undefined : destination,
    reasonOf(findings),
  ])
  const header = [...(namespaces ? ['NAMESPACE'] : []), 'POD', 'NODE', 'MOVES', 'TO', 'REASON']
  return fitted([header, ...rows], stream)
}

/** The first thing in the way, else how much there is to know. */
function reasonOf(findings: readonly Finding[]): string {
  const first = findings.find(isBlocking)
  if (first) return `${first.code}: ${first.what}`
  const codes = [...new Set(findings.map(({ code }) => code))]
  return codes.length === 0 ? '-' : `warns: ${codes.join(', ')}`
}

/** @returns a table of the nodes, then what is in the way of each */
export function nodeTable(nodes: readonly NodeDiagnosis[], stream: Stream): string[] {
  const yes = (value: boolean) => (value ? 'yes' : 'no')
  const rows = nodes.map(({ name, ready, agent, live, image, facts }) => [
    ...[name, yes(ready), yes(agent), yes(live), yes(image)],
    ...[facts?.runtime, facts?.criu, facts?.kernel?.split('-')[0]],
    facts?.memoryFreeBytes === undefined ? undefined : formatBytes(facts.memoryFreeBytes),
    facts?.diskFreeBytes === undefined ? undefined : formatBytes(facts.diskFreeBytes),
  ])
  const header = ['NODE', 'READY', 'AGENT', 'LIVE', 'IMAGE', 'RUNTIME', 'CRIU', 'KERNEL', 'MEMORY', 'DISK']
  const told = nodes.flatMap(({ name, findings }) =>
    findings.length === 0 ? [] : [`node ${name}`, ...findingLines(findings, stream)],
  )
  return [...fitted([header, ...rows], stream), ...told]
}

/** On a terminal the last column gives way; a file or another program gets all of it. */
const fitted = (rows: readonly (readonly (string | undefined)[])[], stream: Stream): string[] =>
  formatTable(rows, '  ').map((line) => {
    const width = stream.isTTY ? widthOf(stream) : Number.POSITIVE_INFINITY
    return line.length <= width ? line : `${line.slice(0, width - 1).trimEnd()}…`
  })

/** @param title stands before the first line; those below are indented by as much */
function wrapped(title: string, text: string, width: number): string[] {
  const lines: string[] = []
  let line = title
  let empty = true
  for (const word of text.split(' ')) {
    if (!empty && line.length + 1 + word.length > width) {
      lines.push(line)
      line = ' '.repeat(title.length)
      empty = true
    }
    line += empty ? word : ` ${word}`
    empty = false
  }
  return [...lines, line]
}
