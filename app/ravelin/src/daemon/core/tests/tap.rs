//! Who reads along, and what he can read.

use std::sync::{Arc, Mutex};

use ravelin_control::DEBUG_EVENT;
use ravelin_decode::keys::{ESP_TABLE, IKEV1_TABLE, IKEV2_TABLE, Keys, TABLES};
use ravelin_decode::{Decoder, Field, Options};

use super::pair::Pair;
use super::*;
use crate::daemon::tap::key_log::KeyLog;

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

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The keys in the tables of a directory: every number of 128 bits and more.
fn keys_in(directory: &std::path::Path) -> Vec<Vec<u8>> {
    let text: String =
        TABLES.iter().map(|table| std::fs::read_to_string(directory.join(table)).unwrap_or_default()).collect();
    let numbers = text.split(|c: char| !c.is_ascii_hexdigit()).filter(|digits| digits.len() >= 32);
    let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    numbers.map(|digits| digits.as_bytes().chunks(2).map(octet).collect()).collect()
}

/// Whether the begin of a secret is in a text: as it is, in hexadecimal digits with or without spaces, or as a list of numbers.
fn tells(text: &str, secret: &[u8]) -> bool {
    let begin = &secret[..secret.len().min(8)];
    let digits: String = begin.iter().map(|octet| format!("{octet:02x}")).collect();
    let list = format!("{begin:?}");
    let plain = std::str::from_utf8(secret).is_ok_and(|secret| text.contains(secret));
    let close: String = text.to_lowercase().split_whitespace().collect();
    plain || close.contains(&digits) || text.contains(list.trim_matches(['[', ']']))
}

// Row 126 of docs/HISTORY.md: whatever the level of the log, and whatever is shown without `--show secrets`, no key is in it that was
// configured or made, when all goes well and when it does not.
#[test]
fn no_log_at_any_level_has_a_secret() {
    const KEY: &str = "Tr0ub4dor-and-3-horses";
    let log = Log::default();
    let (writer, level) = (log.clone(), tracing::Level::TRACE);
    let subscriber = tracing_subscriber::fmt().with_max_level(level).with_writer(move || writer.clone()).finish();
    let v1 = "-z 1 -e AES128-CBC -a SHA256 -d MODP2048";
    let aggressive = format!("{v1} --aggressive");
    let (login, users) = (format!("{v1} --xauth-login me"), format!("{v1} --xauth-users users"));
    let mut made = 0;
    tracing::subscriber::with_default(subscriber, || {
        for (number, (here, there, policy)) in [
            ("", "", ""),
            (v1, v1, "-e AES128-CBC -a HMAC-SHA-1"),
            (&aggressive, &aggressive, "-e AES128-CBC -a HMAC-SHA-1"),
            (&login, &users, "-e AES128-CBC -a HMAC-SHA-1"),
        ]
        .into_iter()
        .enumerate()
        {
            for right in [true, false] {
                let mut pair = Pair::new(&format!("leak-{number}-{right}"), [here, policy], [there, policy]);
                let ends = ["-r 10.0.0.2 --local 10.0.0.1", "-r 10.0.0.1 --local 10.0.0.2"];
                for (at, words) in [here, there].into_iter().enumerate() {
                    let bench = &mut pair.0[at];
                    let key = if right || at == 0 { KEY } else { "another-key-of-somebody" };
                    std::fs::write(bench.directory.join("psk"), key).unwrap();
                    std::fs::write(bench.directory.join("users"), "carol looking glass").unwrap();
                    bench.ok("ike remote -x gw");
                    bench.ok(&format!("ike remote -n gw -w -u {} -h psk {words}", ends[at]));
                    let keys = bench.directory.join("keys");
                    bench.core.read_along(Tap::writing(KeyLog::open(&keys).unwrap()));
                }
                let readers = [0, 1].map(|at| begin(&mut pair.0[at], 7, "ike debug -t -d"));
                pair.initiate();
                if right {
                    pair.0[0].ok("ike rekey --child p1 --timeout 0");
                    pair.exchange();
                }
                let mut said = String::new();
                for (at, reader) in readers.into_iter().enumerate() {
                    said += &shown(&mut pair.0[at], reader).concat();
                    for line in ["ike netstat -r -v", "ipsec netstat -a", "why gw", "ipsec policy -v -n p1"] {
                        said += &format!("{:?}", pair.0[at].send(line));
                    }
                    said += &pair.0[at].state();
                }
                assert!(said.contains("Sent to Remote"), "{said}");
                said += &String::from_utf8_lossy(&log.0.lock().unwrap());
                let keys = keys_in(&pair.0[0].directory.join("keys"));
                made += keys.len();
                let configured = [KEY, "another-key-of-somebody", "looking glass"].map(|key| key.as_bytes().to_vec());
                for secret in keys.into_iter().chain(configured) {
                    assert!(!tells(&said, &secret), "{number} {right}: {secret:02x?}");
                }
            }
        }
    });
    assert!(made > 20 && !log.0.lock().unwrap().is_empty(), "{made} keys");
    // It would have been found.
    let text = "12 ab 34 CD 56 ef 78 90 and [1, 2, 3, 4, 5, 6, 7, 8, 9]";
    assert!(
        tells(text, &[0x12, 0xab, 0x34, 0xcd, 0x56, 0xef, 0x78, 0x90, 0x11]) && tells(text, &[1, 2, 3, 4, 5, 6, 7, 8])
    );
    assert!(tells(KEY, KEY.as_bytes()) && !tells(text, KEY.as_bytes()));
}

/// What was shown to a client since it was asked last.
fn shown(bench: &mut Bench, client: ClientId) -> Vec<String> {
    let said = bench.core.said().into_iter().filter_map(|said| match said {
        Said::Progress(to, DEBUG_EVENT, message) if to == client => Some(message.text("text").unwrap().to_owned()),
        _ => None,
    });
    said.collect()
}

/// Begins to show.
fn begin(bench: &mut Bench, client: u64, line: &str) -> ClientId {
    let before = std::mem::replace(&mut bench.client, ClientId(client));
    assert_eq!(bench.send(line), None, "{line}");
    std::mem::replace(&mut bench.client, before)
}

// S-133: both directions, with the head and the lines of document 003 §4.5, and what is encrypted is opened.
#[test]
fn messages_are_traced_as_they_go() {
    for version in ["", "-z 1 -e AES128-CBC -a SHA256 -d MODP2048"] {
        let policy = if version.is_empty() { "" } else { "-e AES128-CBC -a HMAC-SHA-1" };
        let mut pair = Pair::new(&format!("trace{}", version.len()), [version, policy], [version, policy]);
        let readers = [0, 1].map(|at| begin(&mut pair.0[at], 7, "ike debug -t"));
        pair.initiate();
        for (at, reader) in readers.into_iter().enumerate() {
            let texts = shown(&mut pair.0[at], reader);
            assert_eq!(texts.len(), pair.1.len(), "every message is shown");
            let other = if at == 0 { "10.0.0.2" } else { "10.0.0.1" };
            let head = |text: &str, way: &str| text.contains(&format!(" bytes; remote {other} [500]; {way}\n"));
            assert!(
                texts.iter().all(|text| head(text, "Sent to Remote") || head(text, "Received from Remote")),
                "{texts:?}"
            );
            assert!(head(&texts[0], if at == 0 { "Sent to Remote" } else { "Received from Remote" }));
            assert!(texts[0].contains("\n 0000 ") && texts[0].contains("Initiator "), "{}", texts[0]);
            let closed =
                texts.iter().filter(|text| text.contains("Encrypted Data; ") || text.contains("problem")).count();
            assert_eq!(closed, 0, "{}", texts.concat());
            let all = texts.concat();
            assert!(all.contains("Identification"), "{all}");
        }
    }
}

#[test]
fn an_ike_sa_that_is_there_already_is_opened_too() {
    for version in ["", "-z 1 -e AES128-CBC -a SHA256 -d MODP2048"] {
        let policy = if version.is_empty() { "" } else { "-e AES128-CBC -a HMAC-SHA-1" };
        let mut pair = Pair::new(&format!("late{}", version.len()), [version, policy], [version, policy]);
        pair.initiate();
        let reader = begin(&mut pair.0[0], 7, "ike debug --trace");
        pair.0[0].ok("ike rekey --child p1 --timeout 0");
        pair.exchange();
        let texts = shown(&mut pair.0[0], reader);
        assert!(texts.len() >= 2, "{texts:?}");
        assert!(texts.iter().all(|text| !text.contains("Encrypted Data; ")), "{texts:#?}");
        assert!(texts.concat().contains("Nonce"), "{texts:#?}");
    }
}

#[test]
fn a_trace_shows_no_more_than_was_asked_for() {
    let mut pair = Pair::new("levels", ["-g fqdn:who-am-i", ""], ["-f fqdn:who-am-i", ""]);
    let readers = ["ike debug -t --show public", "ike debug -t", "ike debug -t --show secrets"]
        .iter()
        .zip(2..)
        .map(|(line, client)| begin(&mut pair.0[0], client, line))
        .collect::<Vec<_>>();
    pair.initiate();
    let mut of: BTreeMap<ClientId, String> = BTreeMap::new();
    for said in pair.0[0].core.said() {
        if let Said::Progress(client, DEBUG_EVENT, message) = said {
            of.entry(client).or_default().push_str(message.text("text").unwrap());
        }
    }
    let [public, identities, secrets] = [0, 1, 2].map(|at| &of[&readers[at]]);
    assert!(!public.contains("who-am-i") && identities.contains("who-am-i") && secrets.contains("who-am-i"));
    assert!(public.contains("not shown") && identities.contains("not shown") && !secrets.contains("not shown"));
}

#[test]
fn debugging_ends_for_all_by_the_command_without_options() {
    let mut pair = Pair::new("off", ["", ""], ["", ""]);
    let lines = begin(&mut pair.0[0], 7, "ike debug -d");
    let messages = begin(&mut pair.0[0], 8, "ike debug -t");
    pair.initiate();
    let texts = shown(&mut pair.0[0], lines).concat();
    assert!(texts.contains("IKE gw: IKE_SA gw[1] established between 10.0.0.1"), "{texts}");
    assert!(!texts.contains("Sent to Remote"));
    pair.0[0].send("ike debug");
    pair.0[0].ok("ike rekey --child p1 --timeout 0");
    assert!(!pair.0[0].core.tap.trace.wants_messages() && !pair.0[0].core.tap.trace.wants_lines());
    assert_eq!(shown(&mut pair.0[0], messages), [""; 0]);
    // Whoever hangs up is no reader any more.
    let reader = begin(&mut pair.0[0], 9, "ike debug -t -d");
    pair.0[0].core.hung_up(reader);
    assert!(!pair.0[0].core.tap.trace.wants_messages());
}

// S-133 under load: the endpoint is served first, and what is left out is told by the numbers.
#[test]
fn a_flood_is_not_shown_and_few_may_read() {
    let mut bench = Bench::new("flood");
    let reader = begin(&mut bench, 7, "ike debug -t");
    for client in 8..15 {
        begin(&mut bench, client, "ike debug -d");
    }
    assert!(bench.refused("ike debug -d").contains("8 read already"));
    let message = [0x11; 28];
    for second in [0, 1] {
        let now = Instant::ZERO + Duration::from_secs(second);
        for _ in 0..2000 {
            let (local, remote) = (([10, 0, 0, 1], 500).into(), ([10, 0, 0, 2], 500).into());
            bench.core.datagram(Datagram { local, remote, carrier: ravelin_types::Carrier::Udp, data: &message }, now);
        }
    }
    let numbers: Vec<u64> = bench
        .core
        .said()
        .into_iter()
        .filter_map(|said| match said {
            Said::Progress(to, DEBUG_EVENT, message) if to == reader => message.text("number")?.parse().ok(),
            _ => None,
        })
        .collect();
    assert_eq!(numbers.len(), 1000);
    assert_eq!((numbers[499], numbers[500], numbers[999]), (500, 2001, 2500));
    let answer = bench.core.carry_out(
        super::super::super::later::NOBODY,
        ravelin_config::parse(&["ike".into(), "debug".into(), "-t".into()]).unwrap().command,
        std::path::Path::new("/"),
        Instant::ZERO,
    );
    assert!(answer.unwrap_err().contains("a file has nobody"));
}

// What is in the clear in aggressive mode is enough to find out that the two sides have not the same key.
#[test]
fn a_pre_shared_key_is_tried_on_the_hash_of_aggressive_mode() {
    let remote = "-z 1 --aggressive -e AES128-CBC -a SHA256 -d MODP2048";
    let mut pair = Pair::new("psk-hash", [remote, ""], [remote, ""]);
    pair.initiate();
    for (psk, good) in [("secret", true), ("Secret", false)] {
        let mut keys = Keys::default();
        keys.add_psk(Secret::from(psk.as_bytes()));
        let mut decoder = Decoder::new(keys, Options::default());
        let layers: Vec<_> = pair.1.iter().map(|message| decoder.ike_message(message)).collect();
        assert_eq!(layers[1].fields.last().unwrap().text.starts_with("HASH_R verifies"), good);
        assert_eq!(layers[1].problems.is_empty(), good, "{:?}", layers[1].problems);
    }
}
