import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;

/** What an administrator sees and does of one group while it has members, and afterwards. */
final class GroupAdmin {
    private final Groups suite;
    private final Admin admin;
    private final String topic;
    private final Group group;
    private final GroupType type;
    private final boolean classic;

    GroupAdmin(Groups suite, String topic, Group group, boolean classic) {
        this.suite = suite;
        this.admin = suite.admin;
        this.topic = topic;
        this.group = group;
        this.classic = classic;
        this.type = classic ? GroupType.CLASSIC : GroupType.CONSUMER;
    }

    Object run() throws Exception {
        String other = topic + "-other";
        suite.create(other, 1);
        TopicPartition p0 = new TopicPartition(topic, 0);
        TopicPartition elsewhere = new TopicPartition(other, 0);
        var a = group.join("a", topic);
        var b = group.join("b", topic);
        group.await(3, 3);
        group.reads(suite.produce(topic, 6, 2));
        group.commit();
        a.call(c -> {
            c.commitSync(Map.of(elsewhere, new OffsetAndMetadata(3, "elsewhere")));
            return null;
        });
        listed(GroupState.STABLE);
        Check.eventually(() -> {
            described(a, b);
            return null;
        });
        Check.refusal(68, () -> Check.get(admin.deleteConsumerGroups(Set.of(group.id)).all()));
        Check.refusal(86, () -> Check.get(admin.deleteConsumerGroupOffsets(group.id, Set.of(p0)).partitionResult(p0)));
        Check.get(admin.deleteConsumerGroupOffsets(group.id, Set.of(elsewhere)).all());
        Check.yes(!suite.committed(group.id).containsKey(elsewhere), "the offset is still there");
        Check.refusal(25, () -> Check.get(admin.alterConsumerGroupOffsets(group.id, Map.of(p0, new OffsetAndMetadata(1))).all()));
        configs();
        a.leave();
        b.leave();
        listed(GroupState.EMPTY);
        Check.get(admin.alterConsumerGroupOffsets(group.id, Map.of(p0, new OffsetAndMetadata(1, Optional.of(0), "altered"))).all());
        Check.same(new OffsetAndMetadata(1, Optional.of(0), "altered"), suite.committed(group.id).get(p0));
        Check.same(6, suite.committed(group.id).size());
        Check.get(admin.deleteConsumerGroupOffsets(group.id, Set.of(p0)).all());
        Check.same(5, suite.committed(group.id).size());
        Check.get(admin.deleteConsumerGroups(Set.of(group.id)).all());
        Check.yes(all(new ListGroupsOptions()).stream().noneMatch(g -> g.groupId().equals(group.id)), "still listed");
        return Check.refusal(69, () -> Check.get(admin.describeConsumerGroups(Set.of(group.id)).all())).replace(group.id, "GROUP");
    }

    private Collection<GroupListing> all(ListGroupsOptions options) throws Exception {
        return Check.get(admin.listGroups(options).all());
    }

    private boolean listed(ListGroupsOptions options) throws Exception {
        return all(options).stream().anyMatch(g -> g.groupId().equals(group.id));
    }

    private void listed(GroupState state) throws Exception {
        GroupType otherType = classic ? GroupType.CONSUMER : GroupType.CLASSIC;
        GroupState otherState = state == GroupState.EMPTY ? GroupState.STABLE : GroupState.EMPTY;
        Check.eventually(() -> {
            GroupListing got = all(new ListGroupsOptions()).stream().filter(g -> g.groupId().equals(group.id)).findFirst().orElseThrow();
            Check.same(new GroupListing(group.id, Optional.of(type), "consumer", Optional.of(state)), got);
            return null;
        });
        Check.yes(listed(ListGroupsOptions.forConsumerGroups()), "not among the consumer groups");
        Check.yes(listed(new ListGroupsOptions().inGroupStates(Set.of(state))), "not among those of its state");
        Check.yes(!listed(new ListGroupsOptions().inGroupStates(Set.of(otherState))), "among those of another state");
        Check.yes(listed(new ListGroupsOptions().withTypes(Set.of(type))), "not among those of its type");
        Check.yes(!listed(new ListGroupsOptions().withTypes(Set.of(otherType))), "among those of another type");
    }

    private void described(Group.Member... members) throws Exception {
        ConsumerGroupDescription got = Check.get(admin.describeConsumerGroups(Set.of(group.id)).all()).get(group.id);
        Check.same(GroupState.STABLE, got.groupState());
        Check.same(type, got.type());
        Check.same(false, got.isSimpleConsumerGroup());
        Check.same(1, got.coordinator().id());
        Check.same(classic ? group.config.get("partition.assignment.strategy").toString().contains("Range") ? "range" : "cooperative-sticky"
            : group.config.get("group.remote.assignor"), got.partitionAssignor());
        Check.same(!classic, got.groupEpoch().isPresent() && got.groupEpoch().equals(got.targetAssignmentEpoch()));
        Check.same(members.length, got.members().size());
        for (Group.Member m : members) {
            MemberDescription d = got.members().stream().filter(x -> x.clientId().equals(group.id + "-" + m.name)).findFirst().orElseThrow();
            Check.same("/127.0.0.1", d.host());
            Check.same(m.owned, d.assignment().topicPartitions());
            Check.same(Optional.empty(), d.groupInstanceId());
            if (!classic) {
                Check.same(m.owned, d.targetAssignment().orElseThrow().topicPartitions());
                Check.same(got.groupEpoch(), d.memberEpoch());
                Check.same(Optional.of(true), d.upgraded());
            }
        }
        if (classic) {
            var plain = Check.get(admin.describeClassicGroups(Set.of(group.id)).all()).get(group.id);
            Check.same("Stable consumer " + got.partitionAssignor(), plain.state() + " " + plain.protocol() + " " + plain.protocolData());
        }
    }

    private void configs() throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.GROUP, group.id);
        Check.get(admin.incrementalAlterConfigs(Map.of(resource, List.of(new AlterConfigOp(
            new ConfigEntry("consumer.session.timeout.ms", "7000"), AlterConfigOp.OpType.SET)))).all());
        Check.eventually(() -> {
            ConfigEntry got = Check.get(admin.describeConfigs(Set.of(resource)).all()).get(resource).get("consumer.session.timeout.ms");
            Check.same("7000 DYNAMIC_GROUP_CONFIG", got.value() + " " + got.source());
            return null;
        });
        Check.refusal(40, () -> Check.get(admin.incrementalAlterConfigs(Map.of(resource, List.of(new AlterConfigOp(
            new ConfigEntry("consumer.session.timeout.ms", "70000000"), AlterConfigOp.OpType.SET)))).all()));
        Check.get(admin.incrementalAlterConfigs(Map.of(resource, List.of(new AlterConfigOp(
            new ConfigEntry("consumer.session.timeout.ms", ""), AlterConfigOp.OpType.DELETE)))).all());
    }

    /** What is said of groups that do not exist. */
    static Object unknown(Admin admin) throws Exception {
        Set<String> id = Set.of("java-groups-unknown");
        TopicPartition tp = new TopicPartition("java-groups-unknown", 0);
        return String.join("; ", Check.refusal(69, () -> Check.get(admin.describeConsumerGroups(id).all())),
            Check.refusal(69, () -> Check.get(admin.describeClassicGroups(id).all())),
            Check.refusal(69, () -> Check.get(admin.deleteConsumerGroups(id).all())),
            Check.refusal(69, () -> Check.get(admin.deleteConsumerGroupOffsets("java-groups-unknown", Set.of(tp)).all())),
            "offsets " + Check.get(admin.listConsumerGroupOffsets("java-groups-unknown").partitionsToOffsetAndMetadata()));
    }

    /** Offsets without members; the client asks for several groups in one request. */
    static Object simple(Groups suite) throws Exception {
        suite.create("java-groups-simple", 2);
        TopicPartition p1 = new TopicPartition("java-groups-simple", 1);
        OffsetAndMetadata at = new OffsetAndMetadata(5, Optional.of(0), "simple");
        for (String id : List.of("java-groups-simple-1", "java-groups-simple-2")) {
            Check.get(suite.admin.alterConsumerGroupOffsets(id, Map.of(p1, at)).all());
        }
        KafkaFuture<Map<String, Map<TopicPartition, OffsetAndMetadata>>> both = suite.admin.listConsumerGroupOffsets(Map.of(
            "java-groups-simple-1", new org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec(),
            "java-groups-simple-2", new org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec().topicPartitions(List.of(p1)))).all();
        Check.same(Map.of("java-groups-simple-1", Map.of(p1, at), "java-groups-simple-2", Map.of(p1, at)), Check.get(both));
        GroupListing listed = Check.get(suite.admin.listGroups(new ListGroupsOptions()).all()).stream()
            .filter(g -> g.groupId().equals("java-groups-simple-1")).findFirst().orElseThrow();
        Check.same(true, listed.isSimpleConsumerGroup());
        Check.get(suite.admin.deleteConsumerGroups(Set.of("java-groups-simple-1", "java-groups-simple-2")).all());
        return listed;
    }
}
