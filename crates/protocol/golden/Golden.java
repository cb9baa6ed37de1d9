// Writes encoded messages of Apache Kafka: for every message and version four instances, filled from a fixed seed.
// And for every field an instance with nothing else set, as each version writes or refuses it.
// Usage: java -cp <jars named by the pom> Golden.java <directory>

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.errors.UnsupportedVersionException;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.Field;
import org.apache.kafka.common.protocol.types.RawTaggedField;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.protocol.types.Type;
import org.apache.kafka.common.record.internal.MemoryRecords;

import java.io.DataOutputStream;
import java.io.File;
import java.io.FileOutputStream;
import java.io.InputStream;
import java.lang.reflect.Method;
import java.lang.reflect.ParameterizedType;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.zip.Deflater;
import java.util.zip.GZIPOutputStream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;

public class Golden {
    /** How an instance is filled; the ordinal goes into the file. */
    enum Fill {
        DEFAULTS, FULL, NULLS, MIXED, MIXED_AGAIN;

        boolean mixed() {
            return this == MIXED || this == MIXED_AGAIN;
        }
    }

    static final String[] WORDS = {"a", "topic", "grüße", "日本", "x-1", "", "🙂", "host.example"};
    static final ObjectMapper JSON = new ObjectMapper().enable(JsonParser.Feature.ALLOW_COMMENTS);

    public static void main(String[] args) throws Exception {
        Map<String, Class<?>> messages = new TreeMap<>();
        Map<String, JsonNode> schemas = new TreeMap<>();
        for (String path : System.getProperty("java.class.path").split(File.pathSeparator)) {
            if (new File(path).getName().matches("kafka.*\\.jar")) scan(path, messages, schemas);
        }
        Path directory = Path.of(args[0]);
        int vectors = 0;
        int singles = 0;
        try (DataOutputStream out = gzip(directory.resolve("vectors.bin.gz"))) {
            for (Class<?> message : messages.values()) vectors += writeAll(message, out);
        }
        try (DataOutputStream out = gzip(directory.resolve("singles.bin.gz"))) {
            for (Class<?> message : messages.values()) singles += writeSingles(message, out);
        }
        StringBuilder fields = new StringBuilder();
        for (JsonNode schema : schemas.values()) {
            if (!schema.get("validVersions").asText().equals("none")) listMessage(fields, schema);
        }
        try (DataOutputStream out = gzip(directory.resolve("fields.txt.gz"))) {
            out.write(fields.toString().getBytes(StandardCharsets.UTF_8));
        }
        System.out.println(messages.size() + " messages, " + vectors + " vectors, " + singles + " with a single field; fields of " + schemas.size());
    }

    static DataOutputStream gzip(Path path) throws Exception {
        return new DataOutputStream(new GZIPOutputStream(new FileOutputStream(path.toFile())) {{ def.setLevel(Deflater.BEST_COMPRESSION); }});
    }

    static void scan(String jar, Map<String, Class<?>> messages, Map<String, JsonNode> schemas) throws Exception {
        try (ZipFile zip = new ZipFile(jar)) {
            for (ZipEntry entry : (Iterable<ZipEntry>) zip.stream().map(e -> (ZipEntry) e)::iterator) {
                String name = entry.getName();
                if (name.matches("common/message/.*\\.json")) {
                    try (InputStream in = zip.getInputStream(entry)) {
                        JsonNode schema = JSON.readTree(in);
                        if (schema.has("validVersions")) schemas.put(schema.get("name").asText(), schema);
                    }
                } else if (name.matches("org/apache/kafka/.*(message|generated|metadata)/[A-Za-z]+\\.class")) {
                    Class<?> type = Class.forName(name.replaceAll("\\.class$", "").replace('/', '.'), false, Golden.class.getClassLoader());
                    if (!Message.class.isAssignableFrom(type) || type.isInterface()) continue;
                    if (messages.put(type.getSimpleName(), type) != null) throw new IllegalStateException("two " + type);
                }
            }
        }
    }

    static int writeAll(Class<?> type, DataOutputStream out) throws Exception {
        Schema[] schemas = (Schema[]) type.getField("SCHEMAS").get(null);
        int vectors = 0;
        for (int version = 0; version < schemas.length; version++) {
            if (schemas[version] == null) continue;
            for (Fill fill : Fill.values()) {
                Message message = (Message) type.getDeclaredConstructor().newInstance();
                Random random = new Random((type.getSimpleName() + version + fill).hashCode());
                if (fill != Fill.DEFAULTS) fill(message, schemas[version], fill, random);
                byte[] bytes = encode(message, (short) version);
                out.writeUTF(type.getSimpleName());
                out.writeShort(version);
                out.writeByte(fill.ordinal());
                out.writeInt(bytes.length);
                out.write(bytes);
                vectors++;
            }
        }
        return vectors;
    }

    /** Every instance with one field set, in the first version that has it; then what all versions make of it. */
    static int writeSingles(Class<?> type, DataOutputStream out) throws Exception {
        Schema[] schemas = (Schema[]) type.getField("SCHEMAS").get(null);
        Map<Message, Integer> singles = new LinkedHashMap<>();
        for (int version = 0; version < schemas.length; version++) {
            if (schemas[version] == null) continue;
            for (Object single : singles(type, schemas[version])) {
                // Records that must not be null but are: Kafka has no default for them.
                if (tryEncode((Message) single, version) != null) singles.putIfAbsent((Message) single, version);
            }
        }
        for (Map.Entry<Message, Integer> single : singles.entrySet()) {
            out.writeUTF(type.getSimpleName());
            writeBytes(out, single.getValue(), encode(single.getKey(), single.getValue().shortValue()));
            int versions = 0;
            for (Schema schema : schemas) versions += schema == null ? 0 : 1;
            out.writeShort(versions);
            for (int version = 0; version < schemas.length; version++) {
                if (schemas[version] == null) continue;
                writeBytes(out, version, tryEncode(single.getKey(), version));
            }
        }
        return singles.size();
    }

    /** Null when the version cannot express the message. */
    static byte[] tryEncode(Message message, int version) {
        try {
            return encode(message, (short) version);
        } catch (UnsupportedVersionException | NullPointerException e) {
            return null;
        }
    }

    static void writeBytes(DataOutputStream out, int version, byte[] bytes) throws Exception {
        out.writeShort(version);
        out.writeInt(bytes == null ? -1 : bytes.length);
        if (bytes != null) out.write(bytes);
    }

    /** For each field of the structure, directly or deeper, an instance with only this one set, and one with null. */
    static List<Object> singles(Class<?> type, Schema schema) throws Exception {
        List<Field> fields = new ArrayList<>();
        for (BoundField field : schema.fields()) {
            if (field.def.type instanceof TaggedFields tagged) fields.addAll(tagged.fields().values());
            else fields.add(field.def);
        }
        Random random = new Random(type.getName().hashCode());
        List<Object> singles = new ArrayList<>();
        if (schema.get("_tagged_fields") != null) {
            Object unknown = type.getDeclaredConstructor().newInstance();
            addUnknown(unknown, random);
            singles.add(unknown);
        }
        for (Field field : fields) {
            Method method = setter(type, field);
            Class<?> wanted = method.getParameterTypes()[0];
            java.lang.reflect.Type generic = method.getGenericParameterTypes()[0];
            List<Object> values = new ArrayList<>();
            Type element = field.type.isArray() ? field.type.arrayElementType().get() : field.type;
            if (field.type.isNullable()) values.add(null);
            if (element instanceof Schema inner) {
                Class<?> innerType = field.type.isArray() ? elementClass(wanted, generic) : wanted;
                List<Object> inners = singles(innerType, inner);
                inners.add(innerType.getDeclaredConstructor().newInstance());
                for (Object value : inners) {
                    if (field.type.isArray()) {
                        Collection<Object> list = emptyList(wanted, generic);
                        list.add(value);
                        values.add(list);
                    } else {
                        values.add(value);
                    }
                }
            } else {
                values.add(value(field.type, wanted, generic, Fill.FULL, random));
            }
            for (Object value : values) {
                Object single = type.getDeclaredConstructor().newInstance();
                method.invoke(single, value);
                singles.add(single);
            }
        }
        return singles;
    }

    static byte[] encode(Message message, short version) {
        ObjectSerializationCache cache = new ObjectSerializationCache();
        ByteBuffer buffer = ByteBuffer.allocate(message.size(cache, version));
        message.write(new ByteBufferAccessor(buffer), cache, version);
        if (buffer.hasRemaining()) throw new IllegalStateException(message.getClass() + " wrote less than its size");
        return buffer.array();
    }

    static void fill(Object target, Schema schema, Fill fill, Random random) throws Exception {
        for (BoundField field : schema.fields()) {
            if (field.def.type instanceof TaggedFields tagged) {
                for (Field known : tagged.fields().values()) {
                    if (!fill.mixed() || random.nextBoolean()) set(target, known, fill, random);
                }
                if (fill == Fill.FULL || (fill.mixed() && random.nextInt(4) == 0)) addUnknown(target, random);
            } else {
                set(target, field.def, fill, random);
            }
        }
    }

    static void addUnknown(Object target, Random random) throws Exception {
        @SuppressWarnings("unchecked")
        List<RawTaggedField> unknown = (List<RawTaggedField>) target.getClass().getMethod("unknownTaggedFields").invoke(target);
        int tag = 100 + random.nextInt(100);
        for (int i = random.nextInt(2); i >= 0; i--) {
            unknown.add(new RawTaggedField(tag, bytes(random, random.nextInt(5))));
            tag += 1 + random.nextInt(20000);
        }
    }

    static Method setter(Class<?> owner, Field field) {
        String name = "set" + field.name.replace("_", "");
        for (Method method : owner.getMethods()) {
            if (method.getName().equalsIgnoreCase(name) && method.getParameterCount() == 1) return method;
        }
        throw new IllegalStateException(owner + " has no setter for " + field.name);
    }

    static void set(Object target, Field field, Fill fill, Random random) throws Exception {
        Method method = setter(target.getClass(), field);
        boolean isNull = field.type.isNullable() && (fill == Fill.NULLS || (fill.mixed() && random.nextInt(3) == 0));
        Class<?> wanted = method.getParameterTypes()[0];
        java.lang.reflect.Type generic = method.getGenericParameterTypes()[0];
        method.invoke(target, isNull ? null : value(field.type, wanted, generic, fill, random));
    }

    static Object value(Type type, Class<?> wanted, java.lang.reflect.Type generic, Fill fill, Random random) throws Exception {
        if (type.isArray()) return array(type, wanted, generic, fill, random);
        if (type instanceof Schema schema) {
            Object inner = wanted.getDeclaredConstructor().newInstance();
            fill(inner, schema, fill, random);
            return inner;
        }
        String name = type.toString();
        switch (name) {
            case "BOOLEAN": return fill == Fill.FULL ? Boolean.TRUE : (Object) random.nextBoolean();
            case "INT8": return (byte) number(random, 8);
            case "INT16": return (short) number(random, 16);
            case "UINT16": return (int) number(random, 16) & 0xffff;
            case "INT32": return (int) number(random, 32);
            case "UINT32": return number(random, 32) & 0xffffffffL;
            case "INT64": return number(random, 64);
            case "FLOAT64": return random.nextDouble() * 1000;
            case "UUID": return new Uuid(random.nextLong(), random.nextInt(9));
            default:
        }
        if (name.endsWith("STRING")) return WORDS[random.nextInt(WORDS.length)];
        if (name.endsWith("RECORDS")) return MemoryRecords.readableRecords(ByteBuffer.wrap(bytes(random, random.nextInt(40))));
        if (name.endsWith("BYTES")) {
            byte[] bytes = bytes(random, random.nextInt(9));
            return wanted == ByteBuffer.class ? ByteBuffer.wrap(bytes) : (Object) bytes;
        }
        throw new IllegalStateException("no value for " + name);
    }

    static Object array(Type type, Class<?> wanted, java.lang.reflect.Type generic, Fill fill, Random random) throws Exception {
        Collection<Object> list = emptyList(wanted, generic);
        Class<?> element = elementClass(wanted, generic);
        int length = fill == Fill.FULL ? 1 + random.nextInt(2) : random.nextInt(3);
        for (int i = 0; i < length; i++) list.add(value(type.arrayElementType().get(), element, element, fill, random));
        return list;
    }

    /** A list, or one of Kafka's collections with keys. */
    @SuppressWarnings("unchecked")
    static Collection<Object> emptyList(Class<?> wanted, java.lang.reflect.Type generic) throws Exception {
        if (generic instanceof ParameterizedType) return new ArrayList<>();
        return (Collection<Object>) wanted.getDeclaredConstructor().newInstance();
    }

    /** What a list holds; for a collection with keys the class that its name starts with. */
    static Class<?> elementClass(Class<?> wanted, java.lang.reflect.Type generic) throws Exception {
        if (!(generic instanceof ParameterizedType list)) return Class.forName(wanted.getName().replaceAll("Collection$", ""));
        return list.getActualTypeArguments()[0] instanceof Class<?> element ? element : Object.class;
    }

    static byte[] bytes(Random random, int length) {
        byte[] bytes = new byte[length];
        for (int i = 0; i < length; i++) bytes[i] = (byte) (random.nextInt(4) == 0 ? random.nextInt(256) : i);
        return bytes;
    }

    /** Mostly small, sometimes any. */
    static long number(Random random, int bits) {
        long any = random.nextLong();
        return random.nextInt(3) == 0 ? any << (64 - bits) >> (64 - bits) : random.nextInt(100) + 2;
    }

    /** The schema as Kafka publishes it: the message, then a line per field. */
    static void listMessage(StringBuilder out, JsonNode schema) {
        out.append(schema.get("type").asText()).append(' ').append(schema.get("name").asText());
        for (String key : new String[] {"apiKey", "validVersions", "flexibleVersions"}) {
            if (schema.has(key)) out.append(' ').append(key).append('=').append(schema.get(key).asText());
        }
        out.append('\n');
        listFields(out, schema.get("name").asText(), schema.get("fields"));
        if (schema.has("commonStructs")) {
            for (JsonNode s : schema.get("commonStructs")) listFields(out, s.get("name").asText(), s.get("fields"));
        }
    }

    static void listFields(StringBuilder out, String owner, JsonNode fields) {
        for (JsonNode f : fields) {
            String type = f.get("type").asText();
            out.append("  ").append(owner).append(' ').append(f.get("name").asText()).append(' ').append(type);
            for (String key : new String[] {"versions", "nullableVersions", "taggedVersions", "tag", "default", "ignorable"}) {
                if (f.hasNonNull(key)) out.append(' ').append(key).append('=').append(f.get(key).asText());
            }
            out.append('\n');
            if (f.has("fields") && f.get("fields").size() > 0) listFields(out, type.replace("[]", ""), f.get("fields"));
        }
    }
}
