import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Base64;
import java.util.function.Predicate;
import java.util.regex.Pattern;

/**
 * Apache Kafka's tools on request, all in one JVM. A line of standard input is a call: words in Base64 with blanks between. They are
 * the tool's class, a pattern that standard output must contain before the call is over, what the tool reads, and its arguments.
 * The answer is a line: "answer", the exit code, standard output and standard error in Base64.
 */
public final class OnRequest {
    public static void main(String[] args) throws Exception {
        PrintStream report = System.out;
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        Tools.catchExits();
        for (String line = requests.readLine(); line != null; line = requests.readLine()) {
            // An empty word is an empty string: all are kept.
            String[] words = Arrays.stream(line.split(" ", -1)).map(OnRequest::decode).toArray(String[]::new);
            report.println(answer(words));
            report.flush();
        }
        Runtime.getRuntime().halt(0);
    }

    private static String answer(String[] words) throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        Predicate<String> complete = Pattern.compile(words[1]).asPredicate();
        String[] args = Arrays.copyOfRange(words, 3, words.length);
        String code;
        try {
            code = "" + Tools.call(words[0], words[2], () -> complete.test(out.toString()), new PrintStream(out, true), new PrintStream(err, true), args);
        } catch (java.util.concurrent.TimeoutException e) {
            code = "none";
        }
        return String.join(" ", "answer", code, encode(out.toByteArray()), encode(err.toByteArray()));
    }

    private static String decode(String word) {
        return new String(Base64.getDecoder().decode(word), StandardCharsets.UTF_8);
    }

    /** Begins with a letter of its own: no word of an answer is empty. */
    private static String encode(byte[] text) {
        return "=" + Base64.getEncoder().encodeToString(text);
    }
}
