//! scapy opens what the engine seals: every algorithm, mode and family of the packets that it sealed for the engine's
//! own tests. That is the other half of `packets_of_another_implementation`.

use std::io::Write;
use std::net::IpAddr;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use ravelin_crypto_aws_lc::SystemRandom;
use ravelin_engine::{Engine, EngineConfig, HEADROOM, PacketBuf, TAILROOM, Verdict};
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::lifetime::Lifetime;
use ravelin_types::options::SaOptions;
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{Action, Domain, Mode, Policy, PolicyId, Protection, Ways};
use ravelin_types::proposal::{AhSuite, EspSuite, Suite};
use ravelin_types::sa::{Direction, Encap, SaKeys, SaLookup, SaParams};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{EncrId, IntegId, SnId};
use ravelin_types::{Instant, Secret, Spi};
use ravelin_wire::ip::Header;
use serde_json::Value;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testkit/scapy_packets.py");
const PACKETS: &str = include_str!("../../testkit/data/scapy/packets.json");

/// Packets that every scapy opens; old ones do not know some of the 541.
const LEAST: usize = 399;

/// Debian's, for which its python3-scapy is.
const PYTHON: &str = "/usr/bin/python3";

#[test]
#[cfg_attr(not(scapy), ignore = "needs Debian's python3-scapy")]
fn scapy_opens_what_the_engine_seals() -> Result<()> {
    let mut cases: Vec<Value> = serde_json::from_str(PACKETS)?;
    for case in &mut cases {
        seal(case).with_context(|| case.to_string())?;
    }
    let mut child = Command::new(PYTHON).args([SCRIPT, "open"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().context("its input")?.write_all(&serde_json::to_vec(&cases)?)?;
    let done = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&done.stdout);
    ensure!(done.status.success(), "{said}");
    // `399 of 399 packets opened, 142 left out`
    let opened = said.split_whitespace().next().and_then(|opened| opened.parse::<usize>().ok()).context("a number")?;
    ensure!(opened >= LEAST && said.contains(&format!("{opened} of {opened} packets opened")), "{said}");
    println!("{}", said.trim());
    Ok(())
}

/// Replaces scapy's packet by ours, the first of its SA.
fn seal(case: &mut Value) -> Result<()> {
    let params = params(case)?;
    let provider = ravelin_crypto_rustcrypto::provider_with_legacy();
    let mut engine = Engine::new(EngineConfig::default(), provider, Box::new(SystemRandom));
    let policy = Policy {
        id: params.policy,
        name: String::new(),
        domain: Domain::default(),
        priority: 1,
        local: params.local_ts.to_vec(),
        remote: params.remote_ts.to_vec(),
        action: Action::Protect(Protection {
            mode: params.mode,
            local: None,
            remote: params.dst,
            pfp: Pfp::NONE,
            lifetime: Lifetime::default(),
            replay_window: 64,
            options: params.options,
        }),
        ways: Ways::default(),
    };
    for op in [DataPlaneOp::AddPolicy(policy), DataPlaneOp::AddSa(params)] {
        engine.apply(&op, Instant::ZERO)?;
    }
    let clear = bytes(case, "clear")?;
    let mut buffer = [&[0; HEADROOM][..], &clear, &[0; TAILROOM]].concat();
    let mut pkt = PacketBuf::new(&mut buffer, HEADROOM..HEADROOM + clear.len()).context("a buffer")?;
    let verdict = engine.outbound.process(&mut pkt, Instant::ZERO);
    ensure!(matches!(verdict, Verdict::Send(_)), "our engine says {verdict:?}");
    case["sealed"] = pkt.packet().iter().map(|byte| format!("{byte:02x}")).collect::<String>().into();
    case["seq"] = 1.into();
    if case["high"].is_u64() {
        case["high"] = 0.into();
    }
    Ok(())
}

fn params(case: &Value) -> Result<SaParams> {
    let id = |name: &str| number(case, name).map(|number| number as u16);
    let spi = Spi(number(case, "spi")? as u32);
    let sn = if case["high"].is_u64() { SnId::PARTIAL_64 } else { SnId::SEQUENTIAL_32 };
    let esp = EspSuite { encr: EncrId(id("encr")?), encr_key_bits: id("bits")?, integ: IntegId(id("integ")?), sn };
    let ah = AhSuite { integ: IntegId(id("ah")?), sn };
    let suite = match (esp.encr, ah.integ) {
        (_, IntegId::NONE) => Suite::Esp(esp),
        (EncrId(0), _) => Suite::Ah(ah),
        _ => Suite::AhEsp { ah, ah_spi: spi, esp },
    };
    let mode = if case["mode"] == "transport" { Mode::Transport } else { Mode::Tunnel };
    let (src, dst): (IpAddr, IpAddr) = match (mode, number(case, "outer")?) {
        (Mode::Transport, _) => {
            let clear = Header::parse(&bytes(case, "clear")?)?;
            (clear.src, clear.dst)
        }
        (Mode::Tunnel, 4) => ("198.51.100.1".parse()?, "198.51.100.2".parse()?),
        (Mode::Tunnel, _) => ("2001:db8:ff::1".parse()?, "2001:db8:ff::2".parse()?),
    };
    let any = vec![TrafficSelector::any_v4(), TrafficSelector::any_v6()];
    let key = |name| bytes(case, name).map(Secret::new);
    Ok(SaParams {
        direction: Direction::Outbound,
        spi,
        pair: spi,
        lookup: SaLookup::Spi,
        src,
        dst,
        mode,
        encap: (case["udp"] == true).then_some(Encap::udp(4500, 4500)),
        original: None,
        suite,
        keys: SaKeys { encr: key("encr_key")?, integ: key("integ_key")?, ah: key("ah_key")? },
        policy: PolicyId(1),
        local_ts: any.as_slice().into(),
        remote_ts: any.into(),
        lifetime: Lifetime::default(),
        replay_window: 64,
        options: SaOptions { short_icv: case["short_icv"] == true, ..SaOptions::default() },
    })
}

fn number(case: &Value, name: &str) -> Result<u64> {
    case[name].as_u64().context(name.to_owned())
}

fn bytes(case: &Value, name: &str) -> Result<Vec<u8>> {
    let text = case[name].as_str().context(name.to_owned())?;
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?)).collect()
}
