// Writes topic hashes and group hashes of Kafka: `topic NAME ID HASH RACKS...`, where a partition's racks are joined by commas, and
// `group HASH NAME=HASH...`. Empty words are written as "-".
import java.lang.reflect.Proxy;
import java.util.*;
import java.util.stream.Collectors;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.coordinator.common.runtime.CoordinatorMetadataImage;
import org.apache.kafka.coordinator.common.runtime.CoordinatorMetadataImage.TopicMetadata;
import org.apache.kafka.coordinator.group.Utils;

public class TopicHashes {
    static long hash(String name, Uuid id, List<List<String>> racks) {
        TopicMetadata topic = proxy(TopicMetadata.class, Map.of("name", a -> name, "id", a -> id,
            "partitionCount", a -> racks.size(), "partitionRacks", a -> new ArrayList<>(racks.get((Integer) a[0]))));
        CoordinatorMetadataImage image =
            proxy(CoordinatorMetadataImage.class, Map.of("topicMetadata", a -> Optional.of(topic)));
        return Utils.computeTopicHash(name, image);
    }

    static <T> T proxy(Class<T> type, Map<String, java.util.function.Function<Object[], Object>> methods) {
        return type.cast(Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type},
            (self, method, args) -> methods.get(method.getName()).apply(args)));
    }

    public static void main(String[] args) {
        Random random = new Random(4);
        String[] names = {"a", "orders", "__consumer_offsets", "x".repeat(249), "t.1_2-3"};
        String[] racks = {"eu-1", "eu-2", "b", "rack-\u00e9", "\ud83d\ude00", "\uffee", "z".repeat(120)};
        StringBuilder out = new StringBuilder("# By generate/TopicHashes.java, with Apache Kafka 4.4.0.\n");
        for (int i = 0; i < 60; i++) {
            String name = names[i % names.length];
            Uuid id = new Uuid(random.nextLong(), random.nextLong());
            int partitions = i < 5 ? 1 : random.nextInt(i % 10 == 0 ? 60 : 8);
            List<List<String>> all = new ArrayList<>();
            for (int p = 0; p < partitions; p++) {
                all.add(random.ints(random.nextInt(4), 0, racks.length).mapToObj(r -> racks[r]).collect(Collectors.toList()));
            }
            out.append("topic\t").append(name).append('\t').append(id).append('\t').append(hash(name, id, all));
            for (List<String> of : all) out.append('\t').append(of.isEmpty() ? "-" : String.join(",", of));
            out.append('\n');
        }
        for (int i = 0; i < 30; i++) {
            Map<String, Long> hashes = new HashMap<>();
            for (int n = 0; n < i; n++) hashes.put(names[n % names.length].substring(0, 1) + n, random.nextLong());
            out.append("group\t").append(Utils.computeGroupHash(hashes));
            hashes.forEach((name, hash) -> out.append('\t').append(name).append('=').append(hash));
            out.append('\n');
        }
        System.out.print(out);
    }
}
