import assert from 'node:assert/strict'
import { test } from 'node:test'
import { jobCgroupsOf } from './job-cgroups.ts'
import { parseStat } from './processes.ts'

const pathsOf = (procCgroup: string) => jobCgroupsOf(procCgroup).map(({ mounts, path }) => [mounts.join(' '), path])

test('version 1, cgroupfs, below a root of its own: beside kubepods in every hierarchy', () => {
  const text =
    '11:cpu,cpuacct:/n1/kubepods/burstable/podX/c\n6:freezer:/n1/kubepods/burstable/podX/c\n1:name=systemd:/n1/kubepods/burstable/podX/c\n0::/\n'
  assert.deepEqual(pathsOf(text), [
    ['cpu,cpuacct cpu cpuacct', '/n1/podferry'],
    ['freezer freezer', '/n1/podferry'],
    ['systemd', '/n1/podferry'],
  ])
})

test('version 2, systemd: beside kubepods.slice', () => {
  const text = '0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podX.slice/cri-containerd-c.scope\n'
  assert.deepEqual(pathsOf(text), [['unified ', '/podferry']])
})

test('kind: within the slice of its kubelet', () => {
  const text = '0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podX.slice/c.scope\n'
  assert.deepEqual(pathsOf(text), [['unified ', '/kubelet.slice/podferry']])
})

test('outside of a cluster: nowhere', () => assert.deepEqual(jobCgroupsOf('4:memory:/user/1\n0::/\n'), []))

test('a program that calls itself like a stat line is read rightly', () => {
  const text = `77 (a) R 1 2) S 1 77 70 0 -1 4194304 101 0 0 0 0 0 0 0 20 0 1 0 1370647 2998272 416\n`
  assert.deepEqual(parseStat(text), { pid: 77, session: 70, startTime: 1370647, zombie: false })
})
