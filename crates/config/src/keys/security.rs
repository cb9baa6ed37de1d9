//! Broker keys: security: TLS, SASL, tokens, authorization.

rows! {
    "authorizer.class.name" String "" [non null] Low ReadOnly Later
        "Who decides what a principal may do; empty allows everything.";
    "connections.max.reauth.ms" Long "0" [any] Medium ReadOnly Later
        "SASL connections must authenticate anew after so long; 0 never.";
    "delegation.token.expiry.check.interval.ms" Long "3600000" [1 ..] Low ReadOnly Later
        "How often expired tokens are looked for.";
    "delegation.token.expiry.time.ms" Long "86400000" [1 ..] Medium ReadOnly Later
        "A token that is not renewed for so long expires.";
    "delegation.token.max.lifetime.ms" Long "604800000" [1 ..] Medium ReadOnly Later
        "No token lives longer than this.";
    "delegation.token.secret.key" Password null [any] Medium ReadOnly Later
        "Secret that signs delegation tokens, the same on all nodes; without it there are none.";
    "principal.builder.class" Class "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder" [any] Medium PerBroker Later
        "How an authenticated connection becomes a principal.";
    "sasl.client.callback.handler.class" Class null [any] Medium ReadOnly None
        "Java class that answers SASL callbacks of clients.";
    "sasl.enabled.mechanisms" List "GSSAPI" [list empty] Medium PerBroker Later
        "SASL mechanisms that clients may use.";
    "sasl.jaas.config" Password null [any] Medium PerBroker Later
        "Credentials and options of a SASL mechanism, in JAAS form.";
    "sasl.kerberos.kinit.cmd" String "/usr/bin/kinit" [any] Medium PerBroker None
        "Path of `kinit`.";
    "sasl.kerberos.min.time.before.relogin" Long "60000" [any] Medium PerBroker Later
        "Least time between two Kerberos logins.";
    "sasl.kerberos.principal.to.local.rules" List "DEFAULT" [list empty] Medium PerBroker Later
        "How Kerberos principals become short names.";
    "sasl.kerberos.service.name" String null [any] Medium PerBroker Later
        "Kerberos name of the service.";
    "sasl.kerberos.ticket.renew.jitter" Double "0.05" [any] Medium PerBroker Later
        "How much the renewal of tickets varies at random, as a part of one.";
    "sasl.kerberos.ticket.renew.window.factor" Double "0.8" [any] Medium PerBroker Later
        "A ticket is renewed after this part of its life.";
    "sasl.login.callback.handler.class" Class null [any] Medium ReadOnly None
        "Java class that answers SASL login callbacks.";
    "sasl.login.class" Class null [any] Medium ReadOnly None
        "Java class that logs in.";
    "sasl.login.connect.timeout.ms" Int null [any] Low ReadOnly Later
        "How long a connection to the identity provider may take.";
    "sasl.login.read.timeout.ms" Int null [any] Low ReadOnly Later
        "How long the identity provider may take to answer.";
    "sasl.login.refresh.buffer.seconds" Short "300" [any] Medium PerBroker Later
        "A credential is refreshed at least so long before it expires.";
    "sasl.login.refresh.min.period.seconds" Short "60" [any] Medium PerBroker Later
        "A credential is not refreshed sooner than this.";
    "sasl.login.refresh.window.factor" Double "0.8" [any] Medium PerBroker Later
        "A credential is refreshed after this part of its life.";
    "sasl.login.refresh.window.jitter" Double "0.05" [any] Medium PerBroker Later
        "How much that varies at random, as a part of one.";
    "sasl.login.retry.backoff.max.ms" Long "10000" [any] Low ReadOnly Later
        "Longest pause after failed logins.";
    "sasl.login.retry.backoff.ms" Long "100" [any] Low ReadOnly Later
        "First pause after a failed login.";
    "sasl.mechanism.controller.protocol" String "GSSAPI" [any] High ReadOnly Later
        "SASL mechanism towards controllers.";
    "sasl.mechanism.inter.broker.protocol" String "GSSAPI" [any] Medium PerBroker Later
        "SASL mechanism among brokers.";
    "sasl.oauthbearer.allow.unverified.audience" Boolean "false" [any] Medium ReadOnly Later
        "Tokens count without a check of whom they are meant for.";
    "sasl.oauthbearer.allow.unverified.issuer" Boolean "false" [any] Medium ReadOnly Later
        "Tokens count without a check of who issued them.";
    "sasl.oauthbearer.assertion.algorithm" String "RS256" [one of any case "ES256", "RS256"] Medium ReadOnly Later
        "How assertions for the identity provider are signed.";
    "sasl.oauthbearer.assertion.claim.aud" String null [any] Medium ReadOnly Later
        "Audience in such an assertion.";
    "sasl.oauthbearer.assertion.claim.exp.seconds" Int "300" [0 to 86400] Low ReadOnly Later
        "How long such an assertion holds.";
    "sasl.oauthbearer.assertion.claim.iss" String null [any] Medium ReadOnly Later
        "Issuer in such an assertion.";
    "sasl.oauthbearer.assertion.claim.jti.include" Boolean "false" [any] Medium ReadOnly Later
        "Such an assertion bears an id of its own.";
    "sasl.oauthbearer.assertion.claim.nbf.seconds" Int "60" [0 to 3600] Low ReadOnly Later
        "How far in the past such an assertion begins to hold.";
    "sasl.oauthbearer.assertion.claim.sub" String null [any] Medium ReadOnly Later
        "Subject in such an assertion.";
    "sasl.oauthbearer.assertion.file" String null [any] Medium ReadOnly Later
        "File with a ready assertion.";
    "sasl.oauthbearer.assertion.private.key.file" String null [any] Medium ReadOnly Later
        "File with the key that signs assertions.";
    "sasl.oauthbearer.assertion.private.key.passphrase" Password null [any] Medium ReadOnly Later
        "Passphrase of that key.";
    "sasl.oauthbearer.assertion.template.file" String null [any] Medium ReadOnly Later
        "File with further claims and headers of assertions.";
    "sasl.oauthbearer.client.credentials.client.id" String null [any] Medium ReadOnly Later
        "Name under which the node asks the identity provider.";
    "sasl.oauthbearer.client.credentials.client.secret" Password null [any] Medium ReadOnly Later
        "Secret with which the node asks the identity provider.";
    "sasl.oauthbearer.clock.skew.seconds" Int "30" [any] Low ReadOnly Later
        "How far the clocks of issuer and broker may differ.";
    "sasl.oauthbearer.expected.audience" List "" [list empty] High ReadOnly Later
        "Whom a token must be meant for.";
    "sasl.oauthbearer.expected.issuer" String null [any] High ReadOnly Later
        "Who must have issued a token.";
    "sasl.oauthbearer.jwks.endpoint.refresh.ms" Long "3600000" [any] Low ReadOnly Later
        "How often the issuer's keys are fetched anew.";
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms" Long "10000" [any] Low ReadOnly Later
        "Longest pause after the keys could not be fetched.";
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms" Long "100" [any] Low ReadOnly Later
        "First pause after the keys could not be fetched.";
    "sasl.oauthbearer.jwks.endpoint.url" String null [any] Medium ReadOnly Later
        "Where the issuer's keys are found.";
    "sasl.oauthbearer.jwt.retriever.class" Class "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever" [any] Medium ReadOnly None
        "Java class that gets tokens.";
    "sasl.oauthbearer.jwt.validator.class" Class "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator" [any] Medium ReadOnly None
        "Java class that checks tokens.";
    "sasl.oauthbearer.scope" String null [any] Medium ReadOnly Later
        "Scope that the node asks the identity provider for.";
    "sasl.oauthbearer.scope.claim.name" String "scope" [any] Low ReadOnly Later
        "Claim of a token that holds its scope.";
    "sasl.oauthbearer.sub.claim.name" String "sub" [any] Low ReadOnly Later
        "Claim of a token that holds its subject.";
    "sasl.oauthbearer.token.endpoint.url" String null [any] Medium ReadOnly Later
        "Where tokens are issued.";
    "sasl.server.callback.handler.class" Class null [any] Medium ReadOnly None
        "Java class that answers SASL callbacks of the server.";
    "sasl.server.max.receive.size" Int "524288" [any] Medium ReadOnly Later
        "Largest SASL token that is taken before authentication.";
    "security.inter.broker.protocol" String "PLAINTEXT" [one of "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] Medium ReadOnly Acts
        "Security protocol among brokers, when `inter.broker.listener.name` is not set.";
    "security.providers" String null [any] Low ReadOnly None
        "Java security providers.";
    "ssl.allow.dn.changes" Boolean "false" [any] Low ReadOnly Later
        "A reloaded certificate may bear another distinguished name.";
    "ssl.allow.san.changes" Boolean "false" [any] Low ReadOnly Later
        "A reloaded certificate may bear other alternative names.";
    "ssl.cipher.suites" List "" [list empty] Medium PerBroker Later
        "Cipher suites that may be used; all good ones when empty.";
    "ssl.client.auth" String "none" [one of "required", "requested", "none"] Medium PerBroker Later
        "Whether clients show a certificate: `required`, `requested` or `none`.";
    "ssl.enabled.protocols" List "TLSv1.2,TLSv1.3" [list empty] Medium PerBroker Later
        "TLS versions that may be used.";
    "ssl.endpoint.identification.algorithm" String "https" [any] Low PerBroker Later
        "How the name in a server's certificate is checked; empty for not at all.";
    "ssl.engine.factory.class" Class null [any] Low PerBroker None
        "Java class that makes TLS engines.";
    "ssl.key.password" Password null [any] Medium PerBroker Later
        "Password of the private key.";
    "ssl.keymanager.algorithm" String "SunX509" [any] Medium PerBroker None
        "Java name of the key manager's algorithm.";
    "ssl.keystore.certificate.chain" Password null [any] Medium PerBroker Later
        "Certificates of this node, in PEM.";
    "ssl.keystore.key" Password null [any] Medium PerBroker Later
        "Private key of this node, in PEM.";
    "ssl.keystore.location" String null [any] Medium PerBroker Later
        "File with key and certificates.";
    "ssl.keystore.password" Password null [any] Medium PerBroker Later
        "Password of that file.";
    "ssl.keystore.type" String "JKS" [any] Medium PerBroker Later
        "Form of that file: JKS, PKCS12 or PEM.";
    "ssl.principal.mapping.rules" String "DEFAULT" [any] Low ReadOnly Later
        "How the name in a client's certificate becomes a principal.";
    "ssl.protocol" String "TLSv1.3" [any] Medium PerBroker Later
        "Newest TLS version to use.";
    "ssl.provider" String null [any] Medium PerBroker None
        "Java security provider of TLS.";
    "ssl.secure.random.implementation" String null [any] Low PerBroker None
        "Java source of randomness for TLS.";
    "ssl.trustmanager.algorithm" String "PKIX" [any] Medium PerBroker None
        "Java name of the trust manager's algorithm.";
    "ssl.truststore.certificates" Password null [any] Medium PerBroker Later
        "Certificates that are trusted, in PEM.";
    "ssl.truststore.location" String null [any] Medium PerBroker Later
        "File with the certificates that are trusted.";
    "ssl.truststore.password" Password null [any] Medium PerBroker Later
        "Password of that file.";
    "ssl.truststore.type" String "JKS" [any] Medium PerBroker Later
        "Form of that file: JKS, PKCS12 or PEM.";
}
