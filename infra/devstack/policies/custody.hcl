# The custody worker: seeds under `seed`, signatures with `attest`, randomness; no personal data.
path "transit/datakey/plaintext/seed" { capabilities = ["update"] }
path "transit/decrypt/seed"           { capabilities = ["update"] }
path "transit/random"                 { capabilities = ["update"] }
path "transit/sign/attest"            { capabilities = ["update"] }
path "transit/keys/attest"            { capabilities = ["read"] }

# What every token may know and do about itself: how a worker checks that it can do no more than this.
path "auth/token/lookup-self"         { capabilities = ["read"] }
path "auth/token/renew-self"          { capabilities = ["update"] }
path "sys/capabilities-self"          { capabilities = ["update"] }
