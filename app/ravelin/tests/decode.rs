//! `ravelin decode` as a user calls it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

/// One frame: the first message of IKEv1's main mode.
fn capture() -> PathBuf {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/corpus/decode-capture/pcap");
    PathBuf::from(corpus)
}

fn decode(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ravelin")).arg("decode").args(args).output().expect("the program runs")
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("it prints text")
}

#[test]
fn a_capture_is_printed_in_the_layout_of_the_document() {
    let path = capture();
    let printed = text(&decode(&[path.to_str().unwrap()]));
    for line in [
        " 0010 01 Next Payload - Security Association",
        " 0011 10 Version: 1.0",
        " 0012 02 Exchange Type - Identity Protection (Main Mode)",
        " 0020 00 00 00 01 DOI - IPSEC",
        " 0024 00 00 00 01 Situation - SIT IDENTITY ONLY",
        " 002d 01 Protocol ID - PROTO_ISAKMP",
        " 0035 01 Transform ID - KEY_IKE",
        " 0038 80 0b 00 01 ATTR: Life Type - seconds",
        " 003c 00 0c 00 04 00 01 51 80 ATTR: Life Duration - 86400",
        " 004c 80 03 00 01 ATTR: Authentication - Pre-shared Key",
    ] {
        assert!(printed.lines().any(|printed| printed == line), "{line}\nin\n{printed}");
    }
    assert!(!printed.contains("problem"), "{printed}");
}

#[test]
fn json_has_an_object_for_each_frame() {
    let path = capture();
    let printed = text(&decode(&[path.to_str().unwrap(), "--json"]));
    let objects: Vec<serde_json::Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects.len(), 1);
    assert_eq!(objects[0]["layers"][0]["name"], "isakmp");
    assert_eq!(objects[0]["layers"][0]["fields"][4]["name"], "isakmp.exchangetype");
    assert_eq!(objects[0]["layers"][0]["fields"][4]["value"], 2);
    assert_eq!(text(&decode(&[path.to_str().unwrap(), "--json", "--frame", "1"])), printed);
    for (frame, why) in [("2", "there is no frame 2: the last of "), ("0", "'--frame <NUMBER>'")] {
        let output = decode(&[path.to_str().unwrap(), "--frame", frame]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && output.stdout.is_empty() && told.contains(why), "{told}");
    }
}

#[test]
fn mistakes_name_file_and_line() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let keys = folder.join("decode-keys");
    fs::write(&keys, "# a comment\n0102,03\n").unwrap();
    let path = capture();
    let output = decode(&[path.to_str().unwrap(), "--keys", keys.to_str().unwrap()]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(told.contains("decode-keys, line 2: `0102` is no SPI or cookie of 16 hexadecimal digits"), "{told}");
    let output = decode(&[keys.to_str().unwrap()]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("the file is no capture: expected pcap or pcapng"), "{told}");
    assert!(!decode(&["/nowhere"]).status.success());
}
