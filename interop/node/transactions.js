// kafkajs with transactions (see ../README.md): several checks at once, each with its own topic.
'use strict'
const assert = require('node:assert')
const { Kafka, logLevel } = require('kafkajs')
const { Refused } = require('./contract')

const LIMIT_MS = 60_000
const AT_ONCE = 4
const PARTITIONS = 2
// How long a reader waits to see that there is nothing.
const QUIET_MS = 700

const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

/** Turns the client's errors for a code of the protocol into Refused. */
async function asked(promise) {
  try {
    return await promise
  } catch (error) {
    let e = error
    while (!(e.code > 0) && (e.errors?.length || e.cause)) e = e.errors?.[0] ?? e.cause
    throw e.code > 0 ? new Refused(e.code, e.message) : error
  }
}

async function refused(codes, call) {
  try {
    await call()
  } catch (error) {
    if (error instanceof Refused && codes.includes(error.code)) return `code=${error.code}`
    throw error
  }
  throw new Error(`expected one of the codes ${codes}, got success`)
}

async function until(holds, about) {
  for (const end = Date.now() + LIMIT_MS; !(await holds()); await sleep(50)) {
    if (Date.now() > end) throw new Error(`after ${LIMIT_MS / 1000} s: ${about()}`)
  }
}

function values(prefix, each) {
  return Array.from({ length: each * PARTITIONS }, (_, i) => ({ partition: i % PARTITIONS, value: `${prefix}-${i % PARTITIONS}-${Math.floor(i / PARTITIONS)}` }))
}

const ofPartitions = rows => Array.from({ length: PARTITIONS }, (_, p) => rows.filter(r => r.partition === p).map(r => r.value))

/** One check: its topic, and everything it opened. */
class Scenario {
  opened = []
  readers = 0

  constructor(suite, topic) {
    this.suite = suite
    this.topic = topic
  }

  async producer(transactionalId, transactionTimeout = 20_000) {
    const producer = this.suite.kafka.producer({ transactionalId, transactionTimeout, idempotent: true, maxInFlightRequests: 1,
      createPartitioner: () => ({ message }) => message.partition, retry: { initialRetryTime: 50, retries: 8 } })
    this.opened.push(producer)
    await asked(producer.connect())
    return producer
  }

  send(to, messages, topic = this.topic) {
    return asked(to.send({ topic, acks: -1, messages }))
  }

  async write(producer, messages, commit = true) {
    const transaction = await asked(producer.transaction())
    await this.send(transaction, messages)
    await asked(commit ? transaction.commit() : transaction.abort())
  }

  /** Reads until there are so many records, and a little longer; order counts within a partition. */
  async read(committed, want, topic = this.topic) {
    const consumer = this.suite.kafka.consumer({ groupId: `${topic}-reader-${this.readers++}`, readUncommitted: !committed, maxWaitTimeInMs: 100 })
    const got = []
    let joined = false
    consumer.on(consumer.events.GROUP_JOIN, () => { joined = true })
    await asked(consumer.connect())
    try {
      await asked(consumer.subscribe({ topics: [topic], fromBeginning: true }))
      await consumer.run({ autoCommit: false, eachMessage: async ({ partition, message }) => { got.push({ partition, value: String(message.value) }) } })
      await until(() => joined && got.length >= want.length, () => `read ${got.length} of ${want.length}`)
      await sleep(QUIET_MS)
      assert.deepStrictEqual(ofPartitions(got), ofPartitions(want))
    } finally {
      await consumer.disconnect()
    }
  }

  async both(committed, all) {
    await this.read(true, committed)
    await this.read(false, all)
  }

  async close() {
    await Promise.all(this.opened.map(o => o.disconnect().catch(() => {})))
  }
}

const checks = {
  /** A transaction that takes longer than its timeout is aborted by the coordinator. */
  async timeout(s) {
    const [lost, behind, again] = [values('lost', 2), values('behind', 2), values('again', 2)]
    const transaction = await asked((await s.producer(s.topic, 5000)).transaction())
    await s.send(transaction, lost)
    await s.send(s.suite.plain, behind)
    await s.read(true, [])
    await s.both(behind, [...lost, ...behind])
    const detail = await refused([47, 48, 90, 120], () => asked(transaction.commit()))
    await s.write(await s.producer(s.topic), again)
    await s.read(true, [...behind, ...again])
    return detail
  },

  /** Read, change, write, with the offsets in the transaction; every third transaction is aborted and done again. */
  async copy(s) {
    const out = `${s.topic}-out`
    const given = values('in', 30)
    await s.suite.create(out)
    await s.send(s.suite.plain, given)
    const producer = await s.producer(s.topic)
    const consumer = s.suite.kafka.consumer({ groupId: s.topic, readUncommitted: false, maxWaitTimeInMs: 100, maxBytesPerPartition: 400 })
    s.opened.push(consumer)
    let [done, rounds, aborted, failure] = [0, 0, 0, null]
    await asked(consumer.connect())
    await asked(consumer.subscribe({ topics: [s.topic], fromBeginning: true }))
    const copy = async ({ batch, resolveOffset }) => {
      for (let at = 0; at < batch.messages.length;) {
        const rows = batch.messages.slice(at, at + 7)
        const transaction = await asked(producer.transaction())
        await s.send(transaction, rows.map(m => ({ partition: batch.partition, value: `copy of ${m.value}` })), out)
        const offset = String(Number(rows.at(-1).offset) + 1)
        await asked(transaction.sendOffsets({ consumerGroupId: s.topic, topics: [{ topic: s.topic, partitions: [{ partition: batch.partition, offset }] }] }))
        if (rounds++ % 3 === 1) {
          await asked(transaction.abort())
          aborted++
          continue
        }
        await asked(transaction.commit())
        resolveOffset(rows.at(-1).offset)
        done += rows.length
        at += rows.length
      }
    }
    await consumer.run({ autoCommit: false, eachBatchAutoResolve: false, partitionsConsumedConcurrently: 1,
      eachBatch: payload => copy(payload).catch(error => { failure = error; throw error }) })
    await until(() => failure || done >= given.length, () => `${done} of ${given.length} copied`)
    if (failure) throw failure
    assert.strictEqual(done, given.length)
    assert.ok(aborted > 0)
    // The commit is answered before the offsets are seen.
    const offsets = async () => (await asked(s.suite.admin.fetchOffsets({ groupId: s.topic, topics: [s.topic] })))[0].partitions.map(p => p.offset)
    await until(async () => (await offsets()).join() === '30,30', () => 'the offsets are not committed')
    await s.read(true, given.map(r => ({ ...r, value: `copy of ${r.value}` })), out)
  },

  /** read_committed sees the records after the commit and not before, and nothing behind them either. */
  async commit(s) {
    const [before, inside, after] = [values('before', 5), values('inside', 5), values('after', 5)]
    const all = [...before, ...inside, ...after]
    const producer = await s.producer(s.topic)
    await s.send(s.suite.plain, before)
    const transaction = await asked(producer.transaction())
    await s.send(transaction, inside)
    await s.send(s.suite.plain, after)
    await s.both(before, all)
    await asked(transaction.commit())
    await s.both(all, all)
  },

  /** What was aborted is read by read_uncommitted only; the producer goes on. */
  async abort(s) {
    const [aborted, kept] = [values('aborted', 5), values('kept', 5)]
    const producer = await s.producer(s.topic)
    await s.write(producer, aborted, false)
    await s.write(producer, kept)
    await s.both(kept, [...aborted, ...kept])
  },

  /** Twenty transactions, every third aborted, quickly one after the other. */
  async several(s) {
    const producer = await s.producer(s.topic)
    const [kept, all] = [[], []]
    for (let i = 0; i < 20; i++) {
      const rows = values(`t${i}`, 2)
      await s.write(producer, rows, i % 3 !== 2)
      all.push(...rows)
      if (i % 3 !== 2) kept.push(...rows)
    }
    await s.both(kept, all)
  },

  /** Two transactions in the same partitions: the earlier one holds back what the later one committed. */
  async interleaved(s) {
    const [a, b] = [await s.producer(`${s.topic}-a`), await s.producer(`${s.topic}-b`)]
    const [first, second, third] = [values('a', 2), values('b', 2), values('c', 2)]
    const earlier = await asked(a.transaction())
    await s.send(earlier, first)
    await s.write(b, second)
    await s.read(true, [])
    await s.send(earlier, third)
    await asked(earlier.abort())
    await s.both(second, [...first, ...second, ...third])
  },

  /** A second producer with the id: what the first one had open is aborted, and it can do nothing any more. */
  async fencing(s) {
    const [lost, kept] = [values('lost', 2), values('kept', 2)]
    const old = await asked((await s.producer(s.topic)).transaction())
    await s.send(old, lost)
    const producer = await s.producer(s.topic)
    await s.write(producer, kept)
    const detail = await refused([47, 90], () => s.send(old, lost))
    await s.both(kept, [...lost, ...kept])
    await s.write(producer, kept)
    await s.read(true, [...kept, ...kept])
    return detail
  },

  /** A timeout above the greatest one is refused. */
  async 'err-timeout-too-large'(s) {
    return refused([50], async () => asked((await s.producer(s.topic, 900_001)).transaction()))
  },
}

class Suite {
  failed = 0

  async run() {
    this.kafka = new Kafka({ clientId: 'interop', brokers: [process.env.BOOTSTRAP], logLevel: logLevel.NOTHING, retry: { initialRetryTime: 50, retries: 8 } })
    this.admin = this.kafka.admin()
    this.plain = this.kafka.producer({ createPartitioner: () => ({ message }) => message.partition, metadataMaxAge: 500 })
    await Promise.all([this.admin.connect(), this.plain.connect()])
    const left = Object.keys(checks)
    const worker = async () => {
      while (left.length) await this.check(left.shift())
    }
    await Promise.all(Array.from({ length: AT_ONCE }, worker))
    return this.failed ? 1 : 0
  }

  async create(topic) {
    const configEntries = [{ name: 'retention.ms', value: '-1' }]
    await asked(this.admin.createTopics({ topics: [{ topic, numPartitions: PARTITIONS, replicationFactor: 1, configEntries }], waitForLeaders: false }))
    await until(() => this.admin.fetchTopicMetadata({ topics: [topic] }).then(() => true, () => false), () => `${topic} does not appear`)
  }

  async check(name) {
    const s = new Scenario(this, `kafkajs-transactions-${name}`)
    try {
      await this.create(s.topic)
      const detail = await checks[name](s)
      console.log(detail ? `ok ${name} ${detail}` : `ok ${name}`)
    } catch (error) {
      this.failed++
      console.log(`FAIL ${name} ${String(error.stack).replace(/\s+/g, ' ').slice(0, 900)}`)
    } finally {
      await s.close()
    }
  }
}

new Suite().run().then(code => process.exit(code), error => { console.log(`FAIL connect ${error}`); process.exit(1) })
