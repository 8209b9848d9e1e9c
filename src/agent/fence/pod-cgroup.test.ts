import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cgroupName, freezerFolder, memoryFile, podCgroupOf } from './pod-cgroup.ts'

const UID = '0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0'
const UID_ = UID.replaceAll('-', '_')
const CTR = 'f'.repeat(64)

/** Recorded from nodes of each kind, shortened to the lines that decide. */
const trees: Record<
  string,
  { text: string; freezer: string; memory: string; name: string } | { text: string; none: true }
> = {
  'version 1, driver cgroupfs, below a root of its own': {
    text: `9:pids:/n1/kubepods/burstable/pod${UID}/${CTR}\n6:freezer:/n1/kubepods/burstable/pod${UID}/${CTR}\n4:memory:/n1/kubepods/burstable/pod${UID}/${CTR}\n0::/\n`,
    freezer: `/sys/fs/cgroup/freezer/n1/kubepods/burstable/pod${UID}`,
    memory: `/sys/fs/cgroup/memory/n1/kubepods/burstable/pod${UID}/memory.usage_in_bytes`,
    name: `pod${UID}`,
  },
  'hybrid: the version 2 tree is there, but version 1 freezes': {
    text: `7:freezer:/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod${UID_}.slice/cri-containerd-${CTR}.scope\n5:cpu,cpuacct:/\n3:memory:/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod${UID_}.slice/cri-containerd-${CTR}.scope\n1:name=systemd:/x\n0::/system.slice/containerd.service\n`,
    freezer: `/sys/fs/cgroup/freezer/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod${UID_}.slice`,
    memory: `/sys/fs/cgroup/memory/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod${UID_}.slice/memory.usage_in_bytes`,
    name: `kubepods-besteffort-pod${UID_}.slice`,
  },
  'version 2, driver systemd, guaranteed': {
    text: `0::/kubepods.slice/kubepods-pod${UID_}.slice/cri-containerd-${CTR}.scope\n`,
    freezer: `/sys/fs/cgroup/kubepods.slice/kubepods-pod${UID_}.slice`,
    memory: `/sys/fs/cgroup/kubepods.slice/kubepods-pod${UID_}.slice/memory.current`,
    name: `kubepods-pod${UID_}.slice`,
  },
  'version 2, kind, crun with its own subgroup': {
    text: `0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod${UID_}.slice/crio-${CTR}.scope/container\n`,
    freezer: `/sys/fs/cgroup/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod${UID_}.slice`,
    memory: `/sys/fs/cgroup/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod${UID_}.slice/memory.current`,
    name: `kubelet-kubepods-burstable-pod${UID_}.slice`,
  },
  'version 2, driver cgroupfs': {
    text: `0::/kubepods/pod${UID}/crio-${CTR}\n`,
    freezer: `/sys/fs/cgroup/kubepods/pod${UID}`,
    memory: `/sys/fs/cgroup/kubepods/pod${UID}/memory.current`,
    name: `pod${UID}`,
  },
  'another pod': { text: `0::/kubepods/pod${UID.replace('0b', '0c')}/crio-${CTR}\n`, none: true },
  'a name that only begins like the pod': { text: `0::/kubepods/pod${UID}0/${CTR}\n`, none: true },
  'a process of the node': { text: '6:freezer:/\n0::/system.slice/sshd.service\n', none: true },
  'seen from a cgroup namespace of its own': { text: `0::/../../pod${UID}/${CTR}\n`, none: true },
  'no cgroup file': { text: '', none: true },
}

for (const [name, tree] of Object.entries(trees)) {
  test(name, () => {
    const cgroup = podCgroupOf(tree.text, UID)
    if ('none' in tree) return assert.equal(cgroup, undefined)
    assert.ok(cgroup)
    assert.deepEqual(
      { freezer: freezerFolder(cgroup), memory: memoryFile(cgroup), name: cgroupName(cgroup) },
      { freezer: tree.freezer, memory: tree.memory, name: tree.name },
    )
  })
}
