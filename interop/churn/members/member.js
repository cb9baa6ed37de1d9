// One member of the churn test with kafkajs: node member.js BOOTSTRAP GROUP PROTOCOL ASSIGNOR TOPICS NAME SESSION_MS (PROTOCOL is
// classic, ASSIGNOR is range). Writes what happens to it as JSON lines; leaves its group on SIGTERM.
'use strict'
const fs = require('fs')
const { Kafka, AssignerProtocol, logLevel } = require('kafkajs')

const [bootstrap, group, , assignor, topics, name, sessionMs] = process.argv.slice(2)

function log(ev, more = {}) {
  const t = Number(process.hrtime.bigint()) / 1e6
  fs.writeSync(1, JSON.stringify({ t, ev, member: name, group, ...more }) + '\n')
}

// kafkajs has round robin alone, under a name of its own; this is Kafka's range, which the other clients speak.
const range = ({ cluster }) => ({
  name: assignor,
  version: 0,
  protocol: ({ topics }) => ({
    name: assignor,
    metadata: AssignerProtocol.MemberMetadata.encode({ version: 0, topics, userData: Buffer.alloc(0) }),
  }),
  async assign({ members, topics }) {
    const wants = members.map(({ memberId, memberMetadata }) => ({
      memberId,
      topics: AssignerProtocol.MemberMetadata.decode(memberMetadata).topics,
    }))
    const assigned = Object.fromEntries(wants.map(({ memberId }) => [memberId, {}]))
    for (const topic of new Set(wants.flatMap((w) => w.topics))) {
      const partitions = cluster.findTopicPartitionMetadata(topic).map((p) => p.partitionId).sort((a, b) => a - b)
      const owners = wants.filter((w) => w.topics.includes(topic)).map((w) => w.memberId).sort()
      owners.forEach((memberId, i) => {
        const few = Math.floor(partitions.length / owners.length)
        const more = partitions.length % owners.length
        const begin = few * i + Math.min(i, more)
        assigned[memberId][topic] = partitions.slice(begin, begin + few + (i < more ? 1 : 0))
      })
    }
    return Object.entries(assigned).map(([memberId, assignment]) => ({
      memberId,
      memberAssignment: AssignerProtocol.MemberAssignment.encode({ version: 0, assignment, userData: Buffer.alloc(0) }),
    }))
  },
})

const kafka = new Kafka({ clientId: name, brokers: [bootstrap], logLevel: logLevel.NOTHING, retry: { retries: 1000, maxRetryTime: 1000 } })
const consumer = kafka.consumer({
  groupId: group,
  partitionAssigners: [range],
  sessionTimeout: Number(sessionMs),
  heartbeatInterval: 1000,
  rebalanceTimeout: 60000,
  metadataMaxAge: 1000,
  maxWaitTimeInMs: 200,
})

let owned = []
function drop(ev) {
  if (owned.length) log(ev, { parts: owned })
  owned = []
}
consumer.on(consumer.events.REBALANCING, () => drop('revoked'))
consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
  drop('lost')
  owned = Object.entries(payload.memberAssignment).flatMap(([topic, parts]) => parts.map((p) => [topic, p]))
  log('assigned', { id: payload.memberId, parts: owned })
})
consumer.on(consumer.events.CRASH, ({ payload }) => log('error', { error: payload.error.name, restart: payload.restart }))

// Commits inside of the batch: kafkajs joins a new generation between batches only, so a commit is never of a partition that is gone.
async function eachBatch({ batch, heartbeat, isRunning, isStale }) {
  if (!isRunning() || isStale()) return
  const { topic, partition, messages } = batch
  let first = Number(messages[0].offset)
  let last = first - 1
  for (const m of messages) {
    if (Number(m.offset) !== last + 1) {
      log('consumed', { topic, partition, first, last })
      first = Number(m.offset)
    }
    last = Number(m.offset)
  }
  log('consumed', { topic, partition, first, last })
  await heartbeat()
  try {
    await consumer.commitOffsets([{ topic, partition, offset: String(last + 1) }])
    log('committed', { offsets: [[topic, partition, last + 1]] })
  } catch (error) {
    log('refused', { error: error.type || error.name })
    throw error
  }
}

async function main() {
  log('start')
  await consumer.connect()
  await consumer.subscribe({ topics: topics.split(','), fromBeginning: true })
  await consumer.run({ autoCommit: false, eachBatchAutoResolve: true, eachBatch })
  process.on('SIGTERM', async () => {
    await consumer.disconnect()
    log('closed')
    process.exit(0)
  })
}

main().catch((error) => {
  log('error', { error: String(error) })
  process.exit(1)
})
