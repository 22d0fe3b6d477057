//! The Linux kernel in the guest, its SAs and policies set with `ip xfrm`.

use anyhow::{Result, ensure};
use ravelin_types::policy::Mode;
use ravelin_types::sa::Direction;

use super::link::{OWN_MAC, SPI_IN, SPI_OUT, WINDOW};
use super::place::Place;
use super::rows::Row;
use crate::guest::Guest;

/// Addresses and neighbors of every [`Place`].
pub fn prepare(guest: &Guest) -> Result<()> {
    let mac = OWN_MAC.map(|byte| format!("{byte:02x}")).join(":");
    guest.sh(&format!(
        "ip addr flush dev lo; ip addr flush dev eth0; ip link set eth0 up
         ip addr add 127.0.0.1/8 dev lo; ip addr add 10.2.0.1/32 dev lo; ip addr add 2001:db8:2::1/128 dev lo
         ip addr add 192.0.2.2/24 dev eth0; ip addr add 2001:db8:f::2/64 dev eth0 nodad
         ip neigh replace 192.0.2.1 lladdr {mac} nud permanent dev eth0
         ip neigh replace 2001:db8:f::1 lladdr {mac} nud permanent dev eth0
         ip route replace 10.1.0.0/16 via 192.0.2.1; ip route replace 2001:db8:1::/48 via 2001:db8:f::1"
    ))?;
    Ok(())
}

/// Puts the SAs of one combination with their policies in the place of what was there.
pub fn install(guest: &Guest, row: &Row, place: Place, extended: bool) -> Result<()> {
    let (ours, theirs) = place.outer();
    let (our_inner, their_inner) = place.inner();
    let mut flags = String::new();
    for (flag, set) in [("esn", extended), ("af-unspec", place.mixed())] {
        if set {
            flags.push_str(&format!(" flag {flag}"));
        }
    }
    let mut lines = vec!["ip xfrm state flush; ip xfrm policy flush".to_owned()];
    for (direction, dir, src, dst, inner_src, inner_dst, spi) in [
        (Direction::Outbound, "in", ours, theirs, our_inner, their_inner, SPI_OUT),
        (Direction::Inbound, "out", theirs, ours, their_inner, our_inner, SPI_IN),
    ] {
        let mut policy = format!("ip xfrm policy add src {inner_src} dst {inner_dst} dir {dir}");
        for (at, (protocol, keys)) in row.kernel(direction).into_iter().enumerate() {
            // The innermost protocol makes the tunnel; AH around ESP has the same outer header.
            let mode = if place.mode == Mode::Tunnel && at == 0 { "tunnel" } else { "transport" };
            // RFC 4302 §2.6: a multiple of 32 bits in IPv4. Without this flag Linux wants 64.
            let align = if protocol == "ah" && ours.is_ipv4() && !row.align64 { " flag align4" } else { "" };
            lines.push(format!(
                "ip xfrm state add src {src} dst {dst} proto {protocol} spi {spi:#x} reqid 1 mode {mode} \
                 replay-window {WINDOW}{flags}{align} {keys}"
            ));
            policy.push_str(&format!(" tmpl src {src} dst {dst} proto {protocol} reqid 1 mode {mode}"));
        }
        lines.push(policy);
    }
    lines.push("cat /proc/net/xfrm_stat >/run/xfrm_stat".to_owned());
    guest.sh(&lines.join("\n"))?;
    Ok(())
}

/// The kernel must have counted this many packets on each SA, and no error since [`install`].
pub fn check(guest: &Guest, packets: usize) -> Result<()> {
    let text = guest.sh("ip -s xfrm state; diff /run/xfrm_stat /proc/net/xfrm_stat && echo no error")?;
    ensure!(text.contains("no error"), "the kernel counted errors:\n{text}");
    // `lifetime current:`, and below it `BYTES(bytes), PACKETS(packets)`.
    let counted = text.lines().filter(|line| line.contains("(bytes),") && line.contains("(packets)"));
    let counted: Vec<&str> = counted.filter_map(|line| line.split(", ").nth(1)).collect();
    let expected = format!("{packets}(packets)");
    let right = counted.iter().filter(|count| **count == expected).count();
    let all = counted.len() == right && right >= 2;
    ensure!(all, "the kernel counted {counted:?} packets, expected {packets} on each SA:\n{text}");
    Ok(())
}
