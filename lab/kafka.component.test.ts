import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import { startKafka } from './kafka.ts'

function answers(address: string): Promise<boolean> {
  const [host = '', port] = address.split(':')
  return new Promise((resolve) => {
    const socket = connect(Number(port), host)
    socket.on('connect', () => resolve(true))
    socket.on('error', () => resolve(false))
    socket.on('connect', () => socket.destroy())
  })
}

test('a broker starts on a free port of the loopback and leaves nothing', async () => {
  const folders = () => readdirSync(tmpdir()).filter((name) => name.startsWith('podferry-kafka-'))
  const before = folders()
  const broker = await startKafka({ host: '127.0.0.1' })
  assert.equal(await answers(broker.bootstrap), true)
  await broker.stop()
  assert.equal(await answers(broker.bootstrap), false)
  assert.deepEqual(
    folders().filter((name) => !before.includes(name) && existsSync(`${tmpdir()}/${name}/broker.properties`)),
    [],
  )
})

test('a taken port is told with the words of the broker', async () => {
  const broker = await startKafka({ host: '127.0.0.1' })
  try {
    const port = Number(broker.bootstrap.split(':')[1])
    await assert.rejects(startKafka({ host: '127.0.0.1', port }), /Kafka ended with exit code 1:[\s\S]*in use/)
  } finally {
    await broker.stop()
  }
})
