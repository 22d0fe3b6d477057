//! What the parameters of a `conn` become: settings of a connection, of its child, and of the two sides.

use std::time::Duration;

use super::side::{first, host, second};
use super::{Parameters, get};
use crate::swanctl::connection::NO_MEDIATION;
use crate::swanctl::reader::{Problems, time};
use crate::swanctl::tree::{At, Named, Section};
use crate::value::did_you_mean;

/// What a parameter becomes.
enum Becomes {
    /// This setting of the connection.
    Connection(&'static str),
    /// This setting of the child.
    Child(&'static str),
    /// This setting of a side's authentication.
    Side(&'static str, &'static str),
    /// Nothing: it has no effect here, whatever its value.
    Nothing,
    /// Dealt with by itself.
    Apart,
    /// Nothing, if it has one of these values; else it is refused for this reason.
    Only(&'static [&'static str], &'static str),
}

fn meaning(parameter: &str) -> Option<Becomes> {
    use Becomes::{Apart, Child, Connection, Nothing, Only, Side};
    Some(match parameter {
        "left" | "right" | "leftsubnet" | "rightsubnet" | "leftprotoport" | "rightprotoport" | "leftauth"
        | "rightauth" | "authby" | "ike" | "esp" | "ah" | "auto" | "type" | "keyexchange" | "dpdaction"
        | "dpddelay" | "closeaction" | "keyingtries" | "rekey" | "ikelifetime" | "lifetime" | "keylife"
        | "margintime" | "rekeymargin" | "leftid" | "rightid" | "rightallowany" | "marginbytes" | "marginpackets"
        | "lifebytes" | "lifepackets" | "rekeyfuzz" | "leftsourceip" | "rightsourceip" | "rightdns"
        | "eap_identity" => Apart,
        "forceencaps" => Connection("encap"),
        "aggressive" => Connection("aggressive"),
        "mobike" => Connection("mobike"),
        // Of Libreswan.
        "enable-tcp" => Connection("tcp"),
        "tcp-remoteport" => Connection("tcp_port"),
        "session-resumption" => Connection("session_resumption"),
        "send-supported-auth-methods" => Connection("announce"),
        "ike-sa-init-full-transcript-auth" => Connection("full_transcript_auth"),
        "fragmentation" => Connection("fragmentation"),
        "dpdtimeout" => Connection("dpd_timeout"),
        "ikedscp" => Connection("dscp"),
        "inactivity" => Child("inactivity"),
        "replay_window" => Child("replay_window"),
        "reqid" => Child("reqid"),
        "compress" => Child("ipcomp"),
        "tfc" => Child("tfc_padding"),
        "mark" => Child("mark_in"),
        "mark_in" => Child("mark_in"),
        "mark_out" => Child("mark_out"),
        // Without a signature they are of no use.
        "leftcert" | "rightcert" | "leftsigkey" | "rightsigkey" | "leftrsasigkey" | "rightrsasigkey" => Apart,
        "rightca" => Side("remote", "ca_id"),
        "rightgroups" => Side("remote", "groups"),
        "rightcertpolicy" => Side("remote", "cert_policy"),
        "leftsendcert" | "rightsendcert" | "leftca" => Nothing,
        "leftdns" => Only(&["%config", "%config4", "%config6"], "every server that the peer names is taken"),
        "aaa_identity" => Side("local", "aaa_id"),
        "leftauth2" | "rightauth2" | "xauth" | "xauth_identity" => Apart,
        "leftid2" | "rightid2" | "leftcert2" | "rightcert2" => Apart,
        "leftupdown" | "leftfirewall" => Apart,
        "lefthostaccess" => Child("hostaccess"),
        "rightupdown" | "rightfirewall" | "righthostaccess" => {
            Only(&["no"], "scripts are those of this side: write leftupdown, leftfirewall, lefthostaccess")
        }
        "leftnexthop" | "rightnexthop" => Nothing,
        "leftallowany" => Only(&["no"], "write %any, or a list of addresses"),
        "leftikeport" | "rightikeport" => {
            Only(&["500"], "IKE uses port 500, and 4500 where there is a NAT; leave it out")
        }
        "installpolicy" => Only(&["yes"], "an SA without a policy carries nothing; leave it out"),
        "modeconfig" => Apart,
        "mediation" => Only(&["no"], NO_MEDIATION),
        "mediated_by" | "me_peerid" => Only(&[], NO_MEDIATION),
        "reauth" => Apart,
        _ => return None,
    })
}

pub(super) fn connection(name: &str, all: &Parameters, at: &At, problems: &mut Problems) -> Section {
    let mut connection = Section::default();
    let mut child = Section::default();
    let (mut local, mut remote) = (Section::default(), Section::default());
    for (key, (value, at)) in all {
        match meaning(key) {
            Some(Becomes::Connection(setting)) => connection.add(setting, value, at),
            Some(Becomes::Child(setting)) => child.add(setting, value, at),
            Some(Becomes::Side("local", setting)) => local.add(setting, value, at),
            Some(Becomes::Side(_, setting)) => remote.add(setting, value, at),
            Some(Becomes::Only(values, why)) => {
                if !values.contains(&value.as_str()) {
                    problems.add(at.remark(format!("`{key}` is not supported with this value: {why}")));
                }
            }
            Some(Becomes::Apart | Becomes::Nothing) => {}
            None => {
                let known =
                    ["left", "right", "leftid", "rightid", "leftsubnet", "rightsubnet", "ike", "esp", "auto", "authby"];
                problems.add(at.remark(format!("unknown option: {key}{}", did_you_mean(key, known))));
            }
        }
    }
    version(all, at, &mut connection, problems);
    if let Some((value, at)) = get(all, "modeconfig") {
        connection.add("pull", if value == "push" { "no" } else { "yes" }, at);
    }
    for (side, addresses, round) in [("left", "local_addrs", &mut local), ("right", "remote_addrs", &mut remote)] {
        host(all, side, addresses, &mut connection);
        first(all, side, round);
    }
    updown(all, &mut child, problems);
    proposals(all, &mut connection, &mut child);
    times(all, &mut connection, &mut child, problems);
    selectors(all, &mut child);
    words(all, &mut child, problems);
    let shunt =
        child.setting("mode").is_some_and(|mode| mode.text().is_ok_and(|mode| mode == "pass" || mode == "drop"));
    let named = |name: &str, section: Section| Named { name: name.to_owned(), at: at.clone(), section };
    if !shunt {
        connection.sections.extend([named("local", local), named("remote", remote)]);
        let sides = [("left", "local"), ("right", "remote")].into_iter();
        connection.sections.extend(sides.filter_map(|(side, round)| second(all, side, round)));
    }
    let mut children = Section::default();
    children.sections.push(named(name, child));
    connection.sections.push(named("children", children));
    connection
}

fn version(all: &Parameters, at: &At, connection: &mut Section, problems: &mut Problems) {
    match get(all, "keyexchange") {
        Some(("ikev2", at)) => connection.add("version", "2", at),
        None => connection.add("version", "0", at),
        Some(("ike", at)) => connection.add("version", "0", at),
        Some(("ikev1", at)) => connection.add("version", "1", at),
        Some((other, at)) => problems.add(at.remark(format!("`{other}`: expected ike, ikev1 or ikev2"))),
    }
}

/// Settings that have a few words, which are others there.
fn words(all: &Parameters, child: &mut Section, problems: &mut Problems) {
    let autos = [("add", "none"), ("route", "trap"), ("start", "start"), ("ignore", "none"), ("ondemand", "trap")];
    let types =
        [("tunnel", "tunnel"), ("transport", "transport"), ("passthrough", "pass"), ("pass", "pass"), ("drop", "drop")];
    let actions = [("none", "none"), ("clear", "clear"), ("hold", "trap"), ("trap", "trap"), ("restart", "restart")];
    for (key, setting, words) in [
        ("auto", "start_action", autos),
        ("type", "mode", types),
        ("dpdaction", "dpd_action", actions),
        ("closeaction", "close_action", actions),
    ] {
        let Some((value, at)) = get(all, key) else { continue };
        match words.iter().find(|(word, _)| *word == value) {
            Some((_, becomes)) => child.add(setting, becomes, at),
            None => {
                let known = words.map(|(word, _)| word).join(", ");
                problems.add(at.remark(format!("invalid value for: {key}, expected {known}")));
            }
        }
    }
}

/// `strictcrlpolicy`, which is about the certificates of all peers.
pub(super) fn strict(setup: Option<&(At, Parameters)>, connection: &mut Section) {
    let Some((word, at)) = setup.and_then(|(_, parameters)| parameters.get("strictcrlpolicy")) else { return };
    let word = match word.as_str() {
        "yes" => "strict",
        "no" => return,
        // `ifuri`, or nothing that there is.
        other => other,
    };
    let has_certificate = |named: &&mut Named| {
        let auth = named.section.setting("auth").and_then(|setting| setting.text().ok());
        let by = ["pubkey", "eap-tls", "eap-ttls", "eap-peap", "eap-dynamic"];
        let by = |auth: &str| auth == "eap" || by.iter().any(|start| auth.starts_with(start));
        named.name.starts_with("remote") && auth.is_none_or(by)
    };
    for round in connection.sections.iter_mut().filter(has_certificate) {
        round.section.add("revocation", word, at);
    }
}

/// `leftfirewall` stands for strongSwan's own script; with `%disabled` Libreswan runs none.
fn updown(all: &Parameters, child: &mut Section, problems: &mut Problems) {
    const FIREWALL: &str = "ipsec _updown iptables";
    let own = all.get("leftupdown").map(|(command, at)| (command.as_str(), at));
    let own = own.filter(|(command, _)| *command != "%disabled");
    let (command, at) = match (own, all.get("leftfirewall")) {
        (Some(_), Some((value, at))) if value == "yes" => {
            return problems.add(at.remark("leftfirewall runs a script of its own: leave it or leftupdown out"));
        }
        (None, Some((value, at))) if value == "yes" => (FIREWALL, at),
        (_, Some((value, at))) if value != "no" => return problems.add(at.remark("expected yes or no")),
        (Some((command, at)), _) => (command, at),
        (None, _) => return,
    };
    child.add("updown", command, at);
}

/// `leftsourceip` asks for addresses; `rightsourceip` gives them, from a pool that connections with the same one share.
pub(super) fn addresses(all: &Parameters, connection: &mut Section, root: &mut Section, top: &At) {
    if let Some((value, at)) = all.get("leftsourceip") {
        let word = |item: &str| match item.trim() {
            "%cfg" | "%config" | "%modeconfig" | "%modecfg" if inside_is_v6(all) => "%config6".to_owned(),
            "%cfg" | "%modeconfig" | "%modecfg" => "%config".to_owned(),
            other => other.to_owned(),
        };
        let value = value.split(',').map(word).collect::<Vec<_>>().join(",");
        connection.add("vips", &value, at);
    }
    let Some((value, at)) = all.get("rightsourceip") else { return };
    let mut names = Vec::new();
    for item in value.split(',').map(str::trim) {
        let name = item.strip_prefix('%').map_or_else(|| item.replace('/', "-"), str::to_owned);
        names.push(name.clone());
        let pools = root.open("pools", top);
        if item.starts_with('%') || pools.section(&name).is_some() {
            continue;
        }
        let mut pool = Section::default();
        pool.add("addrs", item, at);
        if let Some((servers, at)) = all.get("rightdns") {
            pool.add("dns", servers, at);
        }
        pools.sections.push(Named { name, at: at.clone(), section: pool });
    }
    connection.add("pools", &names.join(","), at);
}

/// Of which family an address is that says nothing of it: that of the networks, or else of the first host of `left`, as with strongSwan.
fn inside_is_v6(all: &Parameters) -> bool {
    let networks = get(all, "leftsubnet").or_else(|| get(all, "rightsubnet"));
    let host =
        || get(all, "left").and_then(|(hosts, _)| hosts.split(',').next()).is_some_and(|host| host.contains(':'));
    networks.map_or_else(host, |(networks, _)| !networks.contains('.'))
}

/// `ike`, `esp` and `ah`: without `!` at the end, the default proposals follow.
fn proposals(all: &Parameters, connection: &mut Section, child: &mut Section) {
    for (key, setting, to) in [("ike", "proposals", connection), ("esp", "esp_proposals", &mut *child)] {
        if let Some((value, at)) = all.get(key) {
            let value = value.strip_suffix('!').map_or_else(|| format!("{value},default"), str::to_owned);
            to.add(setting, &value, at);
        }
    }
    if let Some((value, at)) = all.get("ah") {
        child.add("ah_proposals", value.trim_end_matches('!'), at);
    }
}

/// Lifetimes are hard here, and rekeying begins a margin before.
fn times(all: &Parameters, connection: &mut Section, child: &mut Section, problems: &mut Problems) {
    let mut parsed = |key: &str, default: u64| {
        let Some((value, at)) = all.get(key) else { return Duration::from_secs(default) };
        problems
            .take(time(value).map_err(|why| at.remark(format!("invalid value for: {key}, {why}"))))
            .unwrap_or_default()
    };
    let margin = parsed(if all.contains_key("rekeymargin") { "rekeymargin" } else { "margintime" }, 540);
    let (ike, life) = (
        parsed("ikelifetime", 3 * 3600),
        parsed(if all.contains_key("keylife") { "keylife" } else { "lifetime" }, 3600),
    );
    let rekey = all.get("rekey").is_none_or(|(value, _)| value != "no");
    let number = |section: &mut Section, name: &str, number: u64, key: &str| {
        let at = all.get(key).map_or_else(At::message, |(_, at)| at.clone());
        section.add(name, &number.to_string(), &at);
    };
    // A lifetime that leaves no room for the margin is rekeyed at nine tenths.
    let soft = |hard: Duration| match hard.checked_sub(margin).filter(|soft| !soft.is_zero()) {
        Some(soft) => soft.as_secs(),
        None => (hard - hard / 10).as_secs(),
    };
    let anew = all.get("reauth").is_some_and(|(value, _)| value == "yes") && rekey;
    number(connection, "rekey_time", if rekey && !anew { soft(ike) } else { 0 }, "ikelifetime");
    if anew {
        number(connection, "reauth_time", soft(ike), "ikelifetime");
    }
    number(child, "rekey_time", if rekey { soft(life) } else { 0 }, "lifetime");
    number(child, "life_time", life.as_secs(), "lifetime");
    for (hard, margin, life, soft) in [
        ("lifebytes", "marginbytes", "life_bytes", "rekey_bytes"),
        ("lifepackets", "marginpackets", "life_packets", "rekey_packets"),
    ] {
        let limit = |key: &str| all.get(key).and_then(|(value, _)| value.parse::<u64>().ok());
        if let Some(most) = limit(hard).filter(|most| *most > 0) {
            number(child, life, most, hard);
            number(child, soft, most.saturating_sub(limit(margin).unwrap_or(most / 10)).max(1), hard);
        }
    }
    if let Some((value, at)) = all.get("keyingtries") {
        let value = if value == "%forever" { "0" } else { value.as_str() };
        connection.add("keyingtries", value, at);
    }
    let dead = all.get("dpdaction").is_some_and(|(value, _)| value != "none");
    if dead {
        let delay = parsed_delay(all);
        number(connection, "dpd_delay", delay, "dpddelay");
    }
}

fn parsed_delay(all: &Parameters) -> u64 {
    all.get("dpddelay").and_then(|(value, _)| time(value).ok()).map_or(30, |time| time.as_secs())
}

fn selectors(all: &Parameters, child: &mut Section) {
    for (side, setting) in [("left", "local_ts"), ("right", "remote_ts")] {
        let subnet = all.get(&format!("{side}subnet"));
        let protoport = all.get(&format!("{side}protoport"));
        let Some((_, at)) = subnet.or(protoport) else { continue };
        let nets = subnet.map_or("dynamic", |(nets, _)| nets.as_str());
        let one = |net: &str| match protoport {
            Some((protocol, _)) if !net.contains('[') => format!("{}[{protocol}]", net.trim()),
            _ => net.trim().to_owned(),
        };
        let value = nets.split(',').map(one).collect::<Vec<_>>().join(",");
        child.add(setting, &value, at);
    }
}
