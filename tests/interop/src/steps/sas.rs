//! The words about SAs: how they come to be, what is listed of them, how they are replaced, moved and ended.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::payload::only_tcp;
use super::{SETTLE, Scene, listing, summary};
use crate::node::{Child, Ike, Sa, View, plain_spi};
use crate::plan::Between;
use crate::process::wait_for;
use crate::traffic::{self, Pinging};

/// How long a killed daemon is away.
const ABSENCE: Duration = Duration::from_secs(2);
/// Pings, fifty a second, that may be lost while an address changes: the system has none for a moment, and the two sides look,
/// tell and ask.
const MOVE_LOSS: usize = 75;
/// Pings, fifty a second, that may be lost in one piece until the kernel has an SA on which the peer sent before its answer: as
/// long as the answer takes to be read and the SA to be installed, on an emulated processor.
const EARLY_LOSS: usize = 25;

pub(super) fn up(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    scene.initiate(&words[0])?;
    scene.settled()?;
    Ok(())
}

pub(super) fn suite(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    scene.swan.propose(&words[0])?;
    scene.ravelin.propose(&words[1])?;
    for side in ["ravelin", "swan"] {
        scene.initiate(side)?;
        ike(scene, &words[2..])?;
        // A message of each side that the other opens.
        delete(scene, &["ike".to_owned(), side.to_owned()])?;
    }
    Ok(())
}

pub(super) fn ondemand(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    scene.no_child()?;
    let (there, back) = scene.plan.directions(words[1].parse()?)?;
    if only_tcp(&words[2..])? {
        let direction = if words[0] == "ravelin" { there } else { back };
        scene.send(&words[0], direction)?;
    } else if words[0] == "ravelin" {
        // One packet only: it starts the negotiation and must itself arrive.
        let text = scene.ravelin_host.sh(&format!("ping {} || true", traffic::ping_arguments(there, 1, "1", 10)))?;
        ensure!(traffic::ping_result(&text)? == (1, 1), "the packet that started the negotiation was lost: {text}");
    } else {
        // Linux drops the packet that starts a negotiation.
        wait_for(SETTLE, "an answer through an SA started by the peer's traffic", || {
            let text = scene.swan_host.sh(&format!("ping {} || true", traffic::ping_arguments(back, 1, "1", 2)))?;
            ensure!(traffic::ping_result(&text)? == (1, 1), "{text}");
            Ok(())
        })?;
    }
    scene.settled()?;
    Ok(())
}

pub(super) fn refuse(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    ensure!(scene.initiate(&words[0]).is_err(), "the negotiation succeeded");
    wait_for(SETTLE, "no Child SA on either side", || scene.no_child())
}

pub(super) fn ike(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let (ike, _) = scene.settled()?;
    compare(&ike.fields, words)
}

pub(super) fn child(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let (_, child) = scene.settled()?;
    let words: Vec<String> = words.iter().map(|word| scene.plan.fill(word, &[])).collect::<Result<_>>()?;
    compare(&child.fields, &words)
}

fn compare(fields: &BTreeMap<String, String>, words: &[String]) -> Result<()> {
    for word in words {
        let (key, expected) = word.split_once('=').with_context(|| format!("`{word}`: expected KEY=VALUE"))?;
        let actual = fields.get(key).map_or("-", String::as_str);
        ensure!(actual == expected, "the peer lists {key}={actual}, expected {expected}; all: {fields:?}");
    }
    Ok(())
}

pub(super) fn rekey(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let what = sa(&words[0])?;
    let before = scene.settled()?;
    let replace = |scene: &mut Scene<'_>| {
        scene.side(&words[1])?.rekey(what)?;
        scene.replaced((what == Sa::Ike, what == Sa::Child), &before)
    };
    match words.get(3).map(String::as_str) {
        None => scene.under_traffic(&words[2], replace),
        Some("early") => {
            let (answered, lost) = scene.while_pings_cross(&words[2], replace)?;
            let gap = lost.first().zip(lost.last()).map_or(0, |(first, last)| last.abs_diff(*first) as usize + 1);
            let (all, most) = (lost.len() == gap, gap <= EARLY_LOSS);
            ensure!(answered > 20 && all && most, "{answered} pings were answered meanwhile; lost were {lost:?}");
            Ok(())
        }
        Some(other) => bail!("`{other}`: expected early or nothing"),
    }
}

pub(super) fn robbed(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let before = scene.settled()?;
    nothing_differs(scene)?;
    let (answered, lost) = scene.while_pings_cross(&words[0], |scene| {
        scene.ravelin_host.sh(&words[1])?;
        scene.replaced((false, true), &before)
    })?;
    println!("    {answered} pings were answered, {} were lost", lost.len());
    has_these_alone(scene)
}

/// Ravelin's kernel has the states of the one Child SA that both sides list, and no others.
fn has_these_alone(scene: &mut Scene<'_>) -> Result<()> {
    let (_, child) = scene.settled()?;
    let listed = scene.ravelin_host.sh("ip -d xfrm state")?;
    let spis = listed.split(" spi ").skip(1).filter_map(|rest| rest.split(['(', ' ']).next()).map(plain_spi);
    // The kernel's notes of packets that wait have the SPI 0.
    let spis = spis.filter(|spi| !spi.is_empty());
    // The peer sends on what we receive by.
    let (has, expected) = (spis.collect::<BTreeSet<_>>(), BTreeSet::from([child.spi_in, child.spi_out]));
    ensure!(has == expected, "Ravelin's kernel has {has:?}, the peer {expected:?}:\n{listed}");
    nothing_differs(scene)
}

fn nothing_differs(scene: &mut Scene<'_>) -> Result<()> {
    let said = scene.ravelin.command("diff --json")?;
    let said: String = said.split_whitespace().collect();
    ensure!(said.contains("\"differences\":[]"), "`ravelin diff` says: {said}");
    Ok(())
}

pub(super) fn renewed(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let which = match words[0].as_str() {
        "both" => (true, true),
        word => (sa(word)? == Sa::Ike, sa(word)? == Sa::Child),
    };
    let before = scene.settled()?;
    scene.under_traffic(&words[1], |scene| scene.replaced(which, &before))
}

pub(super) fn move_to(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let [side, new, between] = words else { bail!("expected SIDE ADDRESS BETWEEN") };
    let before = scene.settled()?;
    let (there, _) = scene.plan.directions(between.parse::<Between>()?)?;
    let pinging = Pinging::start(scene.ravelin_host, there, &scene.folder.join("ping-move.log"))?;
    std::thread::sleep(Duration::from_millis(300));
    // There is never none, so nobody goes over to IPv6 meanwhile. The routes of an address go with it, and come back by the same
    // program: another takes a while to start in an emulated guest.
    let change = format!(
        "routes=$(ip -4 route show dev eth0 | grep via || true)
         sysctl -qw net.ipv4.conf.eth0.promote_secondaries=1
         old=$(ip -4 -o addr show dev eth0 scope global | awk '{{ print $4 }}')
         {{ echo 'addr add {new}/24 dev eth0'
            for gone in $old; do echo \"addr del $gone dev eth0\"; done
            echo \"$routes\" | sed -n 's/..*/route replace & dev eth0/p'; }} | ip -4 -batch -"
    );
    let field = if side == "ravelin" { "remote-host" } else { "local-host" };
    match side.as_str() {
        "ravelin" => scene.ravelin_host.sh(&change)?,
        "swan" => scene.swan_host.sh(&change)?,
        other => bail!("`{other}`: expected ravelin or swan"),
    };
    let after = wait_for(SETTLE, "the IKE SA at another address", || {
        let now = scene.agreed()?;
        ensure!(now.0.spis == before.0.spis, "the IKE SA is another");
        let listed = now.0.fields.get(field).map_or("-", String::as_str);
        ensure!(listed == new, "the peer lists {field}={listed}");
        Ok(now)
    })?;
    wait_for(SETTLE, "traffic after the move", || {
        let (_, now) = scene.agreed()?;
        // strongSwan in user space cannot give an SA other addresses: it rekeys.
        let start = if now.spi_in == after.1.spi_in { after.1.packets } else { (0, 0) };
        let grows = now.packets.0 > start.0 + 20 && now.packets.1 > start.1 + 20;
        ensure!(grows, "the peer counts {:?}, after {start:?}", now.packets);
        Ok(())
    })?;
    let (answered, lost) = pinging.stop()?;
    println!("    {answered} pings were answered, {} were lost", lost.len());
    ensure!(answered > 20 && lost.len() < MOVE_LOSS, "{answered} pings were answered meanwhile; lost were {lost:?}");
    Ok(())
}

pub(super) fn redirect(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let [side, gateway, between] = words else { bail!("expected SIDE ADDRESS BETWEEN") };
    let before = scene.settled()?;
    scene.under_traffic(between, |scene| {
        let order =
            |ike: &str| [format!("--redirect --ike {ike} --gateway {gateway}"), "completed successfully".into()];
        match side.as_str() {
            "ravelin" => listing::swanctl(scene, &order("swan"))?,
            "swan" => listing::peer(scene, &order("net"))?,
            other => bail!("`{other}`: expected ravelin or swan"),
        }
        scene.replaced((true, true), &before)
    })
}

pub(super) fn delete(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let what = sa(&words[0])?;
    scene.settled()?;
    scene.side(&words[1])?.delete(what)?;
    gone(scene, usize::from(what == Sa::Child))
}

/// Waits until both sides have no Child SA, and so many IKE SAs.
fn gone(scene: &mut Scene<'_>, left: usize) -> Result<()> {
    wait_for(SETTLE, "the SA to go on both sides", || {
        scene.no_child()?;
        let (swan, ravelin) = (scene.swan.view()?, scene.ravelin.view()?);
        ensure!(swan.ike.len() == left, "the peer lists {}", summary(&swan));
        ensure!(ravelin.ike.len() == left, "Ravelin lists {}", summary(&ravelin));
        Ok(())
    })
}

pub(super) fn ended(scene: &mut Scene<'_>, _: &[String]) -> Result<()> {
    gone(scene, 0)
}

pub(super) fn stop(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    scene.side(&words[0])?.stop()
}

pub(super) fn kill(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    scene.side(&words[0])?.kill()
}

pub(super) fn start(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    scene.side(&words[0])?.start()
}

pub(super) fn restart(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let before = scene.settled()?;
    scene.under_traffic(&words[0], |scene| {
        scene.ravelin.kill()?;
        std::thread::sleep(ABSENCE);
        Ok(())
    })?;
    // The new IKE SA ends the old one at the peer, with what is under way in it.
    comes_back(scene, &before)?;
    scene.under_traffic(&words[0], |_| {
        std::thread::sleep(ABSENCE);
        Ok(())
    })
}

/// Ravelin, which was killed, is started; both sides have new SAs.
fn comes_back(scene: &mut Scene<'_>, before: &(Ike, Child)) -> Result<()> {
    scene.ravelin.start()?;
    wait_for(SETTLE, "new SAs alone on both sides", || {
        let now = scene.agreed()?;
        ensure!(now.0.spis != before.0.spis && now.1.spi_in != before.1.spi_in, "the old ones are still there");
        Ok(())
    })
}

pub(super) fn bereft(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let before = scene.settled()?;
    scene.ravelin.kill()?;
    scene.ravelin_host.sh(&words[1])?;
    let (answered, _) = peer_pings(scene, &words[0])?;
    ensure!(answered == 0, "{answered} of the peer's pings were answered by SAs that were taken away");
    // Nobody sends anything meanwhile. The peer might do so in the clear, between its old SAs and the new ones.
    let started = Instant::now();
    comes_back(scene, &before)?;
    println!("    there were new SAs {:.1} s after Ravelin was started", started.elapsed().as_secs_f32());
    let (answered, lost) = peer_pings(scene, &words[0])?;
    ensure!(answered > 20 && lost.is_empty(), "{answered} of the peer's pings were answered; lost were {lost:?}");
    has_these_alone(scene)
}

/// Pings from the peer's side for a while: how many were answered, and which were not.
fn peer_pings(scene: &Scene<'_>, between: &str) -> Result<(usize, Vec<u32>)> {
    let (_, back) = scene.plan.directions(between.parse::<Between>()?)?;
    let pinging = Pinging::start(scene.swan_host, back, &scene.folder.join("ping-peer.log"))?;
    std::thread::sleep(ABSENCE);
    pinging.stop()
}

pub(super) fn dead(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let side = scene.side(&words[0])?;
    wait_for(words[1].parse().context("SECONDS")?, "the dead peer's SAs to go", || {
        let view = side.view()?;
        ensure!(view == View::default(), "it lists {}", summary(&view));
        Ok(())
    })
}

fn sa(word: &str) -> Result<Sa> {
    match word {
        "ike" => Ok(Sa::Ike),
        "child" => Ok(Sa::Child),
        other => bail!("`{other}`: expected child or ike"),
    }
}
