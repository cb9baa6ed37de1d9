import java.util.Arrays;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.protocol.Errors;

/** One line per check, and the comparisons that checks are made of. */
final class Check {
    static final AtomicInteger failed = new AtomicInteger();

    /** What a check wants to be seen beside its name; null for nothing. */
    interface Body extends Callable<Object> {}

    private Check() {}

    static void check(String name, Body body) {
        try {
            Object detail = body.call();
            System.out.println(detail == null ? "ok " + name : "ok " + name + " " + oneLine(detail));
        } catch (Throwable e) {
            failed.incrementAndGet();
            StackTraceElement at = Arrays.stream(e.getStackTrace()).filter(f -> f.getModuleName() == null
                && !f.getClassName().startsWith("org.") && !f.getClassName().equals("Check")).findFirst().orElse(null);
            System.out.println("FAIL " + name + " " + oneLine(e) + (at == null ? "" : " (" + at.getFileName() + ":" + at.getLineNumber() + ")"));
        }
    }

    /** The call must fail with this code of Kafka; the detail is the code and the server's message. */
    static void refused(String name, int code, Body body) {
        check(name, () -> refusal(code, body));
    }

    static String refusal(int code, Body body) throws Exception {
        Object got;
        try {
            got = body.call();
        } catch (Exception e) {
            Throwable cause = e instanceof ExecutionException ? e.getCause() : e;
            int actual = Errors.forException(cause).code();
            if (actual != code) {
                throw new AssertionError("expected code " + code + ", got " + actual + ": " + cause);
            }
            return "code=" + code + " " + cause.getMessage();
        }
        throw new AssertionError("expected code " + code + ", got success: " + got);
    }

    static void same(Object want, Object got) {
        if (!Objects.deepEquals(want, got)) {
            throw new AssertionError("expected " + show(want) + ", got " + show(got));
        }
    }

    static void yes(boolean condition, Object about) {
        if (!condition) {
            throw new AssertionError(show(about));
        }
    }

    static <T> T get(KafkaFuture<T> future) throws Exception {
        return future.get(60, TimeUnit.SECONDS);
    }

    /** Metadata reaches a client a little after the call that changed it returned. */
    static Object eventually(Body body) throws Exception {
        for (long end = System.currentTimeMillis() + 60_000; ; Thread.sleep(50)) {
            try {
                return body.call();
            } catch (AssertionError | ExecutionException e) {
                if (System.currentTimeMillis() > end) {
                    throw e;
                }
            }
        }
    }

    private static String show(Object o) {
        String text = o instanceof byte[] b ? Arrays.toString(b) : String.valueOf(o);
        return text.length() > 300 ? text.substring(0, 300) + "..." : text;
    }

    private static String oneLine(Object o) {
        return String.valueOf(o).replaceAll("\\s+", " ").strip();
    }
}
