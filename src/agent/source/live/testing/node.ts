/** The source node in memory: one pod, its freezer, CRIU and the page keepers, with what each does to the others. */
import assert from 'node:assert/strict'

interface Dump {
  job: 'running' | number
  criu: 'working' | 'serving' | 'gone'
  since: number
  /** The byte is in the status file. */
  served: boolean
}

interface Keeper {
  phase: 'waiting' | 'open' | 'finished' | 'aborted' | 'failed'
  /** The process; its holder outlives it. */
  lives: boolean
}

export interface Box {
  id: string
  paused: boolean
  dead: boolean
  dump: Dump | undefined
  keeper: Keeper | undefined
  folder: boolean
}

/** So long CRIU works at most until it serves pages or has failed. */
const DUMP_MS = 5_000

export class Node {
  clock = 0
  frozen = false
  claimed = ''
  /** The processes were killed by the agent, before they could run on. */
  killed = false
  /** CRIU was made to believe that all had been fetched: kubelet starts the container anew. */
  stateLost = false
  /** What the stopped processes have written is with the storage of their claims. */
  synced = false
  /** What CRIU has said of the dump that failed last. */
  criuLog: string[] = []
  readonly boxes = new Map<string, Box>()

  constructor(containers: readonly string[]) {
    for (const name of containers)
      this.boxes.set(name, {
        id: `id-${name}`,
        paused: false,
        dead: false,
        dump: undefined,
        keeper: undefined,
        folder: false,
      })
  }

  /** Whether some process of the pod executes instructions. */
  get runs(): boolean {
    if (this.frozen || this.killed) return false
    return [...this.boxes.values()].some(({ paused, dead, dump }) => !paused && !dead && !holds(dump))
  }

  /** Whether all pages can be had. */
  get serves(): boolean {
    return [...this.boxes.values()].every(
      ({ dump, keeper }) => dump?.criu === 'serving' && keeper?.phase === 'open' && keeper.lives,
    )
  }

  box(folder: string): Box {
    const box = this.boxes.get(folder.slice(folder.lastIndexOf('/') + 1))
    assert.ok(box, folder)
    return box
  }

  /** Time passes: a dump comes to the point where it serves. */
  advance(ms: number): void {
    this.clock += ms
    for (const { dump } of this.boxes.values())
      if (dump?.criu === 'working' && this.clock - dump.since >= DUMP_MS) {
        dump.criu = 'serving'
        dump.served = true
      }
  }

  startDump(folder: string): void {
    const box = this.box(folder)
    assert.ok(!this.frozen, 'CRIU hangs when it must dump what is frozen')
    assert.ok(!holds(box.dump), 'a second dump')
    assert.ok(this.boxes.size === 1 || box.paused, 'containers are dumped at different moments')
    this.criuLog = []
    box.dump = { job: 'running', criu: 'working', since: this.clock, served: false }
  }

  freeze(): void {
    const working = [...this.boxes.values()].some(({ dump }) => dump?.criu === 'working')
    assert.ok(!working, 'CRIU hangs when its processes are frozen in the middle')
    assert.notEqual(this.claimed, '', 'frozen without a claim: after a crash nobody would thaw it')
    this.frozen = true
  }

  /** CRIU lets the processes go. */
  failDump(box: Box, exitCode = 1): void {
    if (box.dump === undefined || box.dump.criu === 'gone') return
    box.dump.criu = 'gone'
    if (box.dump.job === 'running') box.dump.job = exitCode
    if (box.keeper?.phase === 'open') box.keeper.phase = 'failed'
  }

  /** CRIU believes that all has been fetched, and kills the processes. */
  finishDump(box: Box): void {
    if (box.dump?.criu !== 'serving') return
    box.dump.criu = 'gone'
    if (box.dump.job === 'running') box.dump.job = 0
    box.dead = true
  }

  killDump(folder: string): void {
    const { dump } = this.box(folder)
    assert.notEqual(dump?.criu, 'working', 'CRIU is killed while its code is inside the processes')
    this.failDump(this.box(folder), 137)
  }

  /** Somebody kills runc; CRIU works on. */
  killRunc(box: Box): void {
    if (box.dump?.job === 'running') box.dump.job = 137
  }

  openKeeper(folder: string): void {
    const { keeper, dump } = this.box(folder)
    if (!keeper?.lives || keeper.phase !== 'waiting' || dump?.criu !== 'serving') throw new Error('not opened')
    keeper.phase = 'open'
  }

  abortByKeeper(folder: string): void {
    const box = this.box(folder)
    if (box.keeper === undefined || ['finished', 'aborted', 'failed'].includes(box.keeper.phase)) return
    // The holder alone can do it too, once there is a connection.
    const connected = box.keeper.phase === 'open'
    box.keeper.phase = 'aborted'
    if (connected) this.failDump(box)
  }

  endKeeper(folder: string): void {
    const box = this.box(folder)
    if (box.keeper?.phase === 'open') assert.ok(!holds(box.dump), 'CRIU takes it for the end of the transfer')
    box.keeper = undefined
  }

  /** Nothing of any Migration is left. */
  get clean(): boolean {
    const boxes = [...this.boxes.values()]
    return (
      !this.frozen &&
      this.claimed === '' &&
      boxes.every(({ paused, dump, keeper, folder }) => !paused && !holds(dump) && !keeper && !folder)
    )
  }
}

const holds = (dump: Dump | undefined): boolean => dump !== undefined && dump.criu !== 'gone'
