// Makes the fixtures of crate `records` with Apache Kafka's own classes; see README.md beside it.
// Usage: java -cp 'JARS/*' Golden.java DIR   writes DIR/batches.txt and DIR/appends.txt

import java.io.*;
import java.lang.reflect.Proxy;
import java.nio.ByteBuffer;
import java.nio.file.*;
import java.util.*;
import java.util.stream.*;
import java.util.zip.CRC32C;
import org.apache.kafka.common.compress.*;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.message.*;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.record.*;
import org.apache.kafka.common.record.internal.*;
import org.apache.kafka.common.requests.ProduceRequest;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.server.common.RequestLocal;
import org.apache.kafka.server.util.KafkaScheduler;
import org.apache.kafka.storage.internals.log.*;
import org.apache.kafka.storage.log.metrics.BrokerTopicStats;

public class Golden {
    static final long NOW = 1_700_000_000_000L;
    static final HexFormat HEX = HexFormat.of();
    static final Random RANDOM = new Random(4);
    static PrintWriter out;

    static byte[] text(int length) {
        Random random = new Random(length);
        StringBuilder text = new StringBuilder();
        while (text.length() < length) text.append("field").append(random.nextInt(1000)).append('=').append(random.nextInt(10)).append(';');
        return text.substring(0, length).getBytes();
    }

    static byte[] bytes(MemoryRecords records) {
        ByteBuffer buffer = records.buffer().duplicate();
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return bytes;
    }

    static List<Compression> codecs() {
        return List.of(Compression.NONE, Compression.gzip().build(), Compression.gzip().level(9).build(), Compression.snappy().build(),
            Compression.lz4().build(), Compression.lz4().level(17).build(), Compression.zstd().build(), Compression.zstd().level(-3).build());
    }

    static MemoryRecordsBuilder builder(byte magic, Compression codec, TimestampType type, long base, long pid, int seq, boolean txn) {
        return MemoryRecords.builder(ByteBuffer.allocate(64), magic, codec, type, base, NOW, pid, pid < 0 ? -1 : (short) 5, seq, txn, 3);
    }

    // ---- batches that are read back ----

    static String field(ByteBuffer field) {
        if (field == null) return "-";
        byte[] bytes = new byte[field.remaining()];
        field.duplicate().get(bytes);
        return field(bytes);
    }

    static String field(byte[] bytes) {
        if (bytes == null) return "-";
        CRC32C crc = new CRC32C();
        crc.update(bytes);
        return bytes.length + ":" + Long.toHexString(crc.getValue());
    }

    static void batches(String name, byte[] bytes) {
        out.println("bytes " + name + " " + HEX.formatHex(bytes));
        for (RecordBatch batch : MemoryRecords.readableRecords(ByteBuffer.wrap(bytes)).batches()) {
            out.println(String.join(" ", "batch", "" + batch.magic(), "" + batch.baseOffset(), "" + batch.lastOffset(), "" + batch.maxTimestamp(),
                batch.compressionType().name, batch.timestampType().name, "" + batch.sizeInBytes(), "" + batch.producerId(), "" + batch.producerEpoch(),
                "" + batch.baseSequence(), "" + batch.lastSequence(), "" + batch.partitionLeaderEpoch(), "" + batch.isTransactional(),
                "" + batch.isControlBatch(), "" + batch.isValid()));
            for (org.apache.kafka.common.record.internal.Record record : batch) {
                String headers = Arrays.stream(record.headers()).map(h -> field(h.key().getBytes()) + "=" + field(h.value())).collect(Collectors.joining(","));
                out.println(String.join(" ", "record", "" + record.offset(), "" + record.timestamp(), field(record.key()), field(record.value()), "[" + headers + "]"));
            }
        }
    }

    static void allBatches() {
        Header[] headers = {new RecordHeader("a", "1".getBytes()), new RecordHeader("a", null), new RecordHeader("čž", new byte[0])};
        for (byte magic : new byte[] {0, 1, 2})
            for (Compression codec : codecs()) {
                if (magic < 2 && codec.type() == CompressionType.ZSTD) continue;
                for (TimestampType type : new TimestampType[] {TimestampType.CREATE_TIME, TimestampType.LOG_APPEND_TIME}) {
                    if (magic == 0 && type == TimestampType.LOG_APPEND_TIME) continue;
                    if (magic == 0) type = TimestampType.NO_TIMESTAMP_TYPE;
                    MemoryRecordsBuilder builder = builder(magic, codec, type, 40, magic < 2 ? -1 : 9, magic < 2 ? -1 : Integer.MAX_VALUE - 1, magic == 2);
                    builder.append(NOW - 1, "key".getBytes(), "value".getBytes(), magic < 2 ? new Header[0] : headers);
                    builder.append(NOW + 70_000, null, text(300));
                    builder.append(NOW - 90_000, new byte[0], null);
                    batches("v" + magic + "-" + codec.type() + "-" + type, bytes(builder.build()));
                }
            }
        for (Compression codec : codecs()) {
            MemoryRecordsBuilder builder = builder((byte) 2, codec, TimestampType.CREATE_TIME, 0, -1, -1, false);
            byte[] random = new byte[70_000];
            new Random(1).nextBytes(random);
            // Random bytes are stored as they are; they would only make the fixture large, so few codecs get them.
            builder.append(NOW, null, new byte[200_000]);
            if (codec.type() == CompressionType.LZ4) builder.append(NOW, null, Arrays.copyOf(random, 3_000));
            if (codec.type() != CompressionType.NONE) builder.append(NOW, null, text(3_000));
            if (codec.type() != CompressionType.NONE) batches("large-" + codec.type(), bytes(builder.build()));
        }
        for (ControlRecordType type : new ControlRecordType[] {ControlRecordType.COMMIT, ControlRecordType.ABORT})
            batches("marker-" + type, bytes(MemoryRecords.withEndTransactionMarker(77, NOW, 4, 9, (short) 5, new EndTransactionMarker(type, 12))));
        batches("leader-change", bytes(MemoryRecords.withLeaderChangeMessage(3, NOW, 4, ByteBuffer.allocate(200),
            new LeaderChangeMessage().setLeaderId(1).setVersion((short) 0))));
        batches("snapshot-header", bytes(MemoryRecords.withSnapshotHeaderRecord(0, NOW, 4, ByteBuffer.allocate(200), new SnapshotHeaderRecord().setLastContainedLogTimestamp(5))));
        batches("kraft-version", bytes(MemoryRecords.withKRaftVersionRecord(0, NOW, 4, ByteBuffer.allocate(200), new KRaftVersionRecord().setKRaftVersion((short) 1))));
    }

    // ---- appends: what a leader answers ----

    static final Time TIME = (Time) Proxy.newProxyInstance(Golden.class.getClassLoader(), new Class<?>[] {Time.class},
        (proxy, method, args) -> method.getName().equals("milliseconds") ? NOW : method.invoke(Time.SYSTEM, args));
    static final KafkaScheduler SCHEDULER = new KafkaScheduler(1);
    static int logs = 0;

    static void append(String name, int version, AppendOrigin origin, Map<String, String> topic, byte[] input) throws Exception {
        Path dir = Files.createTempDirectory("golden");
        Path logDir = Files.createDirectory(dir.resolve("t-0"));
        UnifiedLog log = UnifiedLog.create(logDir.toFile(), new LogConfig(topic), 100, 100, SCHEDULER, new BrokerTopicStats(), TIME, 3600_000,
            new ProducerStateManagerConfig(86_400_000, false), 600_000, new LogDirFailureChannel(1), true, Optional.empty());
        String answer;
        try {
            MemoryRecords records = MemoryRecords.readableRecords(ByteBuffer.wrap(input.clone()));
            if (origin == AppendOrigin.CLIENT) ProduceRequest.validateRecords((short) version, records);
            LogAppendInfo info = log.appendAsLeader(records, 7, origin, RequestLocal.noCaching(), VerificationGuard.SENTINEL, (short) 2);
            byte[] result = Files.readAllBytes(logDir.resolve(String.format("%020d.log", 100)));
            boolean opaque = topic.containsKey("compression.type") && !topic.get("compression.type").equals("uncompressed");
            answer = "ok " + info.firstOffset() + " " + info.lastOffset() + " " + info.maxTimestamp() + " " + info.logAppendTime() + " " + (opaque ? "-" : field(result));
        } catch (RecordValidationException e) {
            answer = "err " + Errors.forException(e.invalidException()) + "|" + e.invalidException().getMessage() + "|"
                + e.recordErrors().stream().map(r -> r.batchIndex + " " + r.message).collect(Collectors.joining("|"));
        } catch (Throwable e) {
            answer = "err " + Errors.forException(e) + "|-|";
            System.err.println(name + ": " + e);
        }
        String config = topic.entrySet().stream().sorted(Map.Entry.comparingByKey()).map(e -> e.getKey() + "=" + e.getValue()).collect(Collectors.joining(","));
        out.println(String.join(" ", "append", name, "" + version, origin.toString(), config.isEmpty() ? "-" : config, HEX.formatHex(input)));
        out.println(answer);
        log.close();
        try (Stream<Path> files = Files.walk(dir)) {
            files.sorted(Comparator.reverseOrder()).forEach(p -> p.toFile().delete());
        }
    }

    static byte[] sealed(byte[] batch) {
        CRC32C crc = new CRC32C();
        crc.update(batch, 21, batch.length - 21);
        ByteBuffer.wrap(batch).putInt(17, (int) crc.getValue());
        return batch;
    }

    static byte[] with(byte[] batch, java.util.function.Consumer<ByteBuffer> change) {
        byte[] copy = batch.clone();
        change.accept(ByteBuffer.wrap(copy));
        return sealed(copy);
    }

    static byte[] join(byte[]... parts) throws IOException {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        for (byte[] part : parts) all.write(part);
        return all.toByteArray();
    }

    static byte[] batch(Compression codec, long pid, boolean keys) {
        MemoryRecordsBuilder builder = builder((byte) 2, codec, TimestampType.CREATE_TIME, 0, pid, pid < 0 ? -1 : 0, false);
        builder.append(NOW, keys ? "k".getBytes() : null, "v".getBytes(), new Header[] {new RecordHeader("h", "x".getBytes())});
        builder.append(NOW + 5, "k2".getBytes(), null);
        builder.append(NOW - 5, keys ? "k".getBytes() : null, text(40));
        return bytes(builder.build());
    }

    static void allAppends() throws Exception {
        AppendOrigin client = AppendOrigin.CLIENT;
        Map<String, String> plain = Map.of();
        Compression[] codecs = {Compression.NONE, Compression.gzip().build(), Compression.snappy().build(), Compression.lz4().build(), Compression.zstd().build()};
        for (Compression codec : codecs) {
            String c = codec.type().name;
            byte[] good = batch(codec, -1, true);
            byte[] idempotent = batch(codec, 9, false);
            append(c + "-good", 12, client, plain, good);
            append(c + "-idempotent", 12, client, plain, idempotent);
            append(c + "-v3", 3, client, plain, good);
            append(c + "-append-time", 12, client, Map.of("message.timestamp.type", "LogAppendTime"), good);
            append(c + "-compacted", 12, client, Map.of("cleanup.policy", "compact"), good);
            append(c + "-compacted-no-keys", 12, client, Map.of("cleanup.policy", "compact,delete"), batch(codec, -1, false));
            append(c + "-too-old", 12, client, Map.of("message.timestamp.before.max.ms", "4"), good);
            append(c + "-too-new", 12, client, Map.of("message.timestamp.after.max.ms", "4"), good);
            append(c + "-in-bounds", 12, client, Map.of("message.timestamp.after.max.ms", "5", "message.timestamp.before.max.ms", "5"), good);
            append(c + "-too-old-no-keys", 12, client, Map.of("cleanup.policy", "compact", "message.timestamp.before.max.ms", "4"), batch(codec, -1, false));
            append(c + "-too-large", 12, client, Map.of("max.message.bytes", "" + (good.length - 1)), good);
            append(c + "-just-fits", 12, client, Map.of("max.message.bytes", "" + good.length), good);
            append(c + "-large-record", 12, client, Map.of("max.decompressed.message.bytes", "30"), good);
            for (String target : new String[] {"uncompressed", "gzip", "snappy", "lz4", "zstd"}) {
                append(c + "-to-" + target, 12, client, Map.of("compression.type", target), good);
                append(c + "-to-" + target + "-append-time", 12, client, Map.of("compression.type", target, "message.timestamp.type", "LogAppendTime"), idempotent);
            }
            append(c + "-to-uncompressed-too-large", 12, client, Map.of("compression.type", "uncompressed", "max.message.bytes", "150"), good);
            append(c + "-base-offset", 12, client, plain, with(good, b -> b.putLong(0, 1)));
            append(c + "-count-0", 12, client, plain, with(good, b -> b.putInt(57, 0).putInt(23, -1)));
            append(c + "-count-negative", 12, client, plain, with(good, b -> b.putInt(57, -1)));
            append(c + "-count-low", 12, client, plain, with(good, b -> b.putInt(57, 2)));
            append(c + "-count-low-both", 12, client, plain, with(good, b -> b.putInt(57, 2).putInt(23, 1)));
            append(c + "-count-high", 12, client, plain, with(good, b -> b.putInt(57, 4)));
            append(c + "-count-high-both", 12, client, plain, with(good, b -> b.putInt(57, 4).putInt(23, 3)));
            append(c + "-count-max-both", 12, client, plain, with(good, b -> b.putInt(57, Integer.MAX_VALUE).putInt(23, Integer.MAX_VALUE - 1)));
            append(c + "-last-delta-negative", 12, client, plain, with(good, b -> b.putInt(23, -2)));
            append(c + "-control", 12, client, plain, with(good, b -> b.putShort(21, (short) (b.getShort(21) | 0x20))));
            append(c + "-control-coordinator", 12, AppendOrigin.COORDINATOR, plain, bytes(MemoryRecords.withEndTransactionMarker(0, NOW, 4, 9, (short) 5, new EndTransactionMarker(ControlRecordType.COMMIT, 12))));
            append(c + "-sequence-negative", 12, client, plain, with(idempotent, b -> b.putInt(53, -1)));
            append(c + "-crc", 12, client, plain, flip(good, good.length - 1));
            append(c + "-max-timestamp-wrong", 12, client, plain, with(good, b -> b.putLong(35, 3)));
            append(c + "-claims-append-time", 12, client, plain, with(good, b -> b.putShort(21, (short) (b.getShort(21) | 8))));
            append(c + "-claims-append-time-bad", 12, client, plain, with(good, b -> b.putShort(21, (short) (b.getShort(21) | 8)).putLong(35, NOW + 3_600_001)));
            append(c + "-claims-append-time-none", 12, client, plain, with(good, b -> b.putShort(21, (short) (b.getShort(21) | 8)).putLong(35, -1)));
            append(c + "-claims-append-time-both", 12, client, Map.of("message.timestamp.type", "LogAppendTime"), with(good, b -> b.putShort(21, (short) (b.getShort(21) | 8))));
            append(c + "-delete-horizon", 12, client, plain, with(good, b -> b.putShort(21, (short) (b.getShort(21) | 0x40))));
            append(c + "-two-batches", 12, client, plain, join(good, good));
            append(c + "-two-batches-coordinator", 12, AppendOrigin.COORDINATOR, plain, join(good, good));
            append(c + "-torn-second", 12, client, plain, join(good, Arrays.copyOf(good, 70)));
            append(c + "-garbage-after", 12, client, plain, join(good, new byte[30]));
            append(c + "-cut", 12, client, plain, Arrays.copyOf(good, good.length - 1));
            append(c + "-empty", 12, client, plain, new byte[0]);
            append(c + "-magic-3", 12, client, plain, with(good, b -> b.put(16, (byte) 3)));
            append(c + "-unknown-codec", 12, client, plain, with(good, b -> b.putShort(21, (short) (b.getShort(21) | 5))));
            MemoryRecordsBuilder gap = builder((byte) 2, codec, TimestampType.CREATE_TIME, 0, -1, -1, false);
            gap.appendWithOffset(0, NOW, "k".getBytes(), "v".getBytes());
            gap.appendWithOffset(4, NOW, "k".getBytes(), "v".getBytes());
            byte[] gaps = bytes(gap.build());
            append(c + "-gaps", 12, client, plain, gaps);
            append(c + "-gaps-hidden", 12, client, plain, with(gaps, b -> b.putInt(23, 1)));
            append(c + "-gaps-hidden-to-zstd", 12, client, Map.of("compression.type", "zstd"), with(gaps, b -> b.putInt(23, 1)));
            append(c + "-gaps-hidden-to-gzip", 12, client, Map.of("compression.type", "gzip"), with(gaps, b -> b.putInt(23, 1)));
            append(c + "-gaps-coordinator", 12, AppendOrigin.COORDINATOR, plain, gaps);
            for (byte magic : new byte[] {0, 1}) {
                if (codec.type() == CompressionType.ZSTD) continue;
                MemoryRecordsBuilder old = builder(magic, codec, magic == 0 ? TimestampType.NO_TIMESTAMP_TYPE : TimestampType.CREATE_TIME, 0, -1, -1, false);
                old.append(NOW, "k".getBytes(), "v".getBytes());
                append(c + "-magic-" + magic, 3, client, plain, bytes(old.build()));
            }
            for (int i = 0; i < 40; i++) {
                byte[] mutant = good.clone();
                for (int flips = 1 + RANDOM.nextInt(2); flips > 0; flips--) mutant[61 + RANDOM.nextInt(mutant.length - 61)] = (byte) RANDOM.nextInt(256);
                append(c + "-body-" + i, 12, client, plain, sealed(mutant));
            }
            for (int i = 0; i < 25; i++) {
                byte[] mutant = good.clone();
                mutant[RANDOM.nextInt(61)] = (byte) RANDOM.nextInt(256);
                append(c + "-head-" + i, 12, client, plain, i % 2 == 0 ? sealed(mutant) : mutant);
            }
        }
    }

    static byte[] flip(byte[] batch, int at) {
        byte[] copy = batch.clone();
        copy[at] ^= 1;
        return copy;
    }

    public static void main(String[] args) throws Exception {
        SCHEDULER.startup();
        out = new PrintWriter(args[0] + "/batches.txt", "UTF-8");
        allBatches();
        out.close();
        out = new PrintWriter(args[0] + "/appends.txt", "UTF-8");
        allAppends();
        out.close();
        SCHEDULER.shutdown();
    }
}
