//! Users that are known by tokens, as `nsc` makes them: an operator vouches for accounts, an account for its users.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use data_encoding::BASE64URL_NOPAD;
use nkeys::KeyPair;
use serde_json::{Value, json};

/// An operator, its system's account, and one with JetStream.
pub(crate) struct Operator {
    own: KeyPair,
    system: KeyPair,
    account: KeyPair,
}

#[allow(dead_code, reason = "not every test binary needs all of it")]
impl Operator {
    pub(crate) fn new() -> Self {
        let [system, account] = [KeyPair::new_account(), KeyPair::new_account()];
        Self { own: KeyPair::new_operator(), system, account }
    }

    /// What a node is told that knows these accounts, and no others.
    pub(crate) fn configuration(&self) -> String {
        let Self { own: operator, system, account } = self;
        let [system_name, name] = [system.public_key(), account.public_key()];
        let operators = json!({ "type": "operator", "version": 2, "system_account": system_name });
        let unlimited = |keeps: i64| {
            json!({
                "type": "account",
                "version": 2,
                "limits": {
                    "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
                    "conn": -1, "leaf": -1, "mem_storage": keeps, "disk_storage": keeps, "streams": keeps, "consumer": keeps,
                },
            })
        };
        let operators = token(operator, &operator.public_key(), &operators, None);
        let [system, account] =
            [(&system_name, 0), (&name, -1)].map(|(name, keeps)| token(operator, name, &unlimited(keeps), None));
        format!(
            "operator: {operators}\nsystem_account: {system_name}\nresolver: MEMORY\n\
             resolver_preload: {{ {system_name}: {system}, {name}: {account} }}\n"
        )
    }

    /// Writes the `.creds` file of a new user that has these permissions (`{}`: all) until then, in seconds since 1970.
    pub(crate) fn user(&self, file: &Path, permissions: &Value, until: Option<i64>) {
        let user = KeyPair::new_user();
        let mut claims = json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1 });
        claims.as_object_mut().unwrap().extend(permissions.as_object().unwrap().clone());
        let token = token(&self.account, &user.public_key(), &claims, until);
        let seed = user.seed().unwrap();
        let text = format!(
            "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n{seed}\n\
             ------END USER NKEY SEED------\n"
        );
        fs::write(file, text).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// What `issuer` says of `subject`, signed.
fn token(issuer: &KeyPair, subject: &str, claims: &Value, until: Option<i64>) -> String {
    let header = json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let mut body =
        json!({ "jti": subject, "iat": 1, "iss": issuer.public_key(), "name": "lab", "sub": subject, "nats": claims });
    if let Some(until) = until {
        body["exp"] = json!(until);
    }
    let encoded = |part: &Value| BASE64URL_NOPAD.encode(part.to_string().as_bytes());
    let signed = format!("{}.{}", encoded(&header), encoded(&body));
    let signature = issuer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
}
