import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { judge, type OpenFile, type PodView } from './judge.ts'
import { externalIn, viewPod } from './processes.ts'

const view = (files: OpenFile[], changes: Partial<PodView> = {}): PodView => ({
  processes: [
    { pid: 7, command: 'server', isForeign: false, files: [{ target: '/dev/null', isDevice: true }, ...files] },
  ],
  mptcpSockets: 0,
  externalUnixSockets: [],
  ownsLimits: true,
  ...changes,
})

/** A sentence, what is open, the code, and the same without the fault. */
const ROWS: [string, PodView, string, PodView][] = [
  ['io_uring', view([{ target: 'anon_inode:[io_uring]' }]), 'IoUring', view([{ target: 'anon_inode:[eventpoll]' }])],
  ['MPTCP', view([], { mptcpSockets: 1 }), 'MultipathTcp', view([])],
  [
    'a UNIX socket to outside',
    view([{ target: 'socket:[42]' }], { externalUnixSockets: [42] }),
    'ExternalUnixSocket',
    view([{ target: 'socket:[41]' }], { externalUnixSockets: [42] }),
  ],
  [
    'a device',
    view([{ target: '/dev/kvm', isDevice: true }]),
    'DeviceInUse',
    view([
      { target: '/dev/pts/0', isDevice: true },
      { target: '/dev/shm/x', isDevice: false },
    ]),
  ],
  [
    'another user where root has not every right',
    view([], { ownsLimits: false, processes: [{ pid: 8, command: 'server', isForeign: true, files: [] }] }),
    'LimitsNotReadable',
    view([], { ownsLimits: false, processes: [{ pid: 8, command: 'pause', isForeign: true, files: [] }] }),
  ],
  ['userfaultfd', view([{ target: 'anon_inode:[userfaultfd]' }]), 'UnsupportedFile', view([{ target: 'pipe:[1]' }])],
]

for (const [sentence, faulty, code, sound] of ROWS) {
  test(`${sentence} is refused as ${code}`, () => {
    assert.deepEqual(
      judge(faulty).map((finding) => [finding.code, finding.severity]),
      [[code, 'blocks']],
    )
    assert.deepEqual(judge(sound), [])
  })
}

/** As `ss -xanH` of iproute2 6 prints them. */
const LISTING = `u_str LISTEN 0      128                 /run/app.sock 100            * 0
u_str ESTAB  0      0                   /run/app.sock 101            * 102
u_str ESTAB  0      0                               * 102            * 101
u_str ESTAB  0      0                               * 103            * 900
u_str ESTAB  0      0      /run/containerd/containerd.sock 900            * 103
u_dgr UNCONN 0      0                               * 104            * 0
`

const sockets = (...inodes: number[]) => new Set(inodes.map((inode) => `socket:[${inode}]`))

test('a UNIX socket is external when no process of the pod holds its peer', () => {
  assert.deepEqual(externalIn(LISTING, sockets(100, 101, 102, 103, 104)), ['103 900'])
  assert.deepEqual(externalIn(LISTING, sockets(100, 101, 102, 103, 104, 900)), [])
  assert.deepEqual(externalIn('', sockets(1)), [])
})

test('the view of a pod is read from the node', async () => {
  const root = await mkdtemp(join(tmpdir(), 'podferry-view-'))
  const group = 'sys/fs/cgroup/freezer/kubepods/podX'
  await mkdir(join(root, group, 'container'), { recursive: true })
  await writeFile(join(root, group, 'cgroup.procs'), '')
  await writeFile(join(root, group, 'container/cgroup.procs'), '7\n')
  await mkdir(join(root, 'proc/7/fd'), { recursive: true })
  await mkdir(join(root, 'proc/7/net'))
  await writeFile(join(root, 'proc/7/comm'), 'server\n')
  await writeFile(join(root, 'proc/7/status'), 'Name:\tserver\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t33\t0\nGroups:\t\n')
  await mkdir(join(root, 'proc/1'))
  await writeFile(join(root, 'proc/1/status'), 'CapEff:\t000001ffffffffff\nCapBnd:\t000001fffeffffff\n')
  await symlink('anon_inode:[io_uring]', join(root, 'proc/7/fd/3'))
  await symlink('/dev/zero', join(root, 'proc/7/fd/4'))
  for (const inode of [103, 105, 106]) await symlink(`socket:[${inode}]`, join(root, `proc/7/fd/${inode}`))
  const protocols = `protocol  size sockets  memory press maxhdr  slab module
MPTCPv6   1992      1       0   no       0   yes  kernel
MPTCP     1824      2       0   no       0   yes  kernel
TCPv6     2568     -1       0   no     320   yes  kernel
`
  await writeFile(join(root, 'proc/7/net/protocols'), protocols)
  const asked: string[] = []
  const node = {
    exec: async (argv: readonly string[]) => {
      asked.push(argv.join(' '))
      const [gone, stays] = ['x * 105 * 901\n', 'x * 106 * 902\n']
      return { code: 0, stdout: asked.length === 1 ? gone + stays : stays, stderr: '' }
    },
  }
  const cgroup = { version: 1, path: '/kubepods/podX', memoryPath: '/kubepods/podX' } as const
  const view = await viewPod(root, node, cgroup)
  assert.deepEqual(view, {
    processes: [
      {
        pid: 7,
        command: 'server',
        isForeign: true,
        files: [
          ...[103, 105, 106].map((inode) => ({ target: `socket:[${inode}]` })),
          ...[{ target: 'anon_inode:[io_uring]' }, { target: '/dev/zero', isDevice: true }],
        ],
      },
    ],
    mptcpSockets: 3,
    // Of the other one the second look has seen nothing.
    externalUnixSockets: [106],
    ownsLimits: false,
  })
  assert.deepEqual(asked, Array(2).fill('nsenter -t 7 -n ss -xanH'))
  await rm(root, { recursive: true })
})
