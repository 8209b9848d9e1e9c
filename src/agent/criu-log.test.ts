import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { criuErrors, dumpErrors, explainCriu } from './criu-log.ts'

/** Lines as CRIU writes them, and the reason a user is told. */
const table: readonly (readonly [string, string | undefined])[] = [
  ['(00.1) Error (criu/proc_parse.c:502): Unknown shit 600 (anon_inode:[io_uring])', 'IoUring'],
  [
    '(00.1) Error (criu/sk-inet.c:200): inet: Connected TCP socket, consider using --tcp-established option.',
    'OpenConnections',
  ],
  ['(00.1) Error (criu/sk-inet.c:7): inet: Connected TCP socket in image', 'OpenConnections'],
  ['(00.1) Error (criu/image.c:93): Need to set the --tcp-close options.', 'OpenConnections'],
  ["(00.1) Error (soccr/soccr.c:499): Can't bind inet socket back: Cannot assign requested address", 'AddressInUse'],
  [
    "(00.1) Error (criu/sk-inet.c:1059): inet: Can't bind inet socket (id 7): Cannot assign requested address",
    'AddressInUse',
  ],
  ["(00.1) Error (criu/cr-dump.c:389): Can't get rlimit 0: Operation not permitted", 'LimitsNotReadable'],
  ['(00.1) Error (criu/sk-inet.c:1): inet: In-flight connection (l) for 5', 'ConnectionArriving'],
  ['(00.1) Error (criu/sk-inet.c:1): inet: Unsupported proto 262 for socket 77', 'MultipathTcp'],
  [
    '(00.1) Error (criu/file-lock.c:361): Some file locks are hold by dumping tasks! You can try --file-locks to dump them.',
    'FileLocks',
  ],
  [
    '(00.1) Error (criu/sk-unix.c:1): unix: External socket is used. Consider using --ext-unix-sk option.',
    'ExternalUnixSocket',
  ],
  ['(00.1) Error (criu/sk-unix.c:506): unix: Non-empty write queue on an in-flight socket 0x1', 'SocketInFlight'],
  ["(00.1) Error (criu/sk-unix.c:1): unix: Can't dump half of stream unix connection.", 'ExternalUnixSocket'],
  [
    "(00.1) Error (criu/files-ext.c:98): Can't dump file 11 of that type [20666] (chr 195:0 /dev/nvidia0)",
    'DeviceInUse',
  ],
  [
    "(00.1) Error (criu/files-ext.c:98): Can't dump file 11 of that type [600] (anon anon_inode:[perf_event])",
    'UnsupportedFile',
  ],
  ['(00.1) Error (criu/proc_parse.c:1): Unsupported mapping found 7f00-7f01', 'UnsupportedMapping'],
  ["(00.1) Error (criu/files-reg.c:1): Can't dump ghost file /tmp/x of 99 size, increase limit", 'GhostFileTooBig'],
  ["(00.1) Error (criu/files-reg.c:1): Can't create link remap for /tmp/x. Use --link-remap option.", 'LinkRemap'],
  ["(00.1) Error (criu/files-reg.c:1): Can't open file dev/shm/x on restore: No such file or directory", 'FileMissing'],
  ['(00.1) Error (criu/files-reg.c:1): File data/x has bad size 5 (expect 6)', 'FileChanged'],
  ['(00.1) Error (criu/files-reg.c:1): File data/x has bad mode 0100600 (expect 0100644)', 'FileChanged'],
  ['(00.1) Error (criu/mount.c:3141): mnt: No mapping for 600:(null) mountpoint', 'MountMissing'],
  [
    '(00.1) Error (criu/mount.c:1): mnt: Mount 600 has unreachable sharing. Try --enable-external-masters.',
    'MountPropagation',
  ],
  ['(00.1) Error (criu/mount.c:1): mnt: FS mnt ./x dev 0x2e root / unsupported id 6f', 'UnsupportedFileSystem'],
  [
    '(00.1) Error (criu/namespaces.c:1): Nested mount namespaces are not supported without mnt_id in fdinfo',
    'NestedContainers',
  ],
  ["(00.1) Error (criu/namespaces.c:460): Can't dump nested pid namespace for 2911", 'NestedContainers'],
  [
    "(00.1) Error (criu/fsnotify.c:1): fsnotify: Can't find suitable path for handle (dev 0x1 ino 0x2)",
    'InotifyHandle',
  ],
  ['(00.1) Error (criu/seize.c:1): Unable to freeze cgroup /x (100 attempts, 10000 ms)', 'NotFreezable'],
  ['(00.1) Error (criu/seize.c:1): zombie 31 found while seizing', 'NotFreezable'],
  ['(00.1) Error (criu/cr-restore.c:1): Pid 7 do not match expected 8', 'PidTaken'],
  ["(00.1) Error (criu/cr-restore.c:1): Can't fork for 7: File exists", 'PidTaken'],
  ['(00.1) Error (criu/ipc_ns.c:1): Failed to create shm set: File exists', 'SharedMemoryTwice'],
  ['(00.1) Error (criu/vdso.c:1): vdso: Unexpected rt vDSO area bounds', 'CriuTooOld'],
  ["(00.1) Error (criu/sockets.c:1): sockets: Can't get 1:16 opt: Operation not supported", 'CriuTooOld'],
  ['(00.1) Error (criu/rseq.c:1): 31 has rseq but kernel lacks get_rseq_conf feature', 'KernelTooOld'],
  ['(00.1) Error (criu/cpu.c:1): cpu: CPU xsave size mismatch (2440/2696)', 'CpuDiffers'],
  ['(00.1) Error (criu/image.c:1): Failed to write: No space left on device', 'DiskFull'],
  ['(00.1) Error (criu/cr-dump.c:2111): Dumping FAILED.', undefined],
]

for (const [line, reason] of table) {
  test(`${reason ?? 'not known'}: ${line.slice(line.indexOf('): ') + 3)}`, () => {
    const explained = explainCriu([line, '(00.2) Error (criu/cr-dump.c:2111): Dumping FAILED.'])
    assert.equal(explained?.reason, reason)
    if (explained) assert.match(explained.message, /[a-z]/)
  })
}

test('only the lines of errors are kept, few and short', () => {
  const log = `(00.1) Warn (x): y\n${'(00.1) Error (a.c:1): b\n'.repeat(200)}(00.1) Error (${'z'.repeat(9_999)}`
  const lines = criuErrors(log)
  assert.equal(lines.length, 50)
  assert.ok(lines.every((line) => line.includes('Error (') && line.length <= 400))
  assert.equal(criuErrors(`Error (${'z'.repeat(9_999)}`)[0]?.length, 400)
})

test("the shim's copy is read first, logs of earlier dumps never", async () => {
  const root = await mkdtemp(join(tmpdir(), 'podferry-criu-'))
  const write = async (path: string, text: string, modified: number) => {
    await mkdir(join(root, dirname(path)), { recursive: true })
    await writeFile(join(root, path), text)
    await utimes(join(root, path), modified, modified)
  }
  const shim = '/run/containerd/io.containerd.runtime.v2.task/k8s.io/abc/criu-dump.log'
  await write(shim, 'x\nError (new): 1\n', 2_000)
  await write(
    '/var/lib/containerd/io.containerd.grpc.v1.cri/containers/abc/ctrd-checkpoint/dump.log',
    'Error (w): 2',
    2_000,
  )
  assert.deepEqual(await dumpErrors(root, 'abc', 1_500_000), ['Error (new): 1'])
  await write(shim, 'Error (old): 1\n', 1_000)
  assert.deepEqual(await dumpErrors(root, 'abc', 1_500_000), ['Error (w): 2'])
  assert.deepEqual(await dumpErrors(root, 'abc', 3_000_000), [])
  assert.deepEqual(await dumpErrors(root, '../abc', 0), [])
  await rm(root, { recursive: true })
})
