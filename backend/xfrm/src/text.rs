//! Requests in the words of `ip xfrm`, for whoever wants to try by hand what the kernel refused. Keys are left out.

use std::fmt::Write;
use std::net::IpAddr;

use crate::msg::attribute::{Algorithm, Attribute, SA_IN, offload};
use crate::msg::parts::{Address, Selector};
use crate::msg::policy::{Template, action, direction, flag as policy_flag};
use crate::msg::state::{flag, mode};
use crate::msg::{Body, Message, kind};
use crate::sys;

/// The `ip xfrm` line that asks for the same.
pub fn command(message: &Message) -> String {
    let mut line = String::from("ip xfrm ");
    match &message.body {
        Body::State(state) => {
            line += if message.kind == kind::UPD_SA { "state update" } else { "state add" };
            ends(&mut line, state.src, state.id.dst, state.family);
            let _ = write!(line, " proto {} spi 0x{}", protocol(state.id.protocol), state.id.spi);
            let _ = write!(line, " reqid {} mode {}", state.reqid, mode_name(state.mode));
            if state.replay_window > 0 {
                let _ = write!(line, " replay-window {}", state.replay_window);
            }
            let flags = [
                (flag::ESN, " esn"),
                (flag::AF_UNSPEC, " af-unspec"),
                (flag::NO_PMTU_DISC, " nopmtudisc"),
                (flag::NO_ECN, " noecn"),
                (flag::ALIGN4, " align4"),
            ];
            let set: String = flags.iter().filter(|(bit, _)| state.flags & bit != 0).map(|(_, name)| *name).collect();
            if !set.is_empty() {
                let _ = write!(line, " flag{set}");
            }
            attributes(&mut line, message);
            if state.selector.family != 0 {
                line += " sel";
                selector(&mut line, &state.selector);
            }
        }
        Body::StateId(id) => {
            line += if message.kind == kind::DEL_SA { "state delete" } else { "state get" };
            let src = message.find(|a| if let Attribute::Source(src) = a { Some(*src) } else { None });
            if let Some(src) = src {
                ends(&mut line, src, id.dst, id.family);
            } else if let Some(dst) = id.dst.ip(id.family) {
                let _ = write!(line, " dst {dst}");
            }
            let _ = write!(line, " proto {} spi 0x{}", protocol(id.protocol), id.spi);
            attributes(&mut line, message);
        }
        Body::Policy(policy) => {
            line += if message.kind == kind::UPD_POLICY { "policy update" } else { "policy add" };
            selector(&mut line, &policy.selector);
            let _ = write!(line, " dir {} priority {}", direction_name(policy.direction), policy.priority);
            if policy.action == action::BLOCK {
                line += " action block";
            }
            if policy.flags & policy_flag::PROCESSOR_ACQUIRE != 0 {
                // `ip` has no word for it.
                let _ = write!(line, " flag {:#x}", policy_flag::PROCESSOR_ACQUIRE);
            }
            attributes(&mut line, message);
        }
        Body::PolicyId(id) => {
            line += "policy delete";
            selector(&mut line, &id.selector);
            let _ = write!(line, " dir {}", direction_name(id.direction));
            attributes(&mut line, message);
        }
        Body::Flush(_) => line += "state flush",
        _ => line += "monitor",
    }
    line
}

fn attributes(line: &mut String, message: &Message) {
    for attribute in &message.attributes {
        let _ = match attribute {
            Attribute::Aead(a) => write!(line, " aead '{}' {} {}", a.name, key(a), a.icv_bits),
            Attribute::Crypt(a) => write!(line, " enc '{}' {}", a.name, key(a)),
            Attribute::Compress(a) => write!(line, " comp '{}'", a.name),
            Attribute::Auth(a) => write!(line, " auth '{}' {}", a.name, key(a)),
            Attribute::AuthTruncated(a) => write!(line, " auth-trunc '{}' {} {}", a.name, key(a), a.icv_bits),
            Attribute::ReplayEsn(window) => write!(line, " replay-window {}", window.window),
            Attribute::Encap(e) => write!(line, " encap espinudp {} {} 0.0.0.0", e.src_port.0, e.dst_port.0),
            Attribute::Mark(m) => write!(line, " mark {:#x} mask {:#x}", m.value, m.mask),
            Attribute::SetMark(mark) => write!(line, " output-mark {mark:#x}"),
            Attribute::SetMarkMask(mask) => write!(line, " mask {mask:#x}"),
            Attribute::Offload(offload) => {
                let what = if offload.flags & offload::PACKET == 0 { "crypto" } else { "packet" };
                let name = u32::try_from(offload.interface).ok().and_then(sys::interface_name);
                let _ = write!(line, " offload {what} dev {}", name.as_deref().unwrap_or("DEVICE"));
                match (&message.body, offload.flags & offload::INBOUND) {
                    // A policy has its direction already.
                    (Body::Policy(_) | Body::PolicyId(_), _) => Ok(()),
                    (_, 0) => write!(line, " dir out"),
                    _ => write!(line, " dir in"),
                }
            }
            Attribute::ExtraFlags(flags) => write!(line, " extra-flag {flags:#x}"),
            Attribute::Direction(way) => write!(line, " dir {}", if *way == SA_IN { "in" } else { "out" }),
            Attribute::Processor(number) => write!(line, " pcpu-num {number}"),
            Attribute::IptfsDropTime(time) => write!(line, " iptfs-opts drop-time {time}"),
            Attribute::IptfsReorderWindow(window) => write!(line, " iptfs-opts reorder-window {window}"),
            Attribute::IptfsDontFragment(()) => write!(line, " iptfs-opts dont-frag"),
            Attribute::IptfsInitialDelay(time) => write!(line, " iptfs-opts init-delay {time}"),
            Attribute::IptfsMaxQueue(bytes) => write!(line, " iptfs-opts max-queue-size {bytes}"),
            Attribute::IptfsPacketSize(bytes) => write!(line, " iptfs-opts pkt-size {bytes}"),
            Attribute::IfId(id) => write!(line, " if_id {id:#x}"),
            Attribute::Templates(templates) => {
                templates.iter().for_each(|t| template(line, t));
                Ok(())
            }
            _ => Ok(()),
        };
    }
}

/// What stands for a key. NULL has none.
fn key(algorithm: &Algorithm) -> &'static str {
    if algorithm.key.is_empty() { "''" } else { "0x..." }
}

fn template(line: &mut String, template: &Template) {
    line.push_str(" tmpl");
    ends(line, template.src, template.id.dst, template.family);
    let mode = mode_name(template.mode);
    let _ = write!(line, " proto {} reqid {} mode {mode}", protocol(template.id.protocol), template.reqid);
    if template.optional != 0 {
        line.push_str(" level use");
    }
}

fn ends(line: &mut String, src: Address, dst: Address, family: u16) {
    if let (Some(src), Some(dst)) = (src.ip(family), dst.ip(family)) {
        let _ = write!(line, " src {src} dst {dst}");
    }
}

fn selector(line: &mut String, selector: &Selector) {
    let side = |address: Address, prefix: u8| -> Option<(IpAddr, u8)> { Some((address.ip(selector.family)?, prefix)) };
    if let (Some(src), Some(dst)) = (side(selector.src, selector.src_prefix), side(selector.dst, selector.dst_prefix)) {
        let _ = write!(line, " src {}/{} dst {}/{}", src.0, src.1, dst.0, dst.1);
    }
    if selector.protocol != 0 {
        let _ = write!(line, " proto {}", selector.protocol);
    }
    let names = if matches!(selector.protocol, 1 | 58) { ["type", "code"] } else { ["sport", "dport"] };
    let ports = [(selector.src_port, selector.src_port_mask), (selector.dst_port, selector.dst_port_mask)];
    for (name, (port, mask)) in names.into_iter().zip(ports) {
        if mask.0 != 0 {
            let _ = write!(line, " {name} {}", port.0);
        }
    }
}

fn protocol(number: u8) -> String {
    match number {
        50 => "esp".into(),
        51 => "ah".into(),
        108 => "comp".into(),
        other => other.to_string(),
    }
}

fn mode_name(number: u8) -> &'static str {
    match number {
        mode::TRANSPORT => "transport",
        mode::TUNNEL => "tunnel",
        mode::BEET => "beet",
        mode::IPTFS => "iptfs",
        _ => "?",
    }
}

fn direction_name(number: u8) -> &'static str {
    match number {
        direction::IN => "in",
        direction::OUT => "out",
        _ => "fwd",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `ip xfrm` of iproute2 6.15 was told, and what it said to the kernel.
    const CAPTURED: &str = include_str!("../tests/captured/6.12-iproute2-6.15.hex");
    /// We use none of it, or it is the kernel's or `ip`'s default.
    const LEFT_OUT: [&str; 18] = [
        "limit",
        "replay-seq",
        "replay-oseq",
        "ptype",
        "dev lo",
        "localok",
        "icmp",
        "tfcpad",
        "mode ro",
        "decap-dscp",
        "coa",
        "allow",
        "auth hmac",
        " 0x0102 128",
        "spi 0x1000 reqid",
        "list",
        "level",
        "proto comp reqid",
    ];

    /// The words of a line in an order of their own, without keys, quotes and what is the default, and with numbers as `ip` takes them in
    /// any form.
    fn words(line: &str) -> Vec<String> {
        let defaults = [" priority 0", " src 0.0.0.0 dst 0.0.0.0", " mark 0 mask 0"];
        let line = defaults.iter().fold(line.to_owned(), |line, default| line.replace(default, ""));
        let plain = |word: &str| match word.strip_prefix("0x") {
            _ if word == "tcp" => "6".to_owned(),
            _ if word == "icmp" => "1".to_owned(),
            Some(digits) if digits.len() > 8 || word == "0x..." => "KEY".to_owned(),
            Some(digits) => u32::from_str_radix(digits, 16).map_or(word.to_owned(), |number| number.to_string()),
            None => word.trim_matches('\'').to_owned(),
        };
        let mut words: Vec<String> = line.split_whitespace().map(plain).filter(|word| !word.is_empty()).collect();
        words.sort();
        words
    }

    #[test]
    fn a_line_says_what_ip_would_have_been_told() {
        let (mut compared, mut other) = (0, Vec::new());
        for (command, sent) in CAPTURED.lines().zip(CAPTURED.lines().skip(1)) {
            let (Some(command), Some(digits)) = (command.strip_prefix("# "), sent.strip_prefix("K< xfrm ")) else {
                continue;
            };
            let change = ["state add", "state delete", "policy add", "policy delete"];
            let ours = change.iter().any(|words| command.starts_with(&format!("ip xfrm {words} ")));
            if !ours || LEFT_OUT.iter().any(|words| command.contains(words)) {
                continue;
            }
            let octet = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
            let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(octet).collect();
            let message = Message::parse(u16::from_ne_bytes([bytes[4], bytes[5]]), false, &bytes[16..]).unwrap();
            let line = super::command(&message);
            if words(&line) != words(command) {
                other.push(format!("{line}\n{command}"));
            }
            compared += 1;
        }
        assert!(other.is_empty(), "{}", other.join("\n\n"));
        assert!(compared > 20, "{compared}");
    }
}
