// Lets groups live through random histories in Kafka's own ConsumerGroup, TargetAssignmentBuilder and assignors, and writes each target
// assignment that comes about. Arguments: how many, `small` or `large`, and a seed. A case is
//   case ASSIGNOR TYPE JOINING     the joining member's line, or -; then ~ if Kafka's outcome was another one because its hash
//                                  tables remember the order of insertion; GETS is without that memory
//   t NAME ID PARTITIONS           - if the topic is gone
//   m ID INSTANCE TOPICS HAD GETS  topics by line; HAD and GETS as TOPIC:PARTITIONS;..., = for the same, - for nothing
import java.lang.reflect.Proxy;
import java.util.*;
import java.util.stream.Collectors;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.utils.internals.LogContext;
import org.apache.kafka.coordinator.common.runtime.CoordinatorMetadataImage;
import org.apache.kafka.coordinator.common.runtime.CoordinatorMetadataImage.TopicMetadata;
import org.apache.kafka.coordinator.common.runtime.CoordinatorRecord;
import org.apache.kafka.coordinator.group.GroupCoordinatorRecordHelpers;
import org.apache.kafka.coordinator.group.api.assignor.*;
import org.apache.kafka.coordinator.group.assignor.*;
import org.apache.kafka.coordinator.group.generated.*;
import org.apache.kafka.coordinator.group.modern.*;
import org.apache.kafka.coordinator.group.modern.consumer.*;
import org.apache.kafka.coordinator.group.util.UpdatedMembersAndTargetAssignmentView;
import org.apache.kafka.timeline.SnapshotRegistry;

public class Assignments {
    record Topic(String name, Uuid id, int partitions) { }

    static final StringBuilder out = new StringBuilder();
    static Random random;
    static boolean large;
    static int left;

    final ConsumerGroup group = new ConsumerGroup(new LogContext(), new SnapshotRegistry(new LogContext()), "g");
    final boolean uniform = random.nextInt(4) != 0;
    final boolean alike = random.nextInt(3) != 0;
    final Map<String, Topic> topics = new LinkedHashMap<>();
    final int partitionsMax = new int[] {3, 8, 20, large ? 200 : 40}[random.nextInt(4)];
    final int topicsMax = new int[] {1, 3, 6, large ? 20 : 8}[random.nextInt(4)];
    final int membersMax = new int[] {2, 4, 8, large ? 60 : 12}[random.nextInt(4)];
    List<String> subscription;
    int members = 0;

    static <T> T proxy(Class<T> type, Map<String, java.util.function.Function<Object[], Object>> methods) {
        return type.cast(Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type},
            (self, method, args) -> methods.get(method.getName()).apply(args)));
    }

    CoordinatorMetadataImage image() {
        Map<Object, TopicMetadata> found = new HashMap<>();
        for (Topic topic : topics.values()) {
            TopicMetadata metadata = proxy(TopicMetadata.class,
                Map.of("name", a -> topic.name, "id", a -> topic.id, "partitionCount", a -> topic.partitions));
            found.put(topic.name, metadata);
            found.put(topic.id, metadata);
        }
        return proxy(CoordinatorMetadataImage.class, Map.of("topicMetadata", a -> Optional.ofNullable(found.get(a[0]))));
    }

    static String name() {
        return random.nextInt(3) == 0
            ? new Uuid(random.nextLong(), random.nextLong()).toString() : Long.toString(random.nextLong() >>> (8 + random.nextInt(40)), 36);
    }

    void topic() {
        String name = random.nextInt(2) == 0 ? "t" + topics.size() : "topic-" + name();
        topics.put(name, new Topic(name, new Uuid(random.nextLong(), random.nextLong()), 1 + random.nextInt(partitionsMax)));
    }

    List<String> some() {
        List<String> names = new ArrayList<>(topics.keySet());
        Collections.shuffle(names, random);
        return new ArrayList<>(names.subList(0, 1 + random.nextInt(names.size())));
    }

    ConsumerGroupMember member(String id, String instance, List<String> names) {
        return new ConsumerGroupMember.Builder(id).setMemberEpoch(1).setPreviousMemberEpoch(0).setState(MemberState.STABLE)
            .setInstanceId(instance).setClientId("c").setClientHost("h")
            .maybeUpdateSubscribedTopicNames(Optional.of(names)).build();
    }

    ConsumerGroupMember any() {
        List<ConsumerGroupMember> all = new ArrayList<>(group.members().values());
        return all.get(random.nextInt(all.size()));
    }

    void step() {
        int dice = random.nextInt(20);
        if (group.members().isEmpty() || dice < 9 && group.members().size() < membersMax) {
            String instance = random.nextInt(4) == 0 ? "i-" + name() : null;
            // Clients send sorted names.
            List<String> names = new ArrayList<>(new TreeSet<>(alike ? subscription : some()));
            compute(member(name(), instance, names));
        } else if (dice < 12 && group.members().size() > 1) {
            for (int n = 1 + random.nextInt(2); n > 0 && group.members().size() > 1; n--) leave(any().memberId());
            compute(any());
        } else if (dice < 14) {
            ConsumerGroupMember old = any();
            if (old.instanceId() == null) return;
            compute(new ConsumerGroupMember.Builder(old, name()).build());
        } else if (dice < 17) {
            List<String> names = new ArrayList<>(topics.keySet());
            Topic topic = topics.get(names.get(random.nextInt(names.size())));
            if (random.nextInt(4) == 0) {
                topics.put(topic.name, new Topic(topic.name, new Uuid(random.nextLong(), random.nextLong()), topic.partitions));
            } else {
                topics.put(topic.name, new Topic(topic.name, topic.id, topic.partitions + 1 + random.nextInt(partitionsMax)));
            }
            compute(any());
        } else if (dice < 19) {
            if (alike) {
                subscription = some();
                for (String id : new ArrayList<>(group.members().keySet())) {
                    ConsumerGroupMember old = group.members().get(id);
                    compute(member(id, old.instanceId(), new ArrayList<>(new TreeSet<>(subscription))));
                }
            } else {
                ConsumerGroupMember old = any();
                compute(member(old.memberId(), old.instanceId(), new ArrayList<>(new TreeSet<>(some()))));
            }
        } else if (topics.size() < topicsMax) {
            topic();
        }
    }

    void leave(String id) {
        group.removeTargetAssignment(id);
        group.removeMember(id);
    }

    void compute(ConsumerGroupMember updated) {
        ConsumerGroupMember old = group.members().get(updated.memberId());
        String replaced = updated.instanceId() == null ? null : group.staticMembers().get(updated.instanceId());
        boolean joins = old == null;
        if (old == null && replaced != null) old = group.members().get(replaced);
        SubscriptionType type = ConsumerGroup.subscriptionType(Map.of(), group.computeSubscribedTopicNames(old, updated),
            group.members().size() + (old == null ? 1 : 0));
        UpdatedMembersAndTargetAssignmentView<ConsumerGroupMember, Assignment> view =
            new UpdatedMembersAndTargetAssignmentView<>(group.members(), group.staticMembers(), group.targetAssignment(), ModernGroupMember::instanceId);
        view.addOrUpdateMember(updated.memberId(), updated);
        Map<String, ConsumerGroupMember> members = new LinkedHashMap<>(view.members());
        Map<String, Assignment> had = new HashMap<>(view.targetAssignment());
        List<CoordinatorRecord> records = build(view.members(), had, type).records();
        Map<String, Assignment> plain = plain(members, joins ? updated : null, had, type);
        // From here on as when the records are replayed.
        if (joins && old != null) {
            Assignment assigned = group.targetAssignment(old.memberId());
            leave(old.memberId());
            if (!assigned.partitions().isEmpty()) replay(GroupCoordinatorRecordHelpers
                .newConsumerGroupTargetAssignmentRecord("g", updated.memberId(), assigned.partitions()));
        }
        ConsumerGroupMemberMetadataValue subscribed = (ConsumerGroupMemberMetadataValue) GroupCoordinatorRecordHelpers
            .newConsumerGroupMemberSubscriptionRecord("g", updated).value().message();
        group.updateMember(new ConsumerGroupMember.Builder(updated).updateWith(subscribed).build());
        records.forEach(this::replay);
        write(members, type, joins ? updated.memberId() : null, had, plain);
    }

    TargetAssignmentBuilder.TargetAssignmentResult build(
        Map<String, ConsumerGroupMember> members, Map<String, Assignment> had, SubscriptionType type) {
        return new TargetAssignmentBuilder.ConsumerTargetAssignmentBuilder(
            "g", 1, uniform ? new UniformAssignor() : new RangeAssignor())
            .withTime(org.apache.kafka.common.utils.Time.SYSTEM).withMembers(members).withSubscriptionType(type)
            .withTargetAssignment(had).withInvertedTargetAssignment(group.invertedTargetAssignment())
            .withMetadataImage(image()).build();
    }

    // The assignment that comes about when nothing is known of the order in which things were put into hash tables: members
    // by id, topics as if all were assigned at once, partitions ascending.
    Map<String, Assignment> plain(Map<String, ConsumerGroupMember> members, ConsumerGroupMember joining,
        Map<String, Assignment> had, SubscriptionType type) {
        ConsumerGroup plain = new ConsumerGroup(new LogContext(), new SnapshotRegistry(new LogContext()), "g");
        TreeMap<String, ConsumerGroupMember> sorted = new TreeMap<>(Comparator.reverseOrder());
        sorted.putAll(members);
        sorted.values().stream().filter(member -> member != joining).forEach(plain::updateMember);
        UpdatedMembersAndTargetAssignmentView<ConsumerGroupMember, Assignment> view = new UpdatedMembersAndTargetAssignmentView<>(
            plain.members(), plain.staticMembers(), Map.of(), ModernGroupMember::instanceId);
        if (joining != null) view.addOrUpdateMember(joining.memberId(), joining);
        Map<String, Assignment> rebuilt = new HashMap<>();
        had.forEach((id, assignment) -> {
            List<Uuid> ids = new ArrayList<>(new HashSet<>(new TopicIds(members.get(id).subscribedTopicNames(), image())));
            Collections.reverse(ids);
            assignment.partitions().keySet().stream().filter(topic -> !ids.contains(topic)).forEach(ids::add);
            Map<Uuid, Set<Integer>> partitions = new HashMap<>();
            for (Uuid topic : ids) {
                Set<Integer> set = assignment.partitions().get(topic);
                if (set != null) partitions.put(topic, new HashSet<>(new ArrayList<>(new TreeSet<>(set))));
            }
            rebuilt.put(id, new Assignment(partitions));
        });
        Map<String, Assignment> result = new HashMap<>();
        build(view.members(), rebuilt, type).targetAssignment().forEach((id, to) -> result.put(id, new Assignment(to.partitions())));
        return result;
    }

    void replay(CoordinatorRecord record) {
        if (record.key() instanceof ConsumerGroupTargetAssignmentMemberKey key) {
            group.updateTargetAssignment(key.memberId(),
                Assignment.fromRecord((ConsumerGroupTargetAssignmentMemberValue) record.value().message()));
        }
    }

    void write(Map<String, ConsumerGroupMember> members, SubscriptionType type, String joining,
        Map<String, Assignment> had, Map<String, Assignment> plain) {
        if (left-- <= 0) return;
        List<String> ids = new ArrayList<>(new TreeSet<>(members.keySet()));
        List<Uuid> lines = new ArrayList<>();
        out.append("case ").append(uniform ? "uniform " : "range ").append(type.name().toLowerCase()).append(' ')
            .append(joining == null ? "-" : ids.indexOf(joining));
        boolean same = ids.stream().allMatch(
            id -> group.targetAssignment(id).partitions().equals(plain.getOrDefault(id, Assignment.EMPTY).partitions()));
        out.append(same ? "\n" : " ~\n");
        for (Topic topic : topics.values()) {
            lines.add(topic.id);
            out.append("t ").append(topic.name).append(' ').append(topic.id).append(' ').append(topic.partitions).append('\n');
        }
        for (Assignment assignment : had.values()) for (Uuid id : assignment.partitions().keySet()) {
            if (lines.contains(id)) continue;
            lines.add(id);
            out.append("t - ").append(id).append(" -\n");
        }
        for (String id : ids) {
            ConsumerGroupMember member = members.get(id);
            String subscribed = member.subscribedTopicNames().stream().map(name -> topics.get(name)).filter(Objects::nonNull)
                .map(topic -> "" + lines.indexOf(topic.id)).sorted().collect(Collectors.joining(","));
            String before = text(had.getOrDefault(id, Assignment.EMPTY), lines);
            String after = text(plain.getOrDefault(id, Assignment.EMPTY), lines);
            out.append("m ").append(id).append(' ').append(Objects.requireNonNullElse(member.instanceId(), "-"))
                .append(' ').append(subscribed.isEmpty() ? "-" : subscribed).append(' ').append(before).append(' ')
                .append(after.equals(before) ? "=" : after).append('\n');
        }
        if (out.length() > 1 << 20) flush();
    }

    static void flush() {
        System.out.print(out);
        out.setLength(0);
    }

    static String text(Assignment assignment, List<Uuid> lines) {
        TreeMap<Integer, String> sorted = new TreeMap<>();
        assignment.partitions().forEach((id, partitions) -> sorted.put(lines.indexOf(id), ranges(new TreeSet<>(partitions))));
        String all = sorted.entrySet().stream().map(e -> e.getKey() + ":" + e.getValue()).collect(Collectors.joining(";"));
        return all.isEmpty() ? "-" : all;
    }

    static String ranges(TreeSet<Integer> partitions) {
        StringBuilder text = new StringBuilder();
        Integer start = null, last = null;
        for (Integer p : partitions) {
            if (last != null && p == last + 1) { last = p; continue; }
            if (start != null) text.append(start.equals(last) ? start + "." : start + "-" + last + ".");
            start = last = p;
        }
        return text.append(start.equals(last) ? "" + start : start + "-" + last).toString();
    }

    public static void main(String[] args) {
        left = Integer.parseInt(args[0]);
        large = args[1].equals("large");
        random = new Random(Long.parseLong(args[2]));
        out.append("# By generate/Assignments.java, with Apache Kafka 4.4.0.\n");
        while (left > 0) {
            Assignments history = new Assignments();
            for (int n = 1 + random.nextInt(history.topicsMax); n > 0; n--) history.topic();
            history.subscription = history.some();
            for (int n = 4 + random.nextInt(large ? 60 : 12); n > 0; n--) history.step();
        }
        flush();
    }
}
