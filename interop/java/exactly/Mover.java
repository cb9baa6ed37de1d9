import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;
import java.util.Random;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.serialization.StringSerializer;

/** The Java client moves money in transactions, as exactly-once/mover.py does: Mover BOOTSTRAP TOPIC PARTITIONS NAME MODE FLAG. */
public class Mover {
    static final int FENCED = 3, ACCOUNTS = 20;
    static final double ABORTS = 0.2;
    static volatile boolean stopping = false;

    final KafkaProducer<String, String> producer;
    final String topic, run;
    final int partitions;
    final boolean transactional;
    final Random random = new Random();
    volatile boolean lost;
    int number = 0;

    Mover(String[] words) {
        topic = words[1];
        partitions = Integer.parseInt(words[2]);
        run = words[3] + "." + System.currentTimeMillis() + "-" + ProcessHandle.current().pid();
        transactional = words[4].equals("transactional");
        Properties p = Copier.common(words[0], words[3]);
        if (transactional) {
            p.put("transactional.id", words[3]);
            p.put("transaction.timeout.ms", "6000");
        }
        p.put("linger.ms", "0");
        p.put("max.block.ms", "20000");
        producer = new KafkaProducer<>(p, new StringSerializer(), new StringSerializer());
    }

    void half(String transfer, int account, int amount) {
        String value = "{\"transfer\": \"" + transfer + "\", \"account\": " + account + ", \"amount\": " + amount + "}";
        producer.send(new ProducerRecord<>(topic, account % partitions, Integer.toString(account), value), (to, error) -> lost |= error != null);
    }

    void move() {
        String transfer = run + "." + ++number;
        int one = random.nextInt(ACCOUNTS), other = (one + 1 + random.nextInt(ACCOUNTS - 1)) % ACCOUNTS;
        int amount = 1 + random.nextInt(100);
        lost = false;
        try {
            if (transactional) producer.beginTransaction();
            half(transfer, one, -amount);
            if (random.nextDouble() < ABORTS) {
                producer.flush();
                abort(transfer);
                return;
            }
            if (random.nextBoolean()) producer.flush();
            half(transfer, other, amount);
            if (transactional) Copier.patiently(producer::commitTransaction);
            else producer.flush();
            if (transactional || !lost) tell("committed", transfer);
        } catch (KafkaException error) {
            if (!transactional || Appender.isFenced(error)) throw error;
            abort(transfer);
        }
    }

    void abort(String transfer) {
        if (transactional) Copier.patiently(producer::abortTransaction);
        tell("aborted", transfer);
    }

    static void tell(String event, String transfer) {
        Events.log(event, Events.field("transfer", transfer));
    }

    public static void main(String[] words) throws Exception {
        var mover = new Mover(words);
        Path flag = Path.of(words[5]);
        Thread main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            stopping = true;
            try {
                main.join(15_000);
            } catch (InterruptedException ignored) {
            }
        }));
        try {
            if (mover.transactional) Copier.patiently(mover.producer::initTransactions);
            Events.log("ready", "");
            while (!stopping) {
                if (Files.exists(flag)) {
                    mover.move();
                } else {
                    Events.log("still", "");
                    Thread.sleep(100);
                }
            }
        } catch (Throwable error) {
            boolean fenced = Appender.isFenced(error);
            Events.log(fenced ? "fenced" : "failed", Appender.why(error));
            if (!fenced) error.printStackTrace();
            Runtime.getRuntime().halt(fenced ? FENCED : 1);
        }
    }
}
