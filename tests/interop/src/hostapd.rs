//! A server of EAP-SIM, AKA and AKA' behind RADIUS: Debian's hostapd, without a radio. It asks the authentication centre of a
//! network of telephones about SIMs, which is here, too: it answers by published vectors alone, so nothing of ours computes
//! what a SIM of ours is asked.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::plan::SECRET;
use crate::process::{Daemon, Namespace, wait_for};

/// The program, which the lab needs for cases with `radius sim` and the like.
pub const PROGRAM: &str = "hostapd";

/// K and OPc of test set 19 of 3GPP TS 35.208.
pub const SIM: &str = "0x5122250214c33e723a5dd523fc145fc0981d464c7c52eb6e5036234984ad0bcf";
/// What RFC 9048 Appendix D says of it: RAND, AUTN, IK, CK, RES.
const VECTOR: &str = "81e92b6c0ee0e12ebceba8d92a99dfa5 bb52e91c747ac3ab2a5c23d15ee351d5 \
                      9744871ad32bf9bbd1dd5ce54e3e2e5a 5349fbe098649f948f5d2e973a81c00f 28d7b0f2a2ec3de5";
/// The triplets of RFC 4186 Appendix A: Kc, SRES, RAND.
const TRIPLETS: [[&str; 3]; 3] = [
    ["a0a1a2a3a4a5a6a7", "d1d2d3d4", "101112131415161718191a1b1c1d1e1f"],
    ["b0b1b2b3b4b5b6b7", "e1e2e3e4", "202122232425262728292a2b2c2d2e2f"],
    ["c0c1c2c3c4c5c6c7", "f1f2f3f4", "303132333435363738393a3b3c3d3e3f"],
];

const CONFIGURATION: &str = "driver=none
radius_server_clients=FOLDER/clients
radius_server_auth_port=1812
eap_server=1
eap_user_file=FOLDER/users
eap_sim_db=unix:FOLDER/auc
eap_sim_aka_result_ind=1
";

/// Who may come by which method: names of IMSIs, pseudonyms, and names for fast re-authentication.
const USERS: &str =
    "\"0\"* AKA\n\"2\"* AKA\n\"4\"* AKA\n\"1\"* SIM\n\"3\"* SIM\n\"5\"* SIM\n\"6\"* AKA'\n\"7\"* AKA'\n\"8\"* AKA'\n";

/// Whether the server of this method is this one.
pub fn serves(method: &str) -> bool {
    ["sim", "aka", "aka-prime"].contains(&method)
}

/// The SIM of a user, as a secret of Ravelin.
pub fn secret(method: &str) -> String {
    match method {
        "sim" => TRIPLETS.iter().map(|[kc, sres, rand]| format!("{rand},{sres},{kc}\n")).collect(),
        _ => SIM.to_owned(),
    }
}

/// Starts it, and the authentication centre before it.
pub fn start(host: &Namespace, own: &Path, helper: &Path) -> Result<[Daemon; 2]> {
    let auc = own.join("auc");
    let mut centre = host.command(helper);
    centre.arg("auc").arg(&auc);
    let centre = Daemon::start(&mut centre, &own.join("auc.log"))?;
    wait_for(5, "the authentication centre", || {
        ensure!(auc.exists(), "not yet");
        Ok(())
    })?;
    let files = [("conf", CONFIGURATION.replace("FOLDER", &own.display().to_string())), ("users", USERS.to_owned())];
    for (name, text) in files.into_iter().chain([("clients", format!("127.0.0.1/32 {SECRET}\n"))]) {
        fs::write(own.join(name), text)?;
    }
    let log = own.join("log");
    remove_what_is_left()?;
    let mut command = host.command(PROGRAM);
    command.arg("-d").arg(own.join("conf"));
    let mut daemon = Daemon::start(&mut command, &log)?;
    wait_for(20, "hostapd to be ready", || {
        daemon.check()?;
        ensure!(fs::read_to_string(&log)?.contains("AP-ENABLED"), "not yet");
        Ok(())
    })
    .with_context(|| fs::read_to_string(&log).unwrap_or_default())?;
    Ok([centre, daemon])
}

/// hostapd names its end of the way to the authentication centre after its process, and one that was killed leaves it there for the
/// next of that number to stumble over.
fn remove_what_is_left() -> Result<()> {
    for entry in fs::read_dir("/tmp")? {
        let path = entry?.path();
        let is_one = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("eap_sim_db_"));
        if is_one && UnixDatagram::unbound()?.connect(&path).is_err() {
            let _ = fs::remove_file(&path);
        }
    }
    Ok(())
}

/// The authentication centre: answers hostapd's questions for ever; the helper's program.
pub fn serve_auc(path: &Path) -> Result<()> {
    let socket = UnixDatagram::bind(path)?;
    socket.set_read_timeout(None::<Duration>)?;
    let mut question = [0; 512];
    loop {
        let (length, from) = socket.recv_from(&mut question)?;
        let text = std::str::from_utf8(&question[..length])?;
        println!("{text}");
        let words: Vec<&str> = text.split_whitespace().collect();
        let answer = match words[..] {
            ["SIM-REQ-AUTH", imsi, _] => {
                let triplets: Vec<String> = TRIPLETS.iter().map(|triplet| triplet.join(":")).collect();
                format!("SIM-RESP-AUTH {imsi} {}", triplets.join(" "))
            }
            ["AKA-REQ-AUTH", imsi] => format!("AKA-RESP-AUTH {imsi} {VECTOR}"),
            // It has no other vector.
            _ => continue,
        };
        socket.send_to(answer.as_bytes(), from.as_pathname().context("a question without an address")?)?;
    }
}
