/** The command line of `bin/lab`, read into one value a command. */
import { LabError } from './lab-error.ts'
import { isNodeName, MACHINES, type MachineName, type NodeName } from './places.ts'

export type NodeAction =
  | { do: 'stop' | 'start' | 'cut' | 'join' }
  | { do: 'slow'; rate: string | undefined }
  | { do: 'kill'; part: string }
  | { do: 'restore'; on: boolean }

export type PartAction = 'kill' | 'stop' | 'start' | 'pause' | 'resume'

export type Command =
  | { name: 'help' }
  | { name: 'up'; noRestore: NodeName[] }
  | { name: 'down'; force: boolean }
  | { name: 'status' }
  | { name: 'setup' }
  | { name: 'kubectl'; args: string[] }
  | { name: 'enter'; argv: string[] }
  | { name: 'shell'; machine: MachineName; argv: string[] }
  | { name: 'logs'; machine: MachineName; part: string; follow: boolean }
  | { name: 'node'; node: NodeName; action: NodeAction }
  | { name: 'part'; part: string; action: PartAction }
  | { name: 'image'; action: 'list' }
  | { name: 'image'; action: 'publish' | 'ref'; images: string[] }
  | { name: 'kafka'; action: 'start' | 'stop' }

export const USAGE = `usage: bin/lab COMMAND

  up [--no-restore NODE]      start both nodes (builds what the cache lacks); repeat to start what has died
  down [--force]              remove every trace; --force also when another checkout holds the lab
  status                      what runs
  setup                       fill the cache only, Kafka included

  kubectl ARGS…               kubectl as cluster admin
  enter COMMAND…              run a command in the lab's network
  shell NODE [COMMAND…]       a shell, or one command, in all of a node's namespaces (or control-plane)
  logs [NODE/]PART [-f]       output of a part, such as apiserver or node-1/kubelet

  node NODE stop|start        cut the power, boot again on the same disk
  node NODE cut|join          pull the network cable, plug it in
  node NODE slow RATE|off     limit the network, e.g. 100mbit
  node NODE kill PART         kill -9 of kubelet, containerd or kube-proxy (comes back after a second)
  node NODE restore on|off    whether its containerd restores checkpoint images
  part PART kill|stop|start|pause|resume
                              the same for etcd, apiserver, controller-manager, scheduler, registry

  image list                  the base images
  image publish [IMAGE…]      build and push what changed
  image ref IMAGE             the reference by digest of a published image
  kafka start|stop            a broker at 10.77.0.1:9092
`

function wrong(message: string): never {
  throw new LabError(`${message} (bin/lab help tells the usage)`, { exitCode: 2 })
}

function nodeOf(text: string | undefined): NodeName {
  if (text !== undefined && isNodeName(text)) return text
  return wrong(`${text ?? 'nothing'} is no node: name node-1 or node-2`)
}

function machineOf(text: string | undefined): MachineName {
  const found = MACHINES.find((name) => name === text)
  return found ?? wrong(`${text ?? 'nothing'} is no machine: name ${MACHINES.join(', ')}`)
}

function oneOf<T extends string>(text: string | undefined, allowed: readonly T[], what: string): T {
  const found = allowed.find((word) => word === text)
  return found ?? wrong(`${what} must be one of ${allowed.join(', ')}`)
}

/**
 * @param args the words after `bin/lab`.
 * @throws LabError (exit code 2) that names the wrong word.
 */
export function parseArguments(args: readonly string[]): Command {
  const [name = 'help', ...rest] = args
  // These three pass everything on, options included.
  if (name === 'kubectl') return { name, args: rest }
  if (name === 'enter') return rest.length > 0 ? { name, argv: rest } : wrong('enter wants a command')
  if (name === 'shell') return { name, machine: machineOf(rest[0]), argv: rest.slice(1) }
  const parse = PARSERS[name === '--help' || name === '-h' ? 'help' : name]
  if (parse === undefined) return wrong(`there is no command ${name}`)
  const words = new Words(rest)
  const command = parse(words)
  words.end()
  return command
}

/** The words still to be read. */
class Words {
  private readonly left: string[]

  constructor(words: readonly string[]) {
    this.left = [...words]
  }

  next(): string | undefined {
    return this.left.shift()
  }

  need(what: string): string {
    return this.next() ?? wrong(`${what} is missing`)
  }

  flag(name: string): boolean {
    const place = this.left.indexOf(name)
    if (place < 0) return false
    this.left.splice(place, 1)
    return true
  }

  rest(): string[] {
    const option = this.left.find((word) => word.startsWith('-'))
    if (option !== undefined) wrong(`there is no option ${option}`)
    return this.left.splice(0)
  }

  end(): void {
    if (this.left.length > 0) wrong(`nothing is known about ${this.left.join(' ')}`)
  }
}

const PARSERS: Partial<Record<string, (words: Words) => Command>> = {
  help: () => ({ name: 'help' }),
  status: () => ({ name: 'status' }),
  setup: () => ({ name: 'setup' }),
  down: (words) => ({ name: 'down', force: words.flag('--force') }),
  up: (words) => {
    const noRestore: NodeName[] = []
    while (words.flag('--no-restore')) noRestore.push(nodeOf(words.next()))
    return { name: 'up', noRestore }
  },
  logs: (words) => {
    const follow = words.flag('-f')
    const [first, second] = words.need('the part').split('/')
    if (second === undefined) return { name: 'logs', machine: 'control-plane', part: first ?? '', follow }
    return { name: 'logs', machine: machineOf(first), part: second, follow }
  },
  node: (words) => ({ name: 'node', node: nodeOf(words.next()), action: nodeAction(words) }),
  part: (words) => ({
    name: 'part',
    part: words.need('the part'),
    action: oneOf(words.next(), ['kill', 'stop', 'start', 'pause', 'resume'], 'the action'),
  }),
  image: (words) => {
    const action = oneOf(words.next(), ['list', 'publish', 'ref'], 'the action')
    if (action === 'list') return { name: 'image', action }
    const images = words.rest()
    if (action === 'ref' && images.length !== 1) wrong('image ref wants one image')
    return { name: 'image', action, images }
  },
  kafka: (words) => ({ name: 'kafka', action: oneOf(words.next(), ['start', 'stop'], 'the action') }),
}

function nodeAction(words: Words): NodeAction {
  const action = oneOf(words.next(), ['stop', 'start', 'cut', 'join', 'slow', 'kill', 'restore'], 'the action')
  if (action === 'kill') return { do: action, part: words.need('the part') }
  if (action === 'restore') return { do: action, on: oneOf(words.next(), ['on', 'off'], 'restore') === 'on' }
  if (action !== 'slow') return { do: action }
  const rate = words.need('the rate')
  if (rate === 'off') return { do: action, rate: undefined }
  if (!/^\d+(k|m|g)?bit$/.test(rate)) wrong(`${rate} is no rate: write it as 100mbit, or off`)
  return { do: action, rate }
}
