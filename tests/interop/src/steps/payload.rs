//! The words about what crosses, on which way, and what may not.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use super::{SETTLE, Scene, summary};
use crate::lab::Host;
use crate::node::Child;
use crate::process::{Daemon, wait_for};
use crate::traffic;

/// How often a Child SA may be replaced while payload crosses.
const REPLACED: usize = 3;

pub(super) fn only_tcp(words: &[String]) -> Result<bool> {
    match words {
        [] => Ok(false),
        [word] if word == "tcp" => Ok(true),
        other => bail!("`{}`: expected tcp or nothing", other.join(" ")),
    }
}

pub(super) fn traffic(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let (there, back) = scene.plan.directions(words[0].parse()?)?;
    scene.settled()?;
    if !only_tcp(&words[1..])? {
        for (text, from) in [
            (scene.ravelin_host.sh(&format!("ping {}", traffic::ping_arguments(there, 5, "0.1", 10)))?, "Ravelin"),
            (scene.swan_host.sh(&format!("ping {}", traffic::ping_arguments(back, 5, "0.1", 10)))?, "the peer"),
        ] {
            ensure!(traffic::ping_result(&text)? == (5, 5), "pings from {from}: {text}");
        }
    }
    // An SA that went meanwhile takes along what it counted, so that crosses once more.
    for _ in 0..REPLACED {
        let (_, before) = scene.settled()?;
        scene.send("ravelin", there)?;
        scene.send("swan", back)?;
        if counted(scene, &before)? {
            return Ok(());
        }
    }
    bail!("the Child SA was replaced {REPLACED} times while payload crossed")
}

/// Waits until the peer has counted what was sent both ways; false where another Child SA has come since and counted a part of it.
fn counted(scene: &mut Scene<'_>, before: &Child) -> Result<bool> {
    // Four streams, in segments of at most 1500 octets.
    let least = 2 * traffic::BYTES / 1500;
    wait_for(SETTLE, "the peer to count what crossed", || {
        let (_, after) = scene.agreed()?;
        let same = after.spi_in == before.spi_in;
        let start = if same { before.packets } else { (0, 0) };
        let grown = (after.packets.0.saturating_sub(start.0), after.packets.1.saturating_sub(start.1));
        let enough = grown.0 >= least && grown.1 >= least;
        ensure!(enough || !same, "the peer counted {grown:?} more packets, at least {least} crossed each way");
        Ok(enough)
    })
}

pub(super) fn connect(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let (there, back) = scene.plan.directions(words[1].parse()?)?;
    scene.send(&words[0], if words[0] == "ravelin" { there } else { back })
}

pub(super) fn flows(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let count: usize = words[0].parse()?;
    let (there, _) = scene.plan.directions(words[1].parse()?)?;
    scene.no_child()?;
    for _ in 0..count {
        scene.send("ravelin", there)?;
    }
    // Both streams of a connection, in segments of at most 1500 octets.
    let least = traffic::BYTES / 1500;
    wait_for(SETTLE, "a Child SA for each flow on both sides", || {
        let (swan, ravelin) = (scene.swan.view()?, scene.ravelin.view()?);
        ensure!(swan.ike.len() == 1, "the peer lists {}", summary(&swan));
        let theirs: BTreeSet<_> = swan.children.iter().map(|child| (&child.spi_in, &child.spi_out)).collect();
        let ours: BTreeSet<_> = ravelin.children.iter().map(|child| (&child.spi_out, &child.spi_in)).collect();
        ensure!(theirs.len() == count && theirs == ours, "{} and {}", summary(&swan), summary(&ravelin));
        let mut ports = BTreeSet::new();
        for child in &swan.children {
            let selector = |side| child.fields.get(side).map_or("-", String::as_str);
            let (local, remote) = (selector("local-ts"), selector("remote-ts"));
            let narrow = |selector: &str, host| selector.starts_with(&format!("{host}/32[tcp/"));
            ensure!(narrow(local, there.to) && narrow(remote, there.from), "the peer lists {local} === {remote}");
            ports.insert(remote);
            ensure!(
                child.packets.0 >= least && child.packets.1 >= least,
                "the peer counted {:?} packets on the SA of {remote}, at least {least} crossed each way",
                child.packets
            );
        }
        ensure!(ports.len() == count, "the flows are {ports:?}");
        Ok(())
    })
}

pub(super) fn large(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let (there, back) = scene.plan.directions(words[0].parse()?)?;
    scene.settled()?;
    let side = words.get(1).map(String::as_str);
    ensure!(side.is_none_or(|side| ["ravelin", "swan"].contains(&side)), "expected ravelin, swan or nothing");
    for (name, host, direction) in [("ravelin", scene.ravelin_host, there), ("swan", scene.swan_host, back)] {
        if side.is_some_and(|side| side != name) {
            continue;
        }
        // Path MTU discovery may cost the first ones.
        wait_for(SETTLE, &format!("answers to large pings from the side of {name}"), || {
            let ping = traffic::ping_arguments(direction, 2, "0.2", 2);
            let text = host.sh(&format!("ping -s 4000 {ping} || true"))?;
            ensure!(traffic::ping_result(&text)? == (2, 2), "{text}");
            Ok(())
        })?;
    }
    Ok(())
}

pub(super) fn narrow(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let mtu: u16 = words[0].parse().context("MTU")?;
    let swan = scene.swan_host;
    swan.sh("nft delete table netdev narrow 2>/dev/null || true")?;
    if mtu < 1500 {
        // What either side sends meets one of the two hooks.
        for (hook, name) in [("ingress", "in"), ("egress", "out")] {
            swan.sh(&format!(
                "nft 'add table netdev narrow
                 add chain netdev narrow {name} {{ type filter hook {hook} device eth0 priority 0; }}
                 add rule netdev narrow {name} ip frag-off & 0x3fff != 0 drop
                 add rule netdev narrow {name} ip length > {mtu} drop'"
            ))?;
        }
    }
    Ok(())
}

pub(super) fn wire(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let seen = scene.capture.take().context("the recording has ended")?.stop()?;
    ensure!(seen.clear.is_empty(), "in the clear on the wire: {:#?}", seen.clear);
    let wanted = match words[0].as_str() {
        "esp" => seen.esp,
        "udp" => seen.udp_esp,
        "ah" => seen.ah,
        "gre" => seen.gre_esp,
        word => bail!("`{word}`: expected esp, udp, ah or gre"),
    };
    let all = seen.esp + seen.udp_esp + seen.ah + seen.gre_esp;
    ensure!(wanted > 0 && wanted == all && seen.ike > 0, "on the wire: {seen:?}");
    let readable = match words.get(1).map(String::as_str) {
        None => false,
        Some("readable") => true,
        Some(word) => bail!("`{word}`: expected readable or nothing"),
    };
    ensure!((seen.readable > 0) == readable, "payload could be read in {} of {all} packets", seen.readable);
    Ok(())
}

pub(super) fn enforce(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    ensure!(scene.capture.is_none(), "clear packets would be in the recording; say `wire` before");
    scene.no_child()?;
    let (_, back) = scene.plan.directions(words[0].parse()?)?;
    let text = scene.swan_host.sh(&format!("ping {} || true", traffic::ping_arguments(back, 3, "0.2", 1)))?;
    ensure!(traffic::ping_result(&text)? == (3, 0), "clear packets got in and were answered: {text}");
    Ok(())
}

pub(super) fn gre(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let away = "ip link del gre1 2>/dev/null || true";
    match words[0].as_str() {
        "up" => {}
        "down" => {
            scene.swan_host.kernel(away)?;
            // Its device goes with it.
            return scene.gre.take().map_or(Ok(()), |tunnel| tunnel.stop(Signal::TERM));
        }
        word => bail!("`{word}`: expected up or down"),
    }
    let (own, other) = (scene.plan.name("ravelin")?, scene.plan.name("swan")?);
    scene.swan_host.kernel(&format!(
        "modprobe ip_gre; {away}
         ip link add gre1 type gre local {other} remote {own}
         echo 1 >/proc/sys/net/ipv6/conf/gre1/disable_ipv6
         ip addr add 10.3.0.2/30 dev gre1; ip link set gre1 up"
    ))?;
    let Host::Namespace(namespace) = scene.ravelin_host else {
        bail!("only where Ravelin is in a namespace of the host")
    };
    let mut command = namespace.command(scene.helper);
    command.args(["gre", "gre1", own, other]);
    let mut tunnel = Daemon::start(&mut command, &scene.folder.join("gre.log"))?;
    wait_for(SETTLE, "the device of the GRE tunnel", || {
        tunnel.check()?;
        scene.ravelin_host.sh("ip link show gre1").map(drop)
    })?;
    // The header is 4 bytes, in an IPv4 packet.
    scene.ravelin_host.sh("echo 1 >/proc/sys/net/ipv6/conf/gre1/disable_ipv6
         ip addr add 10.3.0.1/30 dev gre1; ip link set gre1 mtu 1476 up")?;
    scene.gre = Some(tunnel);
    Ok(())
}
