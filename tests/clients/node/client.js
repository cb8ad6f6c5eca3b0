// kafkajs with the command line and the lines of output of ../python/client.py.
//
//     node client.js --bootstrap HOST:PORT COMMAND ...

const fs = require('node:fs');
const { parseArgs } = require('node:util');
const {
  Kafka,
  Partitioners,
  PartitionAssigners,
  KafkaJSProtocolError,
  logLevel,
} = require('kafkajs');

const emit = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);
const text = (value) => (value === null || value === undefined ? null : value.toString('utf8'));

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    bootstrap: { type: 'string' },
    user: { type: 'string' },
    'password-env': { type: 'string', default: 'KAFKA_PASSWORD' },
    mechanism: { type: 'string', default: 'PLAIN' },
    ca: { type: 'string' },
    timeout: { type: 'string', default: '30' },
    'key-prefix': { type: 'string', default: 'k' },
    keys: { type: 'string', default: '20' },
    start: { type: 'string', default: '0' },
    idempotent: { type: 'boolean', default: false },
    partitioner: { type: 'string', default: 'murmur2' },
    from: { type: 'string', default: 'earliest' },
    count: { type: 'string' },
    'commit-every': { type: 'string', default: '10' },
    'static-id': { type: 'string' },
    cooperative: { type: 'boolean', default: false },
    'session-ms': { type: 'string', default: '6000' },
  },
});
const [command, topic, ...rest] = positionals;

class Unsupported extends Error {}

function connect() {
  const settings = {
    brokers: options.bootstrap.split(','),
    clientId: 'kafkajs',
    logLevel: logLevel.ERROR,
    // By default it gives up after five attempts.
    retry: { retries: 30, maxRetryTime: 1000 },
    // Its log goes to standard output otherwise, between the events.
    logCreator: () => (entry) => process.stderr.write(`${JSON.stringify(entry.log)}\n`),
  };
  if (options.ca) {
    settings.ssl = { ca: [fs.readFileSync(options.ca, 'utf8')] };
  }
  if (options.user) {
    settings.sasl = {
      mechanism: options.mechanism.toLowerCase(),
      username: options.user,
      password: process.env[options['password-env']] || '',
    };
  }
  return new Kafka(settings);
}

function newProducer(kafka, idempotent) {
  // This one is murmur2, as Java's; kafkajs 1 had another.
  const createPartitioner = Partitioners.DefaultPartitioner;
  // An idempotent producer of kafkajs may have one request on its way.
  return kafka.producer({ createPartitioner, idempotent, maxInFlightRequests: idempotent ? 1 : 5 });
}

const COMMANDS = { produce, consume, group, conflict };
const BATCH = 50;

async function produce(kafka) {
  const [count, start] = [Number(rest[0]), Number(options.start)];
  const keys = Number(options.keys);
  const producer = newProducer(kafka, options.idempotent);
  await producer.connect();
  for (let first = start; first < start + count; first += BATCH) {
    const numbers = [];
    for (let n = first; n < Math.min(first + BATCH, start + count); n += 1) numbers.push(n);
    const messages = numbers.map((n) => ({
      key: `${options['key-prefix']}${n % keys}`,
      value: JSON.stringify({ n }),
    }));
    const written = await producer.send({ topic, acks: -1, messages });
    // It tells the first offset of each partition only, and not which messages went there.
    for (const { partition, baseOffset } of written) {
      emit({ delivered: { partition, offset: Number(baseOffset) } });
    }
  }
  await producer.disconnect();
  emit({ done: count });
}

async function conflict(kafka) {
  const [key, version] = rest;
  const producer = newProducer(kafka, false);
  await producer.connect();
  try {
    const headers = { 'expected-version': version };
    const messages = [{ key, value: '{"n": 0}', headers }];
    const [written] = await producer.send({ topic, acks: -1, messages });
    emit({ ok: Number(written.baseOffset) });
  } catch (error) {
    const cause = error instanceof KafkaJSProtocolError ? error : error.cause || error;
    emit({ error: cause.type || cause.name, code: cause.code, message: error.message });
  }
  await producer.disconnect();
}

function emitRecord(partition, message) {
  const headers = Object.entries(message.headers || {});
  emit({
    record: {
      partition,
      offset: Number(message.offset),
      key: text(message.key),
      value: text(message.value),
      timestamp: Number(message.timestamp),
      headers: Object.fromEntries(headers.map(([name, value]) => [name, text(value)])),
    },
  });
}

// kafkajs reads topics in groups only: this one is of its own, and commits nothing.
async function consume(kafka) {
  const count = Number(options.count);
  let starts = [];
  if (options.from !== 'earliest') {
    const admin = kafka.admin();
    await admin.connect();
    starts = await admin.fetchTopicOffsetsByTimestamp(topic, Number(options.from));
    await admin.disconnect();
  }
  const groupId = `kafkajs-${process.pid}-${Date.now()}`;
  const consumer = kafka.consumer({ groupId, allowAutoTopicCreation: false });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  let left = count;
  const enough = deferred();
  const begins = new Map(starts.map(({ partition, offset }) => [partition, Number(offset)]));
  consumer.on(consumer.events.CRASH, ({ payload }) => enough.reject(payload.error));
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ partition, message }) => {
      // A batch may have been on its way before the seek.
      if (left === 0 || Number(message.offset) < (begins.get(partition) ?? 0)) return;
      emitRecord(partition, message);
      left -= 1;
      if (left === 0) enough.resolve();
    },
  });
  for (const { partition, offset } of starts) consumer.seek({ topic, partition, offset });
  await enough.promise;
  await consumer.disconnect();
  emit({ done: count });
}

function deferred() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
}

async function group(kafka) {
  if (options['static-id']) throw new Unsupported('kafkajs has no static members');
  if (options.cooperative) throw new Unsupported('kafkajs has no cooperative assigner');
  const every = Number(options['commit-every']);
  const consumer = kafka.consumer({
    groupId: rest[0],
    sessionTimeout: Number(options['session-ms']),
    rebalanceTimeout: Number(options['session-ms']),
    heartbeatInterval: 500,
    maxWaitTimeInMs: 500,
    partitionAssigners: [PartitionAssigners.roundRobin],
  });
  const enough = deferred();
  let owned = [];
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    // It has no event for what a member loses.
    if (owned.length > 0) emit({ revoked: owned });
    owned = payload.memberAssignment[topic] || [];
    emit({ assigned: owned });
  });
  consumer.on(consumer.events.COMMIT_OFFSETS, ({ payload }) => {
    const partitions = payload.topics.flatMap(({ partitions }) => partitions);
    const offsets = partitions.map(({ partition, offset }) => [partition, Number(offset)]);
    emit({ committed: Object.fromEntries(offsets) });
  });
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    if (!payload.restart) enough.reject(payload.error);
  });
  process.on('SIGTERM', () => enough.resolve());
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  let left = options.count === undefined ? Infinity : Number(options.count);
  await consumer.run({
    autoCommitThreshold: every,
    eachMessage: async ({ partition, message }) => {
      if (left === 0) return;
      emitRecord(partition, message);
      left -= 1;
      if (left === 0) enough.resolve();
    },
  });
  await enough.promise;
  await consumer.stop();
  await consumer.disconnect();
  emit({ closed: true });
}

// Ends the process once all lines are written: to a pipe they are written later.
function end(code) {
  process.stdout.write('', () => process.exit(code));
}

function fail(name, message, code) {
  emit({ error: name, message });
  end(code);
}

const late = () => fail('timeout', 'the command did not end in time', 1);
setTimeout(late, Number(options.timeout) * 1000).unref();
COMMANDS[command](connect())
  .then(() => end(0))
  .catch((error) => {
    const unsupported = error instanceof Unsupported;
    fail(unsupported ? 'unsupported' : error.name, error.message, unsupported ? 3 : 1);
  });
