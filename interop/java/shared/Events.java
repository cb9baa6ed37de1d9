import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Locale;

/** What happens to a client, as JSON lines on standard output, each with its time. */
final class Events {
    private static final FileOutputStream OUT = new FileOutputStream(FileDescriptor.out);

    private Events() {
    }

    /** The host's monotonic clock, on Linux. */
    static double nowMs() {
        return System.nanoTime() / 1e6;
    }

    /** One line; what follows the event's name are fields. */
    static void log(String event, String fields) {
        String line = "{\"t\":" + number(nowMs()) + field("ev", event) + fields + "}\n";
        synchronized (OUT) {
            try {
                OUT.write(line.getBytes(StandardCharsets.UTF_8));
            } catch (IOException e) {
                Runtime.getRuntime().halt(3);
            }
        }
    }

    static String field(String key, Object value) {
        String text = value instanceof String ? "\"" + value + "\"" : value instanceof Double time ? number(time) : value.toString();
        return ",\"" + key + "\":" + text;
    }

    private static String number(double value) {
        return String.format(Locale.ROOT, "%.3f", value);
    }
}
