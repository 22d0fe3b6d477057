//! Whether the keys that Ravelin logs open what it sent and received, in Wireshark's own hands.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value as Json;

use super::Scene;
use crate::process::run;

/// What is compared: names that both programs have.
const FIELDS: &[&str] = &[
    "isakmp.ispi",
    "isakmp.exchangetype",
    "isakmp.typepayload",
    "isakmp.notify.msgtype",
    "isakmp.key_exchange.dh_group",
    "esp.spi",
    "esp.sequence",
    "esp.icv_good",
    "esp.pad_len",
    "esp.protocol",
];
/// Frames as they were on the wire: the recording has packets that no device has cut yet, and fragments.
const WHOLE: &str = "(isakmp or esp) and frame.len < 1515 and not ip.flags.mf == 1 and not ip.frag_offset > 0";

type Values = BTreeMap<&'static str, Vec<String>>;

pub(super) fn wireshark(scene: &mut Scene<'_>, _: &[String]) -> Result<()> {
    ensure!(scene.capture.is_none(), "the recording goes on; say `wire` before");
    let (wire, keys) = (scene.folder.join("wire.pcap"), scene.folder.join("ravelin/keys"));
    let theirs = theirs(&wire, &keys)?;
    let ours = ours(scene.program, &wire, &keys)?;
    let (mut ike, mut esp, mut uncut) = (0, 0, 0);
    for (frame, values) in &theirs {
        let own = ours.get(frame).with_context(|| format!("Ravelin reads nothing in frame {frame}: {values:?}"))?;
        let bad =
            |values: &Values| values.contains_key("esp.spi") && values.get("esp.icv_good") != Some(&vec!["1".into()]);
        // Of what does not verify, tshark shows now more, now less.
        ensure!(
            own == values || bad(own) && bad(values),
            "frame {frame}: tshark reads {values:?}, and Ravelin {own:?}"
        );
        match values.get("esp.spi") {
            Some(_) if bad(values) => uncut += 1,
            Some(_) => esp += 1,
            None => {
                // What follows the Encrypted payload (46) was inside it; the messages of IKEv1 have no payload for it.
                let inside = |types: &Vec<String>| types.last().is_some_and(|kind| kind != "46");
                let payloads = values.get("isakmp.typepayload");
                let empty = payloads.is_some_and(|types| types == &["46"]);
                ensure!(payloads.is_some_and(inside) || empty, "frame {frame} stays closed: {values:?}");
                ike += 1;
            }
        }
    }
    // Where the system cuts datagrams late, the recording has several short packets in one frame.
    ensure!(uncut * 5 <= esp, "{uncut} packets of ESP do not verify, and {esp} do");
    ensure!(ike >= 4 && esp >= 10, "only {ike} messages of IKE and {esp} packets of ESP were compared");
    Ok(())
}

/// What tshark reads, by frame.
fn theirs(wire: &Path, keys: &Path) -> Result<BTreeMap<u64, Values>> {
    let mut command = Command::new("tshark");
    command.env("WIRESHARK_CONFIG_DIR", keys).arg("-r").arg(wire).args(["-Y", WHOLE, "-T", "fields"]);
    for preference in ["esp.enable_encryption_decode:TRUE", "esp.enable_authentication_check:TRUE"] {
        command.args(["-o", preference]);
    }
    command.args(["-e", "frame.number"]).args(FIELDS.iter().flat_map(|field| ["-e", field]));
    let answer = run(&mut command)?;
    ensure!(answer.ok, "tshark: {}", answer.text);
    let mut frames = BTreeMap::new();
    for line in answer.out.lines() {
        let mut columns = line.split('\t');
        let frame = columns.next().and_then(|number| number.parse().ok());
        let frame: u64 = frame.with_context(|| format!("tshark: {line}"))?;
        let read = FIELDS.iter().zip(columns).filter(|(_, column)| !column.is_empty());
        let values = read.map(|(field, column)| (*field, column.split(',').map(number).collect()));
        frames.insert(frame, values.collect());
    }
    Ok(frames)
}

/// What `ravelin decode` reads, by frame.
fn ours(program: &Path, wire: &Path, keys: &Path) -> Result<BTreeMap<u64, Values>> {
    let mut command = Command::new(program);
    command.arg("decode").arg(wire).arg("--keys").arg(keys).arg("--psk").arg(keys.with_file_name("secret"));
    let answer = run(command.args(["--json", "--show", "secrets"]))?;
    ensure!(answer.ok, "ravelin decode: {}", answer.text);
    let mut frames = BTreeMap::new();
    for line in answer.out.lines() {
        let frame: Json = serde_json::from_str(line)?;
        let mut values = Values::new();
        for layer in frame["layers"].as_array().into_iter().flatten() {
            collect(&layer["fields"], &mut values);
        }
        for layer in frame["layers"].as_array().into_iter().flatten() {
            let text = layer["problems"].to_string();
            ensure!(!text.contains("pre-shared key"), "the key of the case is not that of its hashes: {line}");
        }
        frames.insert(frame["frame"].as_u64().context("a frame has a number")?, values);
    }
    Ok(frames)
}

fn collect(fields: &Json, values: &mut Values) {
    for field in fields.as_array().into_iter().flatten() {
        if let Some(name) = FIELDS.iter().find(|name| field["name"] == **name) {
            let value = if field["value"].is_null() { &field["bytes"] } else { &field["value"] };
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            values.entry(name).or_default().push(number(&text));
        }
        collect(&field["fields"], values);
    }
}

/// Numbers are hexadecimal in one program and decimal in the other.
fn number(text: &str) -> String {
    match text.strip_prefix("0x").map(|hex| u64::from_str_radix(hex, 16)) {
        Some(Ok(number)) => number.to_string(),
        _ => text.to_owned(),
    }
}
