//! Broker keys: security: TLS, SASL, tokens, authorization.

rows! {
    "authorizer.class.name" String "" [non null] Low ReadOnly Later
        "";
    "connections.max.reauth.ms" Long "0" [any] Medium ReadOnly Later
        "";
    "delegation.token.expiry.check.interval.ms" Long "3600000" [1 ..] Low ReadOnly Later
        "";
    "delegation.token.expiry.time.ms" Long "86400000" [1 ..] Medium ReadOnly Later
        "";
    "delegation.token.max.lifetime.ms" Long "604800000" [1 ..] Medium ReadOnly Later
        "";
    "delegation.token.secret.key" Password null [any] Medium ReadOnly Later
        "";
    "principal.builder.class" Class "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder" [any] Medium PerBroker Later
        "";
    "sasl.client.callback.handler.class" Class null [any] Medium ReadOnly Later
        "";
    "sasl.enabled.mechanisms" List "GSSAPI" [list empty] Medium PerBroker Later
        "";
    "sasl.jaas.config" Password null [any] Medium PerBroker Later
        "";
    "sasl.kerberos.kinit.cmd" String "/usr/bin/kinit" [any] Medium PerBroker Later
        "";
    "sasl.kerberos.min.time.before.relogin" Long "60000" [any] Medium PerBroker Later
        "";
    "sasl.kerberos.principal.to.local.rules" List "DEFAULT" [list empty] Medium PerBroker Later
        "";
    "sasl.kerberos.service.name" String null [any] Medium PerBroker Later
        "";
    "sasl.kerberos.ticket.renew.jitter" Double "0.05" [any] Medium PerBroker Later
        "";
    "sasl.kerberos.ticket.renew.window.factor" Double "0.8" [any] Medium PerBroker Later
        "";
    "sasl.login.callback.handler.class" Class null [any] Medium ReadOnly Later
        "";
    "sasl.login.class" Class null [any] Medium ReadOnly Later
        "";
    "sasl.login.connect.timeout.ms" Int null [any] Low ReadOnly Later
        "";
    "sasl.login.read.timeout.ms" Int null [any] Low ReadOnly Later
        "";
    "sasl.login.refresh.buffer.seconds" Short "300" [any] Medium PerBroker Later
        "";
    "sasl.login.refresh.min.period.seconds" Short "60" [any] Medium PerBroker Later
        "";
    "sasl.login.refresh.window.factor" Double "0.8" [any] Medium PerBroker Later
        "";
    "sasl.login.refresh.window.jitter" Double "0.05" [any] Medium PerBroker Later
        "";
    "sasl.login.retry.backoff.max.ms" Long "10000" [any] Low ReadOnly Later
        "";
    "sasl.login.retry.backoff.ms" Long "100" [any] Low ReadOnly Later
        "";
    "sasl.mechanism.controller.protocol" String "GSSAPI" [any] High ReadOnly Later
        "";
    "sasl.mechanism.inter.broker.protocol" String "GSSAPI" [any] Medium PerBroker Later
        "";
    "sasl.oauthbearer.allow.unverified.audience" Boolean "false" [any] Medium ReadOnly Later
        "";
    "sasl.oauthbearer.allow.unverified.issuer" Boolean "false" [any] Medium ReadOnly Later
        "";
    "sasl.oauthbearer.assertion.algorithm" String "RS256" [one of any case "ES256", "RS256"] Medium ReadOnly Later
        "";
    "sasl.oauthbearer.assertion.claim.aud" String null [any] Medium ReadOnly Later
        "";
    "sasl.oauthbearer.assertion.claim.exp.seconds" Int "300" [0 to 86400] Low ReadOnly Later
        "";
    "sasl.oauthbearer.assertion.claim.iss" String null [any] Medium ReadOnly Later
        "";
    "sasl.oauthbearer.assertion.claim.jti.include" Boolean "false" [any] Medium ReadOnly Later
        "";
    "sasl.oauthbearer.assertion.claim.nbf.seconds" Int "60" [0 to 3600] Low ReadOnly Later
        "";
    "sasl.oauthbearer.assertion.claim.sub" String null [any] Medium ReadOnly Later
        "";
    "sasl.oauthbearer.assertion.file" String null [any] Medium ReadOnly Later
        "";
    "sasl.oauthbearer.assertion.private.key.file" String null [any] Medium ReadOnly Later
        "";
    "sasl.oauthbearer.assertion.private.key.passphrase" Password null [any] Medium ReadOnly Later
        "";
    "sasl.oauthbearer.assertion.template.file" String null [any] Medium ReadOnly Later
        "";
    "sasl.oauthbearer.client.credentials.client.id" String null [any] Medium ReadOnly Later
        "";
    "sasl.oauthbearer.client.credentials.client.secret" Password null [any] Medium ReadOnly Later
        "";
    "sasl.oauthbearer.clock.skew.seconds" Int "30" [any] Low ReadOnly Later
        "";
    "sasl.oauthbearer.expected.audience" List "" [list empty] High ReadOnly Later
        "";
    "sasl.oauthbearer.expected.issuer" String null [any] High ReadOnly Later
        "";
    "sasl.oauthbearer.jwks.endpoint.refresh.ms" Long "3600000" [any] Low ReadOnly Later
        "";
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms" Long "10000" [any] Low ReadOnly Later
        "";
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms" Long "100" [any] Low ReadOnly Later
        "";
    "sasl.oauthbearer.jwks.endpoint.url" String null [any] Medium ReadOnly Later
        "";
    "sasl.oauthbearer.jwt.retriever.class" Class "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever" [any] Medium ReadOnly Later
        "";
    "sasl.oauthbearer.jwt.validator.class" Class "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator" [any] Medium ReadOnly Later
        "";
    "sasl.oauthbearer.scope" String null [any] Medium ReadOnly Later
        "";
    "sasl.oauthbearer.scope.claim.name" String "scope" [any] Low ReadOnly Later
        "";
    "sasl.oauthbearer.sub.claim.name" String "sub" [any] Low ReadOnly Later
        "";
    "sasl.oauthbearer.token.endpoint.url" String null [any] Medium ReadOnly Later
        "";
    "sasl.server.callback.handler.class" Class null [any] Medium ReadOnly Later
        "";
    "sasl.server.max.receive.size" Int "524288" [any] Medium ReadOnly Later
        "";
    "security.inter.broker.protocol" String "PLAINTEXT" [one of "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] Medium ReadOnly Later
        "";
    "security.providers" String null [any] Low ReadOnly Later
        "";
    "ssl.allow.dn.changes" Boolean "false" [any] Low ReadOnly Later
        "";
    "ssl.allow.san.changes" Boolean "false" [any] Low ReadOnly Later
        "";
    "ssl.cipher.suites" List "" [list empty] Medium PerBroker Later
        "";
    "ssl.client.auth" String "none" [one of "required", "requested", "none"] Medium PerBroker Later
        "";
    "ssl.enabled.protocols" List "TLSv1.2,TLSv1.3" [list empty] Medium PerBroker Later
        "";
    "ssl.endpoint.identification.algorithm" String "https" [any] Low PerBroker Later
        "";
    "ssl.engine.factory.class" Class null [any] Low PerBroker Later
        "";
    "ssl.key.password" Password null [any] Medium PerBroker Later
        "";
    "ssl.keymanager.algorithm" String "SunX509" [any] Medium PerBroker Later
        "";
    "ssl.keystore.certificate.chain" Password null [any] Medium PerBroker Later
        "";
    "ssl.keystore.key" Password null [any] Medium PerBroker Later
        "";
    "ssl.keystore.location" String null [any] Medium PerBroker Later
        "";
    "ssl.keystore.password" Password null [any] Medium PerBroker Later
        "";
    "ssl.keystore.type" String "JKS" [any] Medium PerBroker Later
        "";
    "ssl.principal.mapping.rules" String "DEFAULT" [any] Low ReadOnly Later
        "";
    "ssl.protocol" String "TLSv1.3" [any] Medium PerBroker Later
        "";
    "ssl.provider" String null [any] Medium PerBroker Later
        "";
    "ssl.secure.random.implementation" String null [any] Low PerBroker Later
        "";
    "ssl.trustmanager.algorithm" String "PKIX" [any] Medium PerBroker Later
        "";
    "ssl.truststore.certificates" Password null [any] Medium PerBroker Later
        "";
    "ssl.truststore.location" String null [any] Medium PerBroker Later
        "";
    "ssl.truststore.password" Password null [any] Medium PerBroker Later
        "";
    "ssl.truststore.type" String "JKS" [any] Medium PerBroker Later
        "";
}
