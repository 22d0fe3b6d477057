//! Who reads along, and what he can read.

use ravelin_decode::keys::{ESP_TABLE, IKEV1_TABLE, IKEV2_TABLE, Keys, TABLES};
use ravelin_decode::{Decoder, Field, Options};

use super::pair::Pair;
use super::*;
use crate::daemon::key_log::KeyLog;

/// Whether what was encrypted is there.
fn is_opened(fields: &[Field]) -> bool {
    let inside = |field: &Field| ["isakmp.enc.data", "isakmp.enc.decrypted"].contains(&field.name);
    fields.iter().any(|field| is_opened(&field.children) || inside(field) && !field.children.is_empty())
}

/// Two daemons, of which one writes keys.
fn logged(name: &str, at: usize, remote: &str, policy: &str) -> (Pair, std::path::PathBuf) {
    let mut pair = Pair::new(name, [remote, policy], [remote, policy]);
    let directory = pair.0[at].directory.join("keys");
    pair.0[at].core.read_along(Tap::writing(KeyLog::open(&directory).unwrap()));
    pair.initiate();
    (pair, directory)
}

// Either side has the keys before the first message that they protect is handled, in both versions.
#[test]
fn logged_keys_open_every_message() {
    let v1 = "-z 1 -e AES128-CBC -a SHA256 -d MODP2048";
    // By default there is an additional key exchange, which makes further keys of the same IKE SA.
    for (table, lines, remote, policy) in
        [(IKEV2_TABLE, 2, "", ""), (IKEV1_TABLE, 1, v1, "-e AES128-CBC -a HMAC-SHA-1")]
    {
        for at in [0, 1] {
            let (pair, directory) = logged(&format!("open-{table}-{at}"), at, remote, policy);
            let mut keys = Keys::default();
            for file in [table, ESP_TABLE] {
                let text = std::fs::read_to_string(directory.join(file)).unwrap();
                assert_eq!(text.lines().count(), if file == ESP_TABLE { 2 } else { lines }, "{file}: {text}");
                keys.add(&text).unwrap();
            }
            let mut decoder = Decoder::new(keys, Options::default());
            let mut opened = 0;
            for message in &pair.1 {
                let layer = decoder.ike_message(message);
                assert!(layer.problems.is_empty(), "{:?}", layer.problems);
                opened += usize::from(is_opened(&layer.fields));
            }
            let closed = if table == IKEV2_TABLE { 2 } else { 4 };
            assert_eq!(opened, pair.1.len() - closed);
            assert!(opened >= 4, "{opened} messages were opened");
        }
    }
}

#[test]
fn nothing_is_written_unless_asked_for() {
    let (pair, directory) = logged("quiet", 0, "", "");
    let there = pair.0[1].directory.clone();
    assert!(directory.join(TABLES[0]).exists() && !there.join("keys").exists());
}
