import assert from 'node:assert/strict'
import { test } from 'node:test'
import { delegation, preparation, readLayout, thawing } from './cgroups.ts'

const HYBRID = `proc /proc proc rw,relatime 0 0
tmpfs /sys/fs/cgroup tmpfs rw,relatime,mode=755 0 0
cgroup /sys/fs/cgroup/cpu cgroup rw,relatime,cpu 0 0
cgroup /sys/fs/cgroup/cpuacct cgroup rw,relatime,cpuacct 0 0
cgroup /sys/fs/cgroup/cpuset cgroup rw,relatime,cpuset 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0
cgroup /sys/fs/cgroup/devices cgroup rw,relatime,devices 0 0
cgroup /sys/fs/cgroup/freezer cgroup rw,relatime,freezer 0 0
cgroup /sys/fs/cgroup/blkio cgroup rw,relatime,blkio 0 0
cgroup /sys/fs/cgroup/pids cgroup rw,relatime,pids 0 0
cgroup /sys/fs/cgroup/systemd cgroup rw,relatime,name=systemd 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0
`
const VERSION_1 = `tmpfs /sys/fs/cgroup tmpfs ro,nosuid,nodev,noexec,mode=755 0 0
cgroup /sys/fs/cgroup/systemd cgroup rw,nosuid,nodev,noexec,relatime,xattr,release_agent=/lib/systemd/systemd-cgroups-agent,name=systemd 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,nosuid,nodev,noexec,relatime,cpu,cpuacct 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,nosuid,nodev,noexec,relatime,memory 0 0
cgroup /sys/fs/cgroup/cpuset cgroup rw,nosuid,nodev,noexec,relatime,cpuset,clone_children 0 0
cgroup /sys/fs/cgroup/freezer cgroup rw,nosuid,nodev,noexec,relatime,freezer 0 0
cgroup /sys/fs/cgroup/pids cgroup rw,nosuid,nodev,noexec,relatime,pids 0 0
cgroup /somewhere/else cgroup rw,relatime,memory 0 0
`
const VERSION_2 = `sysfs /sys sysfs rw,nosuid,nodev,noexec,relatime 0 0
cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nodev,noexec,relatime,nsdelegate,memory_recursiveprot 0 0
`

test('a hybrid machine is worked on through its version 1 hierarchies', () => {
  const layout = readLayout(HYBRID)
  assert.equal(layout.version, 1)
  assert.equal(layout.hierarchies.length, 9)
  assert.deepEqual(layout.hierarchies.at(-1), {
    option: 'name=systemd',
    folder: 'systemd',
    mountPoint: '/sys/fs/cgroup/systemd',
  })
})

test('controllers mounted together stay together, and a second mount of one does not count', () => {
  const options = readLayout(VERSION_1).hierarchies.map((hierarchy) => hierarchy.option)
  assert.deepEqual(options, ['name=systemd', 'cpu,cpuacct', 'memory', 'cpuset', 'freezer', 'pids'])
})

test('a version 2 machine has one hierarchy', () => {
  assert.deepEqual(readLayout(VERSION_2), {
    version: 2,
    hierarchies: [{ option: '', folder: '', mountPoint: '/sys/fs/cgroup' }],
  })
})

test('a machine without what the kubelet needs is refused by name', () => {
  assert.throws(() => readLayout('proc /proc proc rw 0 0\n'), /no cgroup file system/)
  assert.throws(() => readLayout(HYBRID.replace(/.*freezer.*\n/, '')), /lacks freezer/)
})

test('version 1 fills cpuset at each level and leaves other controllers alone', () => {
  const layout = readLayout(HYBRID)
  const steps = layout.hierarchies.map((hierarchy) => preparation(layout, hierarchy, '/podferry-lab/node-1'))
  assert.deepEqual(steps[2], [
    { folder: '/sys/fs/cgroup/cpuset/podferry-lab', inherit: ['cpuset.cpus', 'cpuset.mems'] },
    { folder: '/sys/fs/cgroup/cpuset/podferry-lab/node-1', inherit: ['cpuset.cpus', 'cpuset.mems'] },
  ])
  assert.deepEqual(steps[3], [
    { folder: '/sys/fs/cgroup/memory/podferry-lab' },
    { folder: '/sys/fs/cgroup/memory/podferry-lab/node-1' },
  ])
})

test('version 2 hands controllers down from the root to the node', () => {
  const layout = readLayout(VERSION_2)
  const [hierarchy] = layout.hierarchies
  assert.ok(hierarchy)
  assert.deepEqual(preparation(layout, hierarchy, '/podferry-lab/node-2'), [
    { folder: '/sys/fs/cgroup', delegate: true },
    { folder: '/sys/fs/cgroup/podferry-lab', delegate: true },
    { folder: '/sys/fs/cgroup/podferry-lab/node-2', delegate: true },
  ])
  assert.equal(delegation('cpuset cpu io memory hugetlb pids rdma misc\n'), '+cpuset +cpu +io +memory +hugetlb +pids')
  assert.equal(delegation('memory pids\n'), '+memory +pids')
})

test('a freeze is lifted through the freezer of version 1 and the group file of version 2', () => {
  const one = readLayout(HYBRID)
  assert.deepEqual(
    one.hierarchies.map((hierarchy) => thawing(one, hierarchy)?.file).filter((file) => file !== undefined),
    ['freezer.state'],
  )
  const two = readLayout(VERSION_2)
  assert.deepEqual(
    two.hierarchies.map((hierarchy) => thawing(two, hierarchy)),
    [{ file: 'cgroup.freeze', write: '0' }],
  )
})
