// The contract that every client goes through (see ../README.md), for JavaScript clients. An adapter does the calls.
'use strict'
const assert = require('node:assert')

const T0 = 1_700_000_000_000
const PER_CODEC = 600
const PARTITIONS = 3
const LARGE = 900 * 1024

/** The server answered with an error code of the Kafka protocol. */
class Refused extends Error {
  constructor(code, message = '') {
    super(`code ${code}: ${message}`)
    this.code = code
    this.text = message
  }
}

/** The client has no such call; the text says so. */
class Missing extends Error {}

/** Record number i: the same in every language. Some clients refuse a record with neither key nor value. */
function record(i, partition = i % PARTITIONS) {
  const value = i % 10 === 4 ? null : i % 10 === 5 ? '' : `value-${i}-` + String.fromCharCode(97 + (i % 26)).repeat((i * 37) % 700)
  return {
    partition,
    key: i % 7 === 3 && i % 10 !== 4 ? null : Buffer.from(`key-${i}`),
    value: value === null ? null : Buffer.from(value),
    headers: i % 3 === 0 ? [] : [['n', Buffer.from(`${i}`)], ['bin', Buffer.from([0, 255, 128])]],
    timestamp: T0 + i * 1000,
    offset: -1,
  }
}

const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

class Contract {
  constructor(adapter) {
    this.a = adapter
    this.topic = `${adapter.name}-main`
    this.log = [...Array(PARTITIONS)].map(() => [])
    this.next = 0
    this.failed = 0
  }

  async check(name, call) {
    try {
      const detail = await call()
      console.log(detail ? `ok ${name} ${detail}` : `ok ${name}`)
    } catch (error) {
      if (error instanceof Missing) return console.log(`n/a ${name} ${error.message}`)
      this.failed++
      console.log(`FAIL ${name} ${String(error.stack).split('\n').slice(0, 3).join(' ').replace(/\s+/g, ' ').slice(0, 600)}`)
    }
  }

  async refused(code, call) {
    let got
    try {
      got = await call()
    } catch (error) {
      if (error instanceof Refused && error.code === code) return `code=${code} ${error.text}`.trim()
      throw error
    }
    throw new Error(`expected code ${code}, got success: ${JSON.stringify(got)}`)
  }

  /** Metadata reaches a client a little after the call that changed it returned. */
  async eventually(call) {
    for (const end = Date.now() + 60_000; ; await sleep(50)) {
      try {
        return await call()
      } catch (error) {
        if (Date.now() > end || error instanceof Missing) throw error
      }
    }
  }

  take(count, partition) {
    return Array.from({ length: count }, () => record(this.next++, partition))
  }

  async produce(records, how = {}) {
    const offsets = await this.a.produce(this.topic, records, { codec: 'none', acks: -1, ...how })
    assert.strictEqual(offsets.length, records.length)
    records.forEach((r, i) => {
      const want = this.log[r.partition].length
      assert.ok(offsets[i] === want || offsets[i] === null, `partition ${r.partition}: expected offset ${want}, got ${offsets[i]}`)
      r.offset = want
      this.log[r.partition].push(r)
    })
  }

  same(want, got) {
    assert.strictEqual(got.length, want.length, `expected ${want.length} records, got ${got.length}`)
    want.forEach((w, i) => assert.deepStrictEqual(got[i], w))
  }

  async readBack(partition, begin) {
    const log = this.log[partition]
    assert.ok(begin === 'earliest' || begin < log.length, 'too few records were written before')
    const got = await this.a.fetch(this.topic, partition, begin, log.length)
    this.same(begin === 'earliest' ? log : log.slice(begin), got)
  }

  async codec(codec) {
    const begin = this.log.map(log => log.length)
    await this.produce(this.take(PER_CODEC), { codec })
    for (let p = 0; p < PARTITIONS; p++) await this.readBack(p, begin[p])
    return `records=${PER_CODEC}`
  }

  async acks(acks) {
    await this.produce(this.take(30), { acks })
    await this.eventually(async () => {
      for (let p = 0; p < PARTITIONS; p++) assert.strictEqual(await this.a.offset(this.topic, p, 'latest'), this.log[p].length)
    })
  }

  async large() {
    const [r] = this.take(1, 2)
    r.value = Buffer.from(Array.from({ length: LARGE }, (_, i) => (i * 31 + Math.floor(i / 251)) % 256))
    await this.produce([r])
    await this.readBack(2, r.offset)
  }

  async fromTimestamp() {
    assert.ok(this.log[1].length > 200, 'too few records were written before')
    const offset = await this.a.offset(this.topic, 1, this.log[1][150].timestamp - 500)
    assert.strictEqual(offset, 150)
    await this.readBack(1, offset)
  }

  async offsets() {
    const log = this.log[0]
    assert.ok(log.length > 20, 'too few records were written before')
    const got = []
    for (const spec of ['earliest', 'latest', log[10].timestamp, log[10].timestamp + 1, log.at(-1).timestamp + 1])
      got.push(await this.a.offset(this.topic, 0, spec))
    assert.deepStrictEqual(got, [0, log.length, 10, 11, -1])
    return JSON.stringify(got)
  }

  async described(count) {
    await this.eventually(async () =>
      assert.deepStrictEqual(await this.a.describeTopic(this.topic), [...Array(count).keys()].map(p => [p, 1, [1], [1]])))
  }

  async topicConfig() {
    const got = await this.a.configs('topic', this.topic)
    assert.deepStrictEqual([got['segment.bytes'], got['retention.ms']], ['1048576', '-1'])
    const keys = ['cleanup.policy', 'compression.type', 'max.message.bytes', 'min.insync.replicas', 'message.timestamp.type']
    return `${keys.map(key => `${key}=${got[key]}`).join(' ')} count=${Object.keys(got).length}`
  }

  async alterConfig() {
    await this.a.alterConfig(this.topic, 'retention.bytes', '123456789')
    await this.eventually(async () => {
      const got = await this.a.configs('topic', this.topic)
      assert.deepStrictEqual([got['retention.bytes'], got['segment.bytes']], ['123456789', '1048576'])
    })
  }

  async tooLarge() {
    const name = `${this.a.name}-small`
    await this.a.createTopic(name, 1, { 'max.message.bytes': '2000' })
    const r = { ...record(0, 0), value: Buffer.alloc(5000, 'x') }
    const how = { codec: 'none', acks: -1 }
    const detail = await this.refused(10, () => this.a.produce(name, [r], how))
    assert.deepStrictEqual(await this.a.produce(name, [{ ...r, value: Buffer.alloc(100, 'x') }], how), [0])
    return detail
  }

  async deleteRecords() {
    // A partition is for a moment without its leader while the topic grows.
    await this.eventually(() => this.a.deleteRecords(this.topic, 0, 100))
    assert.strictEqual(await this.a.offset(this.topic, 0, 'earliest'), 100)
    this.same(this.log[0].slice(100), await this.a.fetch(this.topic, 0, 'earliest', this.log[0].length))
  }

  async run() {
    const { a, topic } = this
    const check = (name, call) => this.check(name, call)
    const expect = (name, code, call) => this.check(name, () => this.refused(code, call))
    await check('cluster', async () => {
      const got = await a.cluster()
      assert.deepStrictEqual(got, { brokers: [1], controller: 1, clusterId: 'MkU3OEVBNTcwNTJENDM2Qg' })
    })
    await check('create-topic', () => a.createTopic(topic, PARTITIONS, { 'segment.bytes': '1048576', 'retention.ms': '-1' }))
    await check('describe-topic', () => this.described(PARTITIONS))
    await check('create-topic-validate-only', async () => {
      await a.createTopic(`${a.name}-dry-run`, 1, {}, { validateOnly: true })
      return this.refused(3, () => a.describeTopic(`${a.name}-dry-run`))
    })
    await expect('err-create-existing', 36, () => a.createTopic(topic, 1, {}))
    await expect('err-create-name', 17, () => a.createTopic('not a name!', 1, {}))
    await expect('err-create-name-dots', 17, () => a.createTopic('..', 1, {}))
    await expect('err-create-name-long', 17, () => a.createTopic('n'.repeat(250), 1, {}))
    await expect('err-create-config', 40, () => a.createTopic(`${a.name}-x`, 1, { 'retention.ms': 'soon' }))
    await expect('err-create-config-unknown', 40, () => a.createTopic(`${a.name}-x`, 1, { 'no.such.config': '1' }))
    await expect('err-create-no-partitions', 37, () => a.createTopic(`${a.name}-x`, 0, {}))
    await expect('err-create-replication', 38, () => a.createTopic(`${a.name}-x`, 1, {}, { replication: 2 }))
    await expect('err-describe-unknown', 3, () => a.describeTopic(`${a.name}-unknown`))
    for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) await check(`codec-${codec}`, () => this.codec(codec))
    await check('acks-0', () => this.acks(0))
    await check('acks-1', () => this.acks(1))
    await check('acks-all', () => this.acks(-1))
    await check('idempotent', () => this.produce(this.take(300), { idempotent: true }))
    await check('large-record', () => this.large())
    await check('consume-all', async () => {
      for (let p = 0; p < PARTITIONS; p++) await this.readBack(p, 'earliest')
      return `records=${this.log.flat().length}`
    })
    await check('consume-from-offset', () => this.readBack(1, 77))
    await check('consume-from-timestamp', () => this.fromTimestamp())
    await check('consume-from-end', async () => {
      const r = this.take(1, 1)
      this.same(r, await a.fetchNew(topic, 1, () => this.produce(r)))
    })
    await check('list-offsets', () => this.offsets())
    await check('list-offsets-max-timestamp', async () =>
      assert.strictEqual(await a.offset(topic, 0, 'max-timestamp'), this.log[0].length - 1))
    await check('describe-topic-config', () => this.topicConfig())
    await check('alter-topic-config', () => this.alterConfig())
    await expect('err-alter-config', 40, () => a.alterConfig(topic, 'retention.ms', 'soon'))
    await check('describe-broker-config', async () => {
      const got = await a.configs('broker', '1')
      return `${got['log.segment.bytes']} ${got['num.io.threads']} ${got['node.id']}`
    })
    await check('err-record-too-large', () => this.tooLarge())
    await check('create-partitions', async () => {
      await a.createPartitions(topic, 5)
      await this.described(5)
    })
    await expect('err-create-partitions-fewer', 37, () => a.createPartitions(topic, 2))
    await check('delete-records', () => this.deleteRecords())
    await expect('err-delete-records-beyond', 1, () => a.deleteRecords(topic, 0, 10_000_000))
    await expect('err-offset-below-start', 1, () => a.fetch(topic, 0, 5, 6))
    await expect('err-offset-beyond-end', 1, () => a.fetch(topic, 0, 10_000_000, 10_000_001))
    await check('auto-create', async () => {
      assert.deepStrictEqual(await a.produce(`${a.name}-auto`, [record(0, 0)], { codec: 'none', acks: -1 }), [0])
      return JSON.stringify(await a.describeTopic(`${a.name}-auto`))
    })
    await check('delete-topic', async () => {
      await a.deleteTopic(`${a.name}-small`)
      return this.eventually(() => this.refused(3, () => a.describeTopic(`${a.name}-small`)))
    })
    await expect('err-delete-unknown', 3, () => a.deleteTopic(`${a.name}-unknown`))
    await a.close()
    return this.failed ? 1 : 0
  }
}

module.exports = { Contract, Missing, Refused }
