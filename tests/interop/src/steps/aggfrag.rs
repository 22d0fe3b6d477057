//! The words about AGGFRAG payloads (RFC 9347) and the kernel that makes and opens them.

use anyhow::{Result, ensure};

use super::{SETTLE, Scene};
use crate::node::states;
use crate::plan::Direction;
use crate::process::wait_for;
use crate::traffic;

/// Small pings at once.
const CROWD: u32 = 20;
/// Long pings, and how many protected packets one takes at least.
const LONG: u32 = 3;
const PIECES: u64 = 3;

pub(super) fn shares(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let (there, _) = scene.plan.directions(words[0].parse()?)?;
    let errors = || scene.swan_host.kernel("cat /proc/net/xfrm_stat");
    let before = errors()?;
    // What is sent at once may still leave one by one, now and then.
    wait_for(SETTLE, "small packets that share protected ones both ways", || {
        let counts = packets_of(scene, there, &format!("-l {CROWD}"), CROWD)?;
        ensure!(counts.iter().all(|count| *count < u64::from(CROWD)), "{CROWD} pings and answers: {counts:?}");
        Ok(())
    })?;
    let counts = packets_of(scene, there, "-s 4000", LONG)?;
    ensure!(counts.iter().all(|count| *count >= PIECES * u64::from(LONG)), "{LONG} long pings: {counts:?}");
    let after = errors()?;
    ensure!(before == after, "the peer's kernel counted errors: {before}\nand then {after}");
    Ok(())
}

/// Pings that are all answered, and how many packets the peer's kernel counted on the SAs of each way.
fn packets_of(scene: &Scene<'_>, there: Direction, more: &str, count: u32) -> Result<Vec<u64>> {
    let list = || states::used(&scene.swan_host.kernel("ip -s xfrm state")?, "esp");
    let before = list()?;
    let text = scene.ravelin_host.sh(&format!("ping {more} {}", traffic::ping_arguments(there, count, "0.3", 20)))?;
    ensure!(traffic::ping_result(&text)? == (count, count), "pings: {text}");
    let grown =
        |(spi, after): (String, states::Used)| after.packets - before.get(&spi).map_or(0, |before| before.packets);
    let counts: Vec<u64> = list()?.into_iter().map(grown).filter(|count| *count > 0).collect();
    ensure!(counts.len() == 2, "states of the peer's kernel that carried the pings: {counts:?}");
    Ok(counts)
}

/// Of the packets of either way one of so many is lost.
const LOST: u32 = 23;

pub(super) fn rough(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let (there, back) = scene.plan.directions(words[0].parse()?)?;
    let swan = scene.swan_host;
    let smooth = "tc qdisc del dev eth0 root 2>/dev/null || true; nft delete table netdev rough 2>/dev/null || true";
    swan.kernel(smooth)?;
    for (hook, name) in [("ingress", "in"), ("egress", "out")] {
        swan.kernel(&format!(
            "nft 'add table netdev rough
             add chain netdev rough {name} {{ type filter hook {hook} device eth0 priority 0; }}
             add rule netdev rough {name} meta l4proto esp numgen inc mod {LOST} == 0 counter drop'"
        ))?;
    }
    swan.kernel("tc qdisc add dev eth0 root netem delay 3ms reorder 70%")?;
    let crossed = scene.send("ravelin", there).and_then(|()| scene.send("swan", back));
    let lost = swan.kernel("nft list table netdev rough")?;
    swan.kernel(smooth)?;
    crossed?;
    let hit = |line: &&str| line.contains("counter packets") && !line.contains("packets 0 ");
    ensure!(lost.lines().filter(hit).count() == 2, "nothing was lost: {lost}");
    Ok(())
}
