//! Which of `left` and `right` this host is: it is `left`, unless `right` is an address of it and `left` is none. So one file is
//! good for both sides, as with FreeS/WAN and strongSwan.

use std::net::IpAddr;

use super::Parameters;

/// The other side's names.
fn swapped(key: &str) -> Option<String> {
    let to = |from, to| key.strip_prefix(from).map(|rest| format!("{to}{rest}"));
    to("left", "right").or_else(|| to("right", "left"))
}

/// Puts the sides in the place of each other where this host is `right`. `own` says whether an address is of this host; names are
/// not looked up for it.
pub(super) fn swap(all: &mut Parameters, own: &dyn Fn(IpAddr) -> bool) -> bool {
    let is_own = |side: &str| {
        let hosts = all.get(side).map_or("", |(hosts, _)| hosts.as_str()).split(',');
        hosts
            .filter_map(|host| host.trim().parse().ok())
            .any(|address: IpAddr| !address.is_unspecified() && own(address))
    };
    if !is_own("right") || is_own("left") {
        return false;
    }
    let sides = std::mem::take(all).into_iter();
    all.extend(sides.map(|(key, value)| (swapped(&key).unwrap_or(key), value)));
    true
}
