/** Apache Kafka as Maven resolves it, and a Java that runs it. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type CacheEntry, cachePath, isFresh, rebuild } from '../cache.ts'
import { installPackages, isOnPath } from '../host.ts'
import { attempt, run } from '../run.ts'
import { KAFKA, KAFKA_SCALA, SLF4J_SIMPLE } from '../versions.ts'

const JARS: CacheEntry = { name: 'kafka', stamp: `${KAFKA} ${KAFKA_SCALA} ${SLF4J_SIMPLE}` }

/** The oldest Java that the broker runs on. */
const JAVA_AT_LEAST = 17

/** @returns a pom that depends on the broker and on a logger that writes to standard error. */
export function kafkaPom(): string {
  const dependency = (group: string, artifact: string, version: string) =>
    `    <dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency>`
  return `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>lab</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <dependencies>
${dependency('org.apache.kafka', `kafka_${KAFKA_SCALA}`, KAFKA)}
${dependency('org.slf4j', 'slf4j-simple', SLF4J_SIMPLE)}
  </dependencies>
</project>
`
}

/** @param text what `java -version` prints, e.g. `openjdk version "17.0.15" 2025-04-15`. */
export function javaMajor(text: string): number {
  return Number(/version "(\d+)/.exec(text)?.[1] ?? 0)
}

async function hasJava(): Promise<boolean> {
  return isOnPath('java') && javaMajor((await attempt(['java', '-version'])).stderr) >= JAVA_AT_LEAST
}

export async function kafkaIsReady(): Promise<boolean> {
  return (await hasJava()) && (await isFresh(JARS))
}

/** Installs Java and Maven where they lack, and fetches the jars. */
export async function fetchKafka(): Promise<void> {
  if (!(await hasJava())) await installPackages(['default-jre-headless'])
  if (await isFresh(JARS)) return
  if (!isOnPath('mvn')) await installPackages(['maven'])
  await rebuild(JARS, async (folder) => {
    const pom = join(folder, 'pom.xml')
    await writeFile(pom, kafkaPom())
    await run(['mvn', '-B', '-q', '-f', pom, 'dependency:copy-dependencies', `-DoutputDirectory=${folder}/jars`])
  })
}

/** @returns the class path that has every jar. */
export function kafkaClassPath(): string {
  return join(cachePath(JARS), 'jars', '*')
}
