# The provisioning worker: personal data under `pii`, nothing else.
path "transit/datakey/plaintext/pii" { capabilities = ["update"] }
path "transit/decrypt/pii"           { capabilities = ["update"] }

# What every token may know and do about itself: how a worker checks that it can do no more than this.
path "auth/token/lookup-self"        { capabilities = ["read"] }
path "auth/token/renew-self"         { capabilities = ["update"] }
path "sys/capabilities-self"         { capabilities = ["update"] }
