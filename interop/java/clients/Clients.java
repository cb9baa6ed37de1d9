import java.util.Map;

import org.apache.kafka.clients.admin.Admin;

/** The Java clients through the contract of ../../README.md, and through calls that only they have. */
public final class Clients {
    public static void main(String[] args) {
        String bootstrap = System.getenv("BOOTSTRAP");
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap, "default.api.timeout.ms", 60_000,
            "request.timeout.ms", 30_000))) {
            Contract contract = new Contract(bootstrap, admin);
            contract.admin();
            contract.data();
            contract.change();
            new Extras(contract).run();
        }
        System.out.flush();
        System.exit(Check.failed.get() == 0 ? 0 : 1);
    }
}
