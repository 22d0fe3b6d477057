//! Captures of other programs' traffic: every field that Wireshark's dissector finds is found here, with the same value.
//!
//! The captures and what tshark made of them lie beside the repository and are not part of it; without them these tests
//! say so and check nothing.

#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use ravelin_decode::keys::Keys;
use ravelin_decode::{Decoder, Field, Options, Value, capture};
use serde_json::Value as Json;

fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/pcap");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: the captures are not beside the repository");
    None
}

fn expected(path: &Path) -> Json {
    let mut bytes = Vec::new();
    let file = File::open(path).unwrap();
    if path.extension().is_some_and(|end| end == "gz") {
        flate2::read::GzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    } else {
        { file }.read_to_end(&mut bytes).unwrap();
    }
    serde_json::from_slice(&bytes).unwrap()
}

/// The keys of the expectation as Wireshark's tables have them.
fn keys(expected: &Json) -> Keys {
    let mut text = String::new();
    let keys = &expected["keys"];
    let get = |entry: &Json, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    for entry in keys["ikev1"].as_array().into_iter().flatten() {
        text += &format!("{},{}\n", get(entry, "icookie"), get(entry, "key"));
    }
    for entry in keys["ikev2"].as_array().into_iter().flatten() {
        let names = ["ispi", "rspi", "sk_ei", "sk_er", "encr", "sk_ai", "sk_ar", "integ"];
        text += &names.map(|name| format!("\"{}\"", get(entry, name))).join(",");
        text += "\n";
    }
    for entry in keys["esp"].as_array().into_iter().flatten() {
        let star = |name: &str| Some(get(entry, name)).filter(|v| !v.is_empty()).unwrap_or_else(|| "*".into());
        let fields = [
            star("src"),
            star("dst"),
            star("spi"),
            get(entry, "encr"),
            get(entry, "encr_key"),
            get(entry, "integ"),
            get(entry, "integ_key"),
        ];
        text += &format!("\"IPv4\",{}\n", fields.map(|field| format!("\"{field}\"")).join(","));
    }
    if let Some(full) = keys.get("ikev1_full") {
        text += &format!("{},{}\n", get(full, "cookie_i"), get(full, "Ka_aes128"));
    }
    let mut keys = Keys::default();
    keys.add(&text).unwrap_or_else(|bad| panic!("{bad}: {text}"));
    keys
}

/// What is tshark's own and no field of a packet.
fn of_tshark(name: &str) -> bool {
    name.starts_with("_ws.")
        || name.starts_with("esp.sequence-analysis")
        || name.starts_with("icmp.")
        || name.starts_with("isakmp.sak.")
        || name.starts_with("ip.")
        || [
            // Texts that name a group or the algorithm of a key.
            "isakmp.enc.data",
            "isakmp.enc.decrypted",
            "isakmp.enc.contained",
            "isakmp.enc.padding",
            "isakmp.ike2.attr",
            "isakmp.ike.attr",
            "isakmp.ipsec.attr",
            "isakmp.cfg.attr",
            "isakmp.ts.data",
            "isakmp.id.data",
            "isakmp.vid_string",
            "isakmp.vid.cisco_unity.major",
            "isakmp.vid.cisco_unity.minor",
            "esp.decrypted_data",
            "data",
            "data.data",
            "data.len",
            "isakmp.ikev2.integrity_checksum",
        ]
        .contains(&name)
}

fn flatten_theirs(fields: &Json, out: &mut Vec<(String, String)>) {
    for field in fields.as_array().into_iter().flatten() {
        let Some(name) = field[0].as_str() else { continue };
        let value = field[1].as_str().unwrap_or_default();
        // Without keys it takes the first four bytes for an IV, whatever the cipher.
        let guess = name == "isakmp.enc.iv" && value.len() == 11;
        if !of_tshark(name) && !guess && !value.contains("<MISSING>") {
            out.push((name.into(), value.into()));
        }
        flatten_theirs(&field[2], out);
    }
}

fn flatten_ours(fields: &[Field], out: &mut Vec<(String, String)>) {
    for field in fields {
        if !of_tshark(field.name) && !field.name.is_empty() {
            let hex: Vec<String> = field.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let value = match &field.value {
                Value::Number(number) => number.to_string(),
                Value::Text(text) => text.clone(),
                Value::Bytes => hex.join(":"),
            };
            out.push((field.name.into(), value));
        }
        flatten_ours(&field.children, out);
    }
}

fn same(ours: &str, theirs: &str) -> bool {
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    };
    // These two have a text there.
    let text = theirs == "Non-ESP Marker" || theirs == "NAT-keepalive packet";
    text || ours == theirs || number(ours).is_some() && number(ours) == number(theirs)
}

/// Frames that tshark reads differently, and why.
const OTHERWISE: &[(&str, u64, &str)] = &[
    (
        "tcpdump__ikev2-id-normal.pcap",
        1,
        "it reads an address of four bytes beyond the end of a payload that has none left",
    ),
    ("tcpdump__isakmp-delete-segfault.pcap", 1, "it shows no exchange type where the version is neither 1 nor 2"),
];

fn captures(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| !path.to_string_lossy().contains(".expected.") && !path.ends_with("MANIFEST.json"));
    paths.sort();
    paths
}

#[test]
fn every_capture_gives_the_fields_that_tshark_gives() {
    let Some(folder) = folder() else { return };
    let (mut compared, mut differences) = (0, Vec::new());
    for path in captures(&folder) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let plain = folder.join(format!("{name}.expected.json"));
        let expected = expected(&if plain.exists() { plain } else { folder.join(format!("{name}.expected.json.gz")) });
        let mut decoder = Decoder::new(keys(&expected), Options { ignore_icv: true });
        let mut theirs = expected["frames"].as_array().unwrap().iter().peekable();
        let read = capture::frames(File::open(&path).unwrap(), |number, frame| {
            let decoded = decoder.packet(frame.link, &frame.data);
            let Some(frame) = theirs.next_if(|frame| frame["frame"].as_u64() == Some(number as u64)) else { return };
            if OTHERWISE.iter().any(|(of, at, _)| *of == name && *at == number as u64) {
                assert!(!decoded.is_good(), "{name}");
                return;
            }
            let (mut want, mut have) = (Vec::new(), Vec::new());
            for layer in frame["layers"].as_array().unwrap() {
                if ["isakmp", "esp", "ah", "udpencap"].contains(&layer["proto"].as_str().unwrap()) {
                    flatten_theirs(&layer["fields"], &mut want);
                }
            }
            for layer in &decoded.layers {
                flatten_ours(&layer.fields, &mut have);
            }
            // tshark does not go on behind what is malformed, and we do.
            for (at, (name_of, value)) in want.iter().enumerate() {
                compared += 1;
                match have.get(at) {
                    Some((ours, our_value)) if ours == name_of && same(our_value, value) => {}
                    other => {
                        differences
                            .push(format!("{name} frame {number}: want {name_of} = {value:.40}, have {other:.60?}"));
                        break;
                    }
                }
            }
        });
        if let Err(error) = read {
            eprintln!("{name}: {error}");
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    assert!(compared > 50_000, "{compared}");
}

/// Snapshots above this length are kept as a digest.
const LONG: usize = 100_000;

/// What is printed for each capture is what was reviewed. `UPDATE_SNAPSHOTS=1` writes the snapshots anew.
#[test]
fn every_capture_is_printed_as_it_was_reviewed() {
    use ravelin_decode::Secrecy;
    use ravelin_decode::render::text;
    use sha2::{Digest, Sha256};
    let Some(folder) = folder() else { return };
    let snapshots = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots");
    let style = text::Style { shown: Secrecy::Secret, hex: false };
    let mut changed = Vec::new();
    for path in captures(&folder) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let plain = folder.join(format!("{name}.expected.json"));
        let keys =
            keys(&expected(&if plain.exists() { plain } else { folder.join(format!("{name}.expected.json.gz")) }));
        let mut decoder = Decoder::new(keys, Options::default());
        let mut printed = String::new();
        capture::frames(File::open(&path).unwrap(), |number, frame| {
            let decoded = decoder.packet(frame.link, &frame.data);
            let when = frame.time.map_or_else(|| "-".into(), text::time);
            printed += &text::frame(number, &when, &frame.data, &decoded, style);
        })
        .unwrap();
        if printed.len() > LONG {
            printed = Sha256::digest(&printed).iter().map(|byte| format!("{byte:02x}")).collect();
        }
        let snapshot = snapshots.join(format!("{name}.txt"));
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            fs::write(&snapshot, &printed).unwrap();
        } else if fs::read_to_string(&snapshot).unwrap_or_default() != printed {
            changed.push(name);
        }
    }
    assert!(changed.is_empty(), "the output changed for {changed:?}");
}

/// Of a session of others whose pre-shared key was published: both sides' hashes are of that key, and of no other.
#[test]
fn hashes_are_compared_with_pre_shared_keys() {
    let Some(folder) = folder() else { return };
    let path = folder.join("rub__ikev1-psk-main-mode-complete.pcapng");
    let expected = expected(&folder.join("rub__ikev1-psk-main-mode-complete.pcapng.expected.json"));
    let psk = expected["keys"]["ikev1_full"]["psk"].as_str().unwrap();
    for (psk, good) in [(psk, true), ("wollowitz", false)] {
        let mut keys = keys(&expected);
        keys.add_psk(ravelin_types::Secret::from(psk.as_bytes()));
        let mut decoder = Decoder::new(keys, Options::default());
        let mut said = Vec::new();
        capture::frames(File::open(&path).unwrap(), |_, frame| {
            let decoded = decoder.packet(frame.link, &frame.data);
            for layer in decoded.layers {
                let mut read = Vec::new();
                texts(&layer.fields, &mut read);
                said.extend(read.into_iter().filter(|text| text.starts_with("HASH_")));
                said.extend(layer.problems.into_iter().map(|problem| problem.text));
            }
        })
        .unwrap();
        let expected = match good {
            true => ["HASH_I", "HASH_R"].map(|hash| format!("{hash} verifies with a pre-shared key that was given")),
            false => [(); 2].map(|()| {
                "the hash verifies with no pre-shared key that was given: its sender has another key".to_owned()
            }),
        };
        assert_eq!(said, expected);
    }
}

fn texts(fields: &[Field], out: &mut Vec<String>) {
    for field in fields {
        out.push(field.text.clone());
        texts(&field.children, out);
    }
}
