// kafkajs through the contract. It reads in groups only, so until there are groups its own broker class is asked to fetch.
'use strict'
const { ConfigResourceTypes, CompressionCodecs, CompressionTypes, Kafka, logLevel } = require('kafkajs')
const snappy = require('kafkajs-snappy')
const lz4 = require('lz4js')
const xxh32 = require('lz4js/xxh32.js')
const { ZstdCodec } = require('zstd-codec')
const { Contract, Missing, Refused } = require('./contract')

const LIMIT_MS = 60_000

/** Turns the client's errors for a code of the protocol into Refused. */
async function asked(promise) {
  try {
    return await promise
  } catch (error) {
    let e = error
    while (!(e.code > 0) && (e.errors?.length || e.partitions?.[0]?.error || e.cause)) e = e.errors?.[0] ?? e.partitions?.[0]?.error ?? e.cause
    throw e.code > 0 ? new Refused(e.code, e.message) : error
  }
}

/** An LZ4 frame of independent blocks of at most 4 MiB; lz4js itself writes dependent ones, which Kafka refuses. */
function lz4Frame(input) {
  const descriptor = Buffer.from([0x60, 0x70])
  const parts = [Buffer.from([0x04, 0x22, 0x4d, 0x18]), descriptor, Buffer.from([(xxh32.hash(0, descriptor, 0, 2) >> 8) & 0xff])]
  for (let at = 0; at < input.length; at += 4 << 20) {
    const block = input.subarray(at, at + (4 << 20))
    const out = Buffer.alloc(lz4.compressBound(block.length))
    const size = lz4.compressBlock(block, out, 0, block.length, new Uint32Array(1 << 16))
    const word = Buffer.alloc(4)
    // The highest bit says that a block is stored as it is.
    word.writeUInt32LE(size > 0 ? size : block.length + 0x80000000)
    parts.push(word, size > 0 ? out.subarray(0, size) : block)
  }
  return Buffer.concat([...parts, Buffer.alloc(4)])
}

async function installCodecs() {
  CompressionCodecs[CompressionTypes.Snappy] = snappy
  CompressionCodecs[CompressionTypes.LZ4] = () => ({
    compress: async encoder => lz4Frame(encoder.buffer),
    decompress: async buffer => Buffer.from(lz4.decompress(buffer)),
  })
  const zstd = await new Promise(resolve => ZstdCodec.run(z => resolve(new z.Streaming())))
  CompressionCodecs[CompressionTypes.ZSTD] = () => ({
    compress: async encoder => Buffer.from(zstd.compress(encoder.buffer)),
    decompress: async buffer => Buffer.from(zstd.decompress(buffer)),
  })
}

class KafkaJs {
  name = 'kafkajs'

  constructor(bootstrap) {
    this.kafka = new Kafka({ clientId: 'interop', brokers: [bootstrap], logLevel: logLevel.NOTHING,
      retry: { initialRetryTime: 50, retries: 4 }, requestTimeout: LIMIT_MS })
    this.admin = this.kafka.admin()
  }

  async connect() {
    await this.admin.connect()
    // The cluster object behind a consumer, which the client does not export.
    const symbol = Object.getOwnPropertySymbols(this.kafka).concat(Object.getOwnPropertySymbols(Object.getPrototypeOf(this.kafka)))
      .find(s => String(s).includes('createCluster'))
    this.cluster_ = this.kafka[symbol]({ metadataMaxAge: 300_000, allowAutoTopicCreation: false, maxInFlightRequests: null })
    await this.cluster_.connect()
    return this
  }

  async close() {
    await this.cluster_.disconnect()
    await this.admin.disconnect()
  }

  async cluster() {
    const got = await this.admin.describeCluster()
    return { brokers: got.brokers.map(b => b.nodeId), controller: got.controller, clusterId: got.clusterId }
  }

  async createTopic(topic, partitions, configs, { validateOnly = false, replication = 1 } = {}) {
    const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }))
    const created = await asked(this.admin.createTopics({ validateOnly, waitForLeaders: false,
      topics: [{ topic, numPartitions: partitions, replicationFactor: replication, configEntries }] }))
    // The client turns this one code into false.
    if (!created) throw new Refused(36)
  }

  createPartitions(topic, count) {
    return asked(this.admin.createPartitions({ topicPartitions: [{ topic, count }] }))
  }

  deleteTopic(topic) {
    return asked(this.admin.deleteTopics({ topics: [topic] }))
  }

  async describeTopic(topic) {
    const { topics } = await asked(this.admin.fetchTopicMetadata({ topics: [topic] }))
    return topics[0].partitions.map(p => [p.partitionId, p.leader, p.replicas, p.isr]).sort((x, y) => x[0] - y[0])
  }

  async configs(kind, name) {
    const type = kind === 'topic' ? ConfigResourceTypes.TOPIC : ConfigResourceTypes.BROKER
    const { resources } = await asked(this.admin.describeConfigs({ resources: [{ type, name }], includeSynonyms: false }))
    return Object.fromEntries(resources[0].configEntries.map(e => [e.configName, e.configValue]))
  }

  async alterConfig(name, key, value) {
    // AlterConfigs replaces the whole set of a resource: what was given at creation is given again.
    const all = { 'segment.bytes': '1048576', 'retention.ms': '-1', [key]: value }
    const configEntries = Object.entries(all).map(([name, value]) => ({ name, value }))
    await asked(this.admin.alterConfigs({ validateOnly: false, resources: [{ type: ConfigResourceTypes.TOPIC, name, configEntries }] }))
  }

  deleteRecords(topic, partition, before) {
    return asked(this.admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(before) }] }))
  }

  async offset(topic, partition, spec) {
    if (spec === 'max-timestamp') throw new Missing('no call for the offset of the greatest timestamp')
    const ends = (await asked(this.admin.fetchTopicOffsets(topic))).find(p => p.partition === partition)
    if (spec === 'earliest') return Number(ends.low)
    if (spec === 'latest') return Number(ends.high)
    const got = await asked(this.admin.fetchTopicOffsetsByTimestamp(topic, spec))
    const { offset } = got.find(p => p.partition === partition)
    // The client answers with the end where the server says that there is none.
    return offset === ends.high ? -1 : Number(offset)
  }

  async produce(topic, records, { codec, acks, idempotent = false }) {
    const producer = this.kafka.producer({ idempotent, maxInFlightRequests: idempotent ? 1 : null, allowAutoTopicCreation: true,
      createPartitioner: () => ({ message }) => message.partition })
    await producer.connect()
    try {
      const messages = records.map(r => ({ partition: r.partition, key: r.key, value: r.value, timestamp: String(r.timestamp),
        headers: Object.fromEntries(r.headers) }))
      const compression = { none: 0, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy, lz4: CompressionTypes.LZ4, zstd: CompressionTypes.ZSTD }[codec]
      const got = await asked(producer.send({ topic, acks, compression, messages }))
      const next = new Map((got ?? []).map(p => [p.partition, Number(p.baseOffset)]))
      return records.map(r => {
        if (acks === 0) return null
        const offset = next.get(r.partition)
        next.set(r.partition, offset + 1)
        return offset
      })
    } finally {
      await producer.disconnect()
    }
  }

  async fetch(topic, partition, begin, end) {
    const cluster = this.cluster_
    await cluster.addTargetTopic(topic)
    await cluster.refreshMetadata()
    const [leader] = Object.keys(cluster.findLeaderForPartitions(topic, [partition]))
    const broker = await cluster.findBroker({ nodeId: leader })
    let next = begin === 'earliest' ? await this.offset(topic, partition, 'earliest') : begin
    const out = []
    for (const limit = Date.now() + LIMIT_MS; out.length === 0 || out.at(-1).offset + 1 < end; ) {
      if (Date.now() > limit) throw new Error(`only ${out.length} records`)
      const { responses } = await asked(broker.fetch({ replicaId: -1, isolationLevel: 1, maxWaitTime: 100, minBytes: 1, maxBytes: 1 << 22,
        topics: [{ topic, partitions: [{ partition, fetchOffset: String(next), maxBytes: 1 << 22 }] }] }))
      for (const m of responses[0].partitions[0].messages) {
        // Whole batches come back: those before the wanted offset are the client's to skip.
        if (Number(m.offset) < next) continue
        next = Number(m.offset) + 1
        out.push({ partition, key: m.key, value: m.value, headers: Object.entries(m.headers), timestamp: Number(m.timestamp), offset: Number(m.offset) })
      }
    }
    return out
  }

  async fetchNew(topic, partition, produce) {
    const end = await this.offset(topic, partition, 'latest')
    const waiting = this.fetch(topic, partition, end, end + 1)
    await produce()
    return waiting
  }
}

installCodecs()
  .then(() => new KafkaJs(process.env.BOOTSTRAP).connect())
  .then(adapter => new Contract(adapter).run())
  .then(code => process.exit(code), error => { console.log(`FAIL connect ${error}`); process.exit(1) })
