/** What the agents report of their nodes, held against each other. What was not reported is passed over. */
import { blocks, type Finding, warns } from '../../api/finding.ts'
import { factsOf, type NodeFacts } from '../../api/node-facts.ts'
import type { Candidate, Check } from './check.ts'
import { weightOf } from './weight.ts'

interface Report {
  node: string
  facts: NodeFacts
}

const reportsOf = ({ source, destination }: Candidate): Report[] =>
  [source, destination].flatMap((node) => {
    const facts = factsOf(node)
    return node && facts ? { node: node.metadata.name, facts } : []
  })

const eachNode =
  (check: (report: Report) => Finding | undefined): Check =>
  (candidate) =>
    reportsOf(candidate).flatMap((report) => check(report) ?? [])

/** @param check told only when both nodes have reported */
const pair =
  (check: (from: NodeFacts, to: NodeFacts, candidate: Candidate) => Finding | undefined): Check =>
  (candidate) => {
    const [from, to] = [factsOf(candidate.source), factsOf(candidate.destination)]
    return from && to ? check(from, to, candidate) : undefined
  }

const criu = eachNode(({ node, facts }) =>
  facts.criu === ''
    ? blocks(
        'CriuMissing',
        `node ${node} has no working criu on the runtime's PATH`,
        'it is what dumps and restores processes',
        'install CRIU 4.2 or newer there',
      )
    : facts.criuCheck
      ? blocks(
          'CriuCheckFailed',
          `criu check fails on node ${node}`,
          facts.criuCheck,
          'run `criu check` there; most often CRIU is too old for the kernel, or the kernel lacks CONFIG_CHECKPOINT_RESTORE',
        )
      : undefined,
)

const cpu = pair((from, to, { destinationName }) => {
  if (!from.cpu || !to.cpu) return undefined
  const there = new Set(to.cpu.split(' '))
  const missing = from.cpu.split(' ').filter((flag) => !there.has(flag))
  return missing.length === 0
    ? undefined
    : blocks(
        'CpuDiffers',
        `the processor of node ${destinationName} lacks ${missing.slice(0, 8).join(', ')}${missing.length > 8 ? `, and ${missing.length - 8} more` : ''}`,
        'the program may have found them at the source and would die of them',
        'choose a node of the same kind of processor, or a newer one',
      )
})

const cgroup = pair((from, to) =>
  from.cgroup === undefined || to.cgroup === undefined || from.cgroup === to.cgroup
    ? undefined
    : blocks(
        'CgroupVersionDiffers',
        `source has cgroup version ${from.cgroup}, destination version ${to.cgroup}`,
        'the container has the mounts of one, and a restore needs the same',
        'choose a node of the same version',
      ),
)

/** The first two numbers of a version: what comes behind changes no format. */
const release = (version = ''): readonly [number, number] | undefined => {
  const [, major, minor] = /(\d+)\.(\d+)/.exec(version) ?? []
  return major === undefined ? undefined : [Number(major), Number(minor)]
}

const isOlder = (version: string | undefined, than: string | undefined): boolean => {
  const [a, b] = [release(version), release(than)]
  return a !== undefined && b !== undefined && (a[0] < b[0] || (a[0] === b[0] && a[1] < b[1]))
}

const older =
  (code: string, what: string, of: (facts: NodeFacts) => string | undefined, why: string): Check =>
  (candidate) =>
    pair((from, to, { destinationName }) =>
      isOlder(of(to), of(from))
        ? warns(
            code,
            `${what} on node ${destinationName} is ${of(to)}, older than ${of(from)} at the source`,
            why,
            'upgrade it there, or choose another node',
          )
        : undefined,
    )(candidate)

const versions: readonly Check[] = [
  older('CriuOlder', 'CRIU', ({ criu: version }) => version, 'it may not know what the newer one has written'),
  older(
    'KernelOlder',
    'the kernel',
    ({ kernel }) => kernel,
    'the program may have found features that are missing there',
  ),
  older('RuntimeOlder', 'the container runtime', ({ runtime }) => runtime, 'restores were only tried with the same'),
  older('RuncOlder', 'runc', ({ runc }) => runc, 'restores were only tried with the same'),
]

const memory: Check = (candidate) => {
  const free = factsOf(candidate.destination)?.memoryFreeBytes
  const needed = weightOf(candidate.pod)
  return free === undefined || free >= needed
    ? undefined
    : blocks(
        'MemoryTooSmall',
        `node ${candidate.destinationName} has ${mebibytes(free)} of memory free`,
        `the pod asks for ${mebibytes(needed)}`,
        'choose another node, or free memory there',
      )
}

/** Two agents tell the seconds of the API server's clock, one each. */
const TOLERATED_SKEW_S = 2

const clock = pair((from, to, { destinationName }) => {
  if (from.clockAheadSeconds === undefined || to.clockAheadSeconds === undefined) return undefined
  const ahead = to.clockAheadSeconds - from.clockAheadSeconds
  return Math.abs(ahead) <= TOLERATED_SKEW_S
    ? undefined
    : warns(
        'ClockSkew',
        `the clock of node ${destinationName} is ${Math.abs(ahead)} s ${ahead > 0 ? 'ahead of' : 'behind'} the source's`,
        'the program sees time jump by as much, and the downtime that is told is wrong by as much',
        'set the clocks (chrony, systemd-timesyncd)',
      )
})

const kubeletTls = eachNode(({ node, facts }) =>
  facts.kubeletInsecureTls
    ? warns(
        'KubeletNotVerified',
        `the agent of node ${node} does not verify the kubelet's certificate (--kubelet-insecure-tls)`,
        'whoever can answer on port 10250 of the node gets its token',
        'give the agent the CA of the certificate: docs/operations.md',
      )
    : undefined,
)

const reported: Check = (candidate) =>
  [candidate.source, candidate.destination]
    .filter((node) => node !== undefined && candidate.snapshot.agents.has(node.metadata.name) && !factsOf(node))
    .map((node) =>
      warns(
        'NothingReported',
        `the agent of node ${node?.metadata.name} has not reported what the node can do`,
        'processor, memory, CRIU and clock are not compared',
        'wait until it has; its log says what keeps it',
      ),
    )

export const factChecks: readonly Check[] = [criu, cpu, cgroup, memory, ...versions, clock, kubeletTls, reported]

/** How often a checkpoint lies in the runtime's storage in mode Image; the agent asks for the registry's room too, see room.ts there. */
const COPIES = 3

export const disk: Check = ({ pod, destination, destinationName }) => {
  const free = factsOf(destination)?.diskFreeBytes
  const needed = COPIES * weightOf(pod)
  return free === undefined || free >= needed
    ? undefined
    : blocks(
        'DiskTooSmall',
        `node ${destinationName} has ${mebibytes(free)} of disk free`,
        `a checkpoint of ${mebibytes(weightOf(pod))} is there ${COPIES} times`,
        'free space there, choose another node, or use mode Live',
      )
}

const mebibytes = (bytes: number) => `${Math.ceil(bytes / 2 ** 20)} MiB`
