import assert from 'node:assert/strict'
import { test } from 'node:test'
import { brokerProperties, complaints } from './kafka.ts'
import { javaMajor, kafkaPom } from './setup/kafka-jars.ts'

test('clients are told the address that the broker listens on, and its controller stays on the loopback', () => {
  const lines = brokerProperties('/tmp/k', '10.77.0.1:9092', 4000).split('\n')
  assert.ok(lines.includes('advertised.listeners=PLAINTEXT://10.77.0.1:9092'))
  assert.ok(lines.includes('listeners=PLAINTEXT://10.77.0.1:9092,CONTROLLER://127.0.0.1:4000'))
  assert.ok(lines.includes('log.dirs=/tmp/k/data'))
})

test('the pom names the pinned broker', () => {
  assert.match(kafkaPom(), /<artifactId>kafka_2\.13<\/artifactId><version>4\.1\.1<\/version>/)
})

test("Java's version is read from what it prints", () => {
  assert.equal(javaMajor('openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime'), 17)
  assert.equal(javaMajor('openjdk version "25" 2025-09-16'), 25)
  assert.equal(javaMajor('java version "1.8.0_402"'), 1)
  assert.equal(javaMajor(''), 0)
})

test('of a long log, its errors are told', () => {
  const log = '[main] INFO start\n[main] ERROR kafka - Socket server failed to bind\n[main] INFO closed\n'
  assert.equal(complaints(log), '[main] ERROR kafka - Socket server failed to bind')
  assert.equal(complaints('one\ntwo\n'), 'one\ntwo')
})
