// kafkajs in groups: the steps of ../README.md that are about groups, several groups at once, each with its own topic.
'use strict'
const assert = require('node:assert')
const net = require('node:net')
const { Kafka, logLevel } = require('kafkajs')
const { Missing, Refused } = require('./contract')

const LIMIT_MS = 90_000
const AT_ONCE = 6
const PARTITIONS = 6
const SESSION_MS = 6000

const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))
const at = (topic, partition, offset) => `${topic}-${partition}@${offset}`

/** Turns the client's errors for a code of the protocol into Refused. */
async function asked(promise) {
  try {
    return await promise
  } catch (error) {
    let e = error
    while (!(e.code > 0) && (e.errors?.length || e.groups?.[0]?.error || e.cause)) e = e.errors?.[0] ?? e.groups?.[0]?.error ?? e.cause
    // What is wrong with a group that cannot be deleted is only in the client's own list.
    const code = e.code > 0 ? e.code : e.groups?.[0]?.errorCode
    throw code > 0 ? new Refused(code, e.message) : error
  }
}

async function refused(code, call) {
  try {
    await call()
  } catch (error) {
    if (error instanceof Refused && error.code === code) return `code=${code}`
    throw error
  }
  throw new Error(`expected code ${code}, got success`)
}

/** A member's way to the server: when it is cut, the member is gone without a word. */
class Wire {
  sockets = new Set()
  cut = false

  factory = ({ host, port, onConnect }) => {
    const socket = net.connect({ host, port }, onConnect)
    this.sockets.add(socket)
    socket.setNoDelay(true)
    if (this.cut) setImmediate(() => socket.destroy(new Error('the wire is cut')))
    return socket
  }

  end() {
    this.cut = true
    for (const socket of this.sockets) socket.destroy(new Error('the wire is cut'))
  }
}

/** One group: its live members, who owns what, and every record that one of them read. */
class Group {
  live = []
  read = []
  owners = new Map()
  violations = []

  constructor(suite, id) {
    this.suite = suite
    this.id = id
  }

  async join(name, how = {}) {
    const member = new Member(this, name)
    this.live.push(member)
    await member.start({ topics: [this.id], autoCommit: false, session: SESSION_MS, ...how })
    return member
  }

  async until(holds, about) {
    for (const end = Date.now() + LIMIT_MS; !holds(); await sleep(20)) {
      if (Date.now() > end) throw new Error(`after ${LIMIT_MS / 1000} s: ${about()}`)
    }
  }

  /** Waits until every partition has exactly one owner and the members own this many, in any order. */
  wait(...sizes) {
    const want = sizes.sort().join()
    const total = sizes.reduce((a, b) => a + b)
    return this.until(() => this.live.map(m => m.owned.size).sort().join() === want && new Set(this.live.flatMap(m => [...m.owned])).size === total,
      () => `wanted ${want} partitions, got ${this.live.join('; ')}`)
  }

  /** Waits until exactly these records were read since the last call, each once. */
  async reads(want) {
    await this.until(() => want.every(r => this.read.includes(r)), () => `not read: ${want.filter(r => !this.read.includes(r))}, ${this.live.join('; ')}`)
    const got = this.read.sort()
    this.read = []
    assert.deepStrictEqual(got, [...want].sort())
  }

  async commit() {
    for (const member of this.live) await member.commit()
  }

  async produce(each, partitions = PARTITIONS, topic = this.id) {
    const messages = Array.from({ length: each * partitions }, (_, i) => ({ partition: i % partitions, value: `value-${i}` }))
    const got = await asked(this.suite.producer.send({ topic, messages }))
    return got.flatMap(p => Array.from({ length: each }, (_, i) => at(topic, p.partition, Number(p.baseOffset) + i)))
  }

  async writes(each) {
    await this.reads(await this.produce(each))
  }

  async offsets() {
    const got = await asked(this.suite.admin.fetchOffsets({ groupId: this.id, topics: [this.id] }))
    return got[0].partitions.filter(p => p.offset !== '-1').map(p => [p.partition, Number(p.offset), p.metadata ?? '']).sort()
  }

  async close() {
    await Promise.all(this.live.map(m => m.leave().catch(() => {})))
  }
}

class Member {
  owned = new Set()
  positions = new Map()
  events = []
  wire = new Wire()

  constructor(group, name) {
    this.group = group
    this.name = name
    this.client = `${group.id}-${name}`
  }

  async start({ topics, autoCommit, session }) {
    const kafka = new Kafka({ clientId: this.client, brokers: [process.env.BOOTSTRAP], logLevel: logLevel.NOTHING,
      retry: { initialRetryTime: 50, retries: 6 }, socketFactory: this.wire.factory })
    this.consumer = kafka.consumer({ groupId: this.group.id, sessionTimeout: session, heartbeatInterval: 200, metadataMaxAge: 500,
      maxWaitTimeInMs: 100, rebalanceTimeout: 10_000, retry: { initialRetryTime: 50, retries: 6 } })
    const { GROUP_JOIN, REBALANCING } = this.consumer.events
    this.consumer.on(GROUP_JOIN, ({ payload }) => this.assigned(payload.memberAssignment))
    this.consumer.on(REBALANCING, () => this.revoked())
    await this.consumer.connect()
    await this.consumer.subscribe({ topics, fromBeginning: true })
    await this.consumer.run({ autoCommit, autoCommitInterval: autoCommit ? 200 : null, eachMessage: async ({ topic, partition, message }) => {
      this.group.read.push(at(topic, partition, message.offset))
      this.positions.set(`${topic} ${partition}`, Number(message.offset) + 1)
    } })
  }

  assigned(assignment) {
    this.revoked()
    for (const [topic, partitions] of Object.entries(assignment)) {
      for (const p of partitions) {
        const key = `${topic}-${p}`
        const other = this.group.owners.get(key)
        if (other && other !== this) this.group.violations.push(`${key} of ${other.name} given to ${this.name}`)
        this.group.owners.set(key, this)
        this.owned.add(key)
      }
    }
    this.events.push(`+${[...this.owned]}`)
  }

  revoked() {
    for (const key of this.owned) if (this.group.owners.get(key) === this) this.group.owners.delete(key)
    if (this.owned.size) this.events.push(`-${[...this.owned]}`)
    this.owned = new Set()
  }

  /** Commits these [partition, offset, metadata] rows of the group's topic, or all positions. */
  async commit(rows) {
    const positions = [...this.positions].map(([key, offset]) => ({ topic: key.split(' ')[0], partition: Number(key.split(' ')[1]), offset: String(offset) }))
    this.positions.clear()
    await asked(this.consumer.commitOffsets(rows
      ? rows.map(([partition, offset, metadata]) => ({ topic: this.group.id, partition, offset: String(offset), metadata })) : positions))
  }

  gone() {
    this.revoked()
    this.group.live = this.group.live.filter(m => m !== this)
  }

  async leave() {
    await this.consumer.disconnect()
    this.gone()
  }

  vanish() {
    this.wire.end()
    this.gone()
    this.consumer.disconnect().catch(() => {})
  }

  toString() {
    return `${this.name} owns ${[...this.owned].sort()}`
  }
}

const checks = {
  async rebalance(g) {
    const a = await g.join('a')
    await g.wait(6)
    await g.writes(5)
    await g.commit()
    await g.join('b')
    await g.wait(3, 3)
    await g.writes(10)
    await g.commit()
    await g.join('c')
    await g.wait(2, 2, 2)
    await g.writes(10)
    await g.commit()
    await a.leave()
    await g.wait(3, 3)
    await g.writes(10)
    await g.commit()
    assert.deepStrictEqual(await g.offsets(), [0, 1, 2, 3, 4, 5].map(p => [p, 35, '']))
  },

  async killed(g) {
    const a = await g.join('a', { session: 2000 })
    const b = await g.join('b', { session: 2000 })
    await g.wait(3, 3)
    await g.writes(5)
    await g.commit()
    const rows = await g.produce(2)
    await g.reads(rows)
    await b.commit()
    const mine = new Set(a.owned)
    a.vanish()
    await g.wait(6)
    // What it read and did not commit is read again.
    await g.reads(rows.filter(r => mine.has(r.split('@')[0])))
  },

  async commit(g) {
    const a = await g.join('a')
    await g.wait(6)
    const rows = await g.produce(10)
    await g.reads(rows)
    await a.commit([[0, 7, 'm\u00e9tadata'], [1, 10, '']])
    assert.deepStrictEqual(await g.offsets(), [[0, 7, 'm\u00e9tadata'], [1, 10, '']])
    const detail = await refused(12, () => a.commit([[0, 8, 'x'.repeat(5000)]]))
    await a.leave()
    await g.join('a')
    await g.wait(6)
    await g.reads(rows.filter(r => !r.includes('-1@') && !(r.includes('-0@') && Number(r.split('@')[1]) < 7)))
    return detail
  },

  async 'auto-commit'(g) {
    const total = async () => (await g.offsets()).reduce((sum, [, offset]) => sum + offset, 0)
    const a = await g.join('a', { autoCommit: true })
    await g.wait(6)
    await g.writes(10)
    // It commits when a batch was worked through and the interval is over.
    for (const end = Date.now() + LIMIT_MS; (await total()) !== 60; await sleep(50)) {
      if (Date.now() > end) throw new Error(`committed ${await g.offsets()}`)
    }
    await g.writes(1)
    await a.leave()
    assert.strictEqual(await total(), 66)
    await g.join('b', { autoCommit: true })
    await g.wait(6)
    await g.writes(1)
  },

  async pattern(g) {
    // The client looks the topics up once, when it subscribes.
    await g.suite.create(`${g.id}-later`, 4)
    await g.suite.create(`${g.id}-other`, 2)
    const topics = [new RegExp(`^${g.id}(-later)?$`)]
    await g.join('a', { topics })
    await g.join('b', { topics })
    await g.wait(5, 5)
    await g.produce(1, 2, `${g.id}-other`)
    await g.reads(await g.produce(1, 4, `${g.id}-later`))
  },

  async 'more-partitions'(g) {
    await g.join('a')
    await g.join('b')
    await g.wait(3, 3)
    await asked(g.suite.admin.createPartitions({ topicPartitions: [{ topic: g.id, count: 10 }] }))
    await g.wait(5, 5)
    await g.reads(await g.produce(3, 10))
  },

  async pause(g) {
    const a = await g.join('a')
    await g.wait(6)
    await g.writes(2)
    const some = [{ topic: g.id, partitions: [0, 3] }]
    a.consumer.pause(some)
    const rows = await g.produce(2)
    const paused = rows.filter(r => r.includes('-0@') || r.includes('-3@'))
    await g.reads(rows.filter(r => !paused.includes(r)))
    a.consumer.resume(some)
    await g.reads(paused)
  },

  async admin(g) {
    const { admin } = g.suite
    const members = [await g.join('a'), await g.join('b')]
    await g.wait(3, 3)
    await g.writes(2)
    await g.commit()
    const listed = async () => (await asked(admin.listGroups())).groups.find(x => x.groupId === g.id)
    assert.deepStrictEqual(await listed(), { groupId: g.id, protocolType: 'consumer' })
    const [got] = (await asked(admin.describeGroups([g.id]))).groups
    assert.deepStrictEqual([got.state, got.protocol, got.protocolType, got.members.map(m => `${m.clientId} ${m.clientHost}`).sort()],
      ['Stable', 'RoundRobinAssigner', 'consumer', members.map(m => `${m.client} /127.0.0.1`)])
    const said = [await refused(68, () => asked(admin.deleteGroups([g.id])))]
    for (const m of members) await m.leave()
    const [empty] = (await asked(admin.describeGroups([g.id]))).groups
    assert.deepStrictEqual([empty.state, empty.members], ['Empty', []])
    await asked(admin.setOffsets({ groupId: g.id, topic: g.id, partitions: [{ partition: 0, offset: '1' }] }))
    assert.deepStrictEqual((await g.offsets()).map(p => p[1]), [1, 2, 2, 2, 2, 2])
    await asked(admin.resetOffsets({ groupId: g.id, topic: g.id, earliest: true }))
    said.push('reset')
    await asked(admin.deleteGroups([g.id]))
    assert.strictEqual(await listed(), undefined)
    said.push(await refused(69, () => asked(admin.deleteGroups([g.id]))))
    return said.join(' ')
  },

  async static() {
    throw new Missing('no static members')
  },
}

class Suite {
  failed = 0

  async run() {
    const kafka = new Kafka({ clientId: 'interop', brokers: [process.env.BOOTSTRAP], logLevel: logLevel.NOTHING, retry: { initialRetryTime: 50, retries: 6 } })
    this.admin = kafka.admin()
    this.producer = kafka.producer({ createPartitioner: () => ({ message }) => message.partition, metadataMaxAge: 500 })
    await Promise.all([this.admin.connect(), this.producer.connect()])
    const left = Object.keys(checks)
    const worker = async () => {
      while (left.length) await this.check(left.shift())
    }
    await Promise.all(Array.from({ length: AT_ONCE }, worker))
    return this.failed ? 1 : 0
  }

  async create(topic, numPartitions) {
    await asked(this.admin.createTopics({ topics: [{ topic, numPartitions, replicationFactor: 1 }], waitForLeaders: false }))
    for (const end = Date.now() + LIMIT_MS; ; await sleep(50)) {
      try {
        return await asked(this.admin.fetchTopicMetadata({ topics: [topic] }))
      } catch (error) {
        if (Date.now() > end) throw error
      }
    }
  }

  async check(name) {
    const g = new Group(this, `kafkajs-groups-${name}`)
    const check = `classic-roundrobin-${name}`
    try {
      await this.create(g.id, PARTITIONS)
      const detail = await checks[name](g)
      assert.deepStrictEqual(g.violations, [])
      console.log(detail ? `ok ${check} ${detail}` : `ok ${check}`)
    } catch (error) {
      if (error instanceof Missing) return console.log(`n/a ${check} ${error.message}`)
      this.failed++
      console.log(`FAIL ${check} ${String(error.stack).replace(/\s+/g, ' ').slice(0, 900)}`)
    } finally {
      await g.close()
    }
  }
}

new Suite().run().then(code => process.exit(code), error => { console.log(`FAIL connect ${error}`); process.exit(1) })
