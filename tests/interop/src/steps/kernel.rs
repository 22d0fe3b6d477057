//! The words about what kernels have and count, and about keys set there by hand.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};

use super::{SETTLE, STATES, Scene};
use crate::case::version;
use crate::node::{plain_spi, states};
use crate::process::wait_for;
use crate::traffic;

pub(super) fn kernel(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let states = scene.swan_host.kernel(STATES)?;
    for word in words {
        ensure!(states.contains(word.as_str()), "the peer's kernel does not list `{word}`:\n{states}");
    }
    Ok(())
}

pub(super) fn own(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    wait_for(SETTLE, "Ravelin's kernel to list this", || {
        let listed = scene.ravelin_host.sh("ip -d -s xfrm state; ip -d -s xfrm policy")?;
        for word in words {
            let word = scene.plan.fill(word, &[])?;
            ensure!(listed.contains(&word), "Ravelin's kernel does not list `{word}`:\n{listed}");
        }
        Ok(())
    })
}

/// The file in which netdevsim lists what it holds.
const HOLDS: &str = "/sys/kernel/debug/netdevsim/netdevsim1/ports/0/ipsec";

pub(super) fn device(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let count: usize = words[0].parse()?;
    wait_for(SETTLE, "the SAs of the device", || {
        let held = scene.swan_host.kernel(&format!("cat {HOLDS}"))?;
        let listed = scene.ravelin_host.sh("ip -d xfrm state")?;
        let (device, kernel) = (held_by_device(&held), given_to_device(&listed));
        ensure!(device == kernel, "the device holds {device:?}, the kernel has given it {kernel:?}:\n{held}\n{listed}");
        ensure!(device.len() == count, "the device holds {device:?}, expected {count}:\n{listed}");
        Ok(())
    })
}

/// The SPIs that netdevsim lists.
fn held_by_device(text: &str) -> BTreeSet<String> {
    let words = text.split_whitespace().filter_map(|word| word.strip_prefix("spi="));
    words.map(plain_spi).collect()
}

/// The SPIs of the states that `ip -d xfrm state` lists with the device.
fn given_to_device(listing: &str) -> BTreeSet<String> {
    let mut spi = None;
    let mut given = BTreeSet::new();
    for line in listing.lines() {
        if let Some((_, rest)) = line.split_once(" spi ") {
            spi = rest.split(['(', ' ']).next().map(plain_spi);
        } else if line.trim().starts_with("crypto offload parameters: dev sim0") {
            given.extend(spi.take());
        }
    }
    given
}

/// The kernel in which states have a direction.
const DIRECTION: (u32, u32) = (6, 10);

pub(super) fn ways(scene: &mut Scene<'_>, _: &[String]) -> Result<()> {
    let release = scene.ravelin_host.sh("uname -r")?;
    let version = version(&release).with_context(|| format!("what is Linux {release}?"))?;
    let listed = scene.ravelin_host.sh("ip -d xfrm state")?;
    // A line of its own for each state.
    let count = |words: &str| listed.lines().filter(|line| line.trim() == words).count();
    let states = listed.lines().filter(|line| line.contains("proto esp spi")).count();
    let expected = if version >= DIRECTION { (states / 2, states / 2) } else { (0, 0) };
    let found = (count("dir in"), count("dir out"));
    ensure!(states >= 2 && found == expected, "Linux {release} has {found:?} states with a direction:\n{listed}");
    Ok(())
}

/// Pings of each processor, and by what count they are known.
const PINGS: u32 = 10;

pub(super) fn processors(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let count: u32 = words[0].parse()?;
    let (there, back) = scene.plan.directions(words[2].parse()?)?;
    let (host, direction) = match words[1].as_str() {
        "ravelin" => (scene.ravelin_host, there),
        "swan" => (scene.swan_host, back),
        other => anyhow::bail!("`{other}`: expected ravelin or swan"),
    };
    let list = || states::by_processor(&host.kernel("ip -d -s xfrm state")?);
    for own in 0..count {
        let ping = |pings: u32| {
            let arguments = traffic::ping_arguments(direction, pings, "0.1", 20);
            let text = host.kernel(&format!("taskset -c {own} ping {arguments}"))?;
            ensure!(traffic::ping_result(&text)? == (pings, pings), "pings of processor {own}: {text}");
            anyhow::Ok(())
        };
        // These ask, and go over the one for all until there is an answer; a kernel whose daemon lets it drops some meanwhile.
        wait_for(SETTLE, "a state of this processor", || {
            ping(3)?;
            let states = list()?;
            ensure!(states.contains_key(&Some(own)), "processor {own} has none: {states:?}");
            Ok(())
        })?;
        let before = list()?;
        ping(PINGS)?;
        let after = list()?;
        let grown = |of: Option<u32>| after.get(&of).copied().unwrap_or(0) - before.get(&of).copied().unwrap_or(0);
        ensure!(
            grown(Some(own)) >= u64::from(PINGS),
            "states by processor counted {before:?} before the pings of {own}, then {after:?}"
        );
        ensure!(grown(None) == 0, "the pings of {own} went over the one for all: {before:?}, then {after:?}");
    }
    Ok(())
}

/// Octets of such a ping, and of what becomes of it at most: the tunnel's headers, and what says that it is all the same.
const LONG: u64 = 1000;
const SHRUNK: u64 = 250;

pub(super) fn shrinks(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let (there, _) = scene.plan.directions(words[0].parse()?)?;
    let list = |scene: &Scene<'_>| states::used(&scene.swan_host.kernel("ip -s xfrm state")?, "esp");
    let before = list(scene)?;
    let text =
        scene.ravelin_host.sh(&format!("ping -s {LONG} {}", traffic::ping_arguments(there, PINGS, "0.1", 20)))?;
    ensure!(traffic::ping_result(&text)? == (PINGS, PINGS), "pings: {text}");
    let pings = u64::from(PINGS);
    let mut carried = 0;
    for (spi, after) in list(scene)? {
        let before = before.get(&spi).copied().unwrap_or_default();
        let (packets, octets) = (after.packets - before.packets, after.octets - before.octets);
        if packets >= pings {
            ensure!(octets < packets * SHRUNK, "{packets} packets of SPI {spi} had {octets} octets");
            carried += 1;
        }
    }
    ensure!(carried == 2, "{carried} states of the peer's kernel carried the pings; expected one each way");
    Ok(())
}

pub(super) fn sound(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let counted = scene.ravelin_host.sh("cat /proc/net/xfrm_stat")?;
    let rows = counted.lines().filter_map(|line| line.split_once(char::is_whitespace));
    let risen: Vec<_> =
        rows.filter(|(name, count)| count.trim() != "0" && !words.iter().any(|word| word == name)).collect();
    ensure!(risen.is_empty(), "Ravelin's kernel counted errors: {risen:?}");
    Ok(())
}

pub(super) fn xfrm(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let fill = |word: &String| Ok(format!("'{}'", scene.plan.fill(word, &[])?));
    let quoted: Vec<String> = words.iter().map(fill).collect::<Result<_>>()?;
    scene.swan_host.kernel(&format!("ip xfrm {}", quoted.join(" "))).map(drop)
}

pub(super) fn cross(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let (there, back) = scene.plan.directions(words[0].parse()?)?;
    for (text, from) in [
        (scene.ravelin_host.sh(&format!("ping {}", traffic::ping_arguments(there, 5, "0.1", 10)))?, "Ravelin"),
        (scene.swan_host.sh(&format!("ping {}", traffic::ping_arguments(back, 5, "0.1", 10)))?, "the peer"),
    ] {
        ensure!(traffic::ping_result(&text)? == (5, 5), "pings from {from}: {text}");
    }
    scene.send("ravelin", there)?;
    scene.send("swan", back)?;
    let seen = scene.capture.take().context("the recording has ended")?.stop()?;
    ensure!(seen.clear.is_empty(), "in the clear on the wire: {:#?}", seen.clear);
    let wanted = if words[1] == "ah" { seen.ah } else { seen.esp };
    ensure!(wanted > 0 && wanted == seen.esp + seen.udp_esp + seen.ah, "on the wire: {seen:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_and_its_kernel_list_the_same() {
        let held = "SA count=2 tx=0\nsa[0] rx ipaddr=192.0.2.1\n\
                    sa[0]    spi=0x0c6e4bd2 proto=0x32 salt=0x01020304 crypt=1\nsa[0]    key=0x1 2 3 4\n\
                    sa[1]    spi=0x00000100 proto=0x32 salt=0x01020304 crypt=1\n";
        let listed = "src 192.0.2.2 dst 192.0.2.1\n\tproto esp spi 0x0c6e4bd2(208554962) reqid 1(0x1) mode tunnel\n\
                      \tcrypto offload parameters: dev sim0 dir in\n\
                      src 192.0.2.1 dst 192.0.2.2\n\tproto esp spi 0x00000100 reqid 1 mode tunnel\n\
                      \tcrypto offload parameters: dev sim0 dir out\n\
                      src 192.0.2.1 dst 192.0.2.2\n\tproto esp spi 0x00000101 reqid 1 mode tunnel\n";
        assert_eq!(held_by_device(held), BTreeSet::from(["c6e4bd2", "100"].map(str::to_owned)));
        assert_eq!(given_to_device(listed), held_by_device(held));
    }
}
