//! What the parameters of a `conn` become: settings of a connection, of its child, and of the two sides.

use std::time::Duration;

use super::Parameters;
use crate::swanctl::connection::NO_MEDIATION;
use crate::swanctl::reader::{Problems, time};
use crate::swanctl::tree::{At, Named, Section, Setting, Values};
use crate::value::did_you_mean;
use crate::value::host::Host;
use crate::value::identity::peer;

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
    let put = |section: &mut Section, key: &str, value: String, at: &At| {
        section.settings.push(Setting {
            name: key.to_owned(),
            values: Values::One(value.into_bytes()),
            at: at.clone(),
        });
    };
    let get = |key: &str| all.get(key).map(|(value, at)| (value.as_str(), at));
    for (key, (value, at)) in all {
        match meaning(key) {
            Some(Becomes::Connection(setting)) => put(&mut connection, setting, value.clone(), at),
            Some(Becomes::Child(setting)) => put(&mut child, setting, value.clone(), at),
            Some(Becomes::Side("local", setting)) => put(&mut local, setting, value.clone(), at),
            Some(Becomes::Side(_, setting)) => put(&mut remote, setting, value.clone(), at),
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
    match get("keyexchange") {
        Some(("ikev2", at)) => put(&mut connection, "version", "2".to_owned(), at),
        None => put(&mut connection, "version", "0".to_owned(), at),
        Some(("ike", at)) => put(&mut connection, "version", "0".to_owned(), at),
        Some(("ikev1", at)) => put(&mut connection, "version", "1".to_owned(), at),
        Some((other, at)) => problems.add(at.remark(format!("`{other}`: expected ike, ikev1 or ikev2"))),
    }
    for (side, addresses, id, round) in
        [("left", "local_addrs", "leftid", &mut local), ("right", "remote_addrs", "rightid", &mut remote)]
    {
        let host = get(side).filter(|(value, _)| *value != "%defaultroute");
        if let Some((value, at)) = host {
            let anybody = side == "right"
                && (get("rightallowany").is_some_and(|(it, _)| it == "yes") || by_mark(value).is_some());
            let rest = if anybody { ",0.0.0.0/0,::/0" } else { "" };
            put(&mut connection, addresses, format!("{}{rest}", by_mark(value).unwrap_or(value)), at);
        }
        // A side that is one host is that also where it says nothing of who it is; its certificate has the last word.
        let papers = ["cert", "sigkey", "rsasigkey"].iter().any(|it| all.contains_key(&format!("{side}{it}")));
        let by_host = || host.map(|(value, at)| (by_mark(value).unwrap_or(value), at));
        let auth = get(&format!("{side}auth")).or_else(|| get("authby"));
        let auth = auth.map(|(value, at)| (method(value), at));
        let proves = auth.is_none_or(|(method, _)| ["psk", "pubkey"].contains(&method));
        let is_one = |host: Host| host.name().is_some() || side == "right" && !host.is_anybody();
        let itself = || by_host().filter(|(value, _)| proves && !papers && peer(value).is_ok_and(is_one));
        if let Some((value, at)) = get(id).or_else(itself) {
            put(round, "id", value.to_owned(), at);
        }
        if auth.is_none_or(|(method, _)| method == "pubkey") {
            for (parameter, setting) in [("cert", "certs"), ("sigkey", "pubkeys"), ("rsasigkey", "pubkeys")] {
                if let Some((value, at)) = get(&format!("{side}{parameter}")).filter(|(value, _)| *value != "%cert") {
                    put(round, setting, value.to_owned(), at);
                }
            }
        }
        if let Some((value, at)) = auth {
            put(round, "auth", value.to_owned(), at);
            // It belongs to whichever side has a user.
            if let Some((user, at)) = get("eap_identity").filter(|_| value.starts_with("eap")) {
                let user = if user == "%identity" { "%any" } else { user };
                put(round, "eap_id", user.to_owned(), at);
            }
        }
    }
    let sides = [("left", "local"), ("right", "remote")].into_iter();
    let seconds: Vec<Named> = sides.filter_map(|(side, round)| second(all, side, round)).collect();
    if let Some((value, at)) = get("modeconfig") {
        let pull = if value == "push" { "no" } else { "yes" };
        put(&mut connection, "pull", pull.to_owned(), at);
    }
    updown(all, &mut child, problems);
    proposals(all, &mut connection, &mut child);
    times(all, &mut connection, &mut child, problems);
    selectors(all, &mut child);
    let word = |child: &mut Section, key: &str, setting: &str, words: &[(&str, &str)], problems: &mut Problems| {
        let Some((value, at)) = get(key) else { return };
        match words.iter().find(|(word, _)| *word == value) {
            Some((_, becomes)) => put(child, setting, (*becomes).to_owned(), at),
            None => {
                let known = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
                problems.add(at.remark(format!("invalid value for: {key}, expected {known}")));
            }
        }
    };
    let autos = [("add", "none"), ("route", "trap"), ("start", "start"), ("ignore", "none"), ("ondemand", "trap")];
    word(&mut child, "auto", "start_action", &autos, problems);
    let types =
        [("tunnel", "tunnel"), ("transport", "transport"), ("passthrough", "pass"), ("pass", "pass"), ("drop", "drop")];
    word(&mut child, "type", "mode", &types, problems);
    let actions = [("none", "none"), ("clear", "clear"), ("hold", "trap"), ("trap", "trap"), ("restart", "restart")];
    word(&mut child, "dpdaction", "dpd_action", &actions, problems);
    word(&mut child, "closeaction", "close_action", &actions, problems);
    let shunt =
        child.setting("mode").is_some_and(|mode| mode.text().is_ok_and(|mode| mode == "pass" || mode == "drop"));
    if !shunt {
        connection.sections.push(Named { name: "local".to_owned(), at: at.clone(), section: local });
        connection.sections.push(Named { name: "remote".to_owned(), at: at.clone(), section: remote });
        connection.sections.extend(seconds);
    }
    let mut children = Section::default();
    children.sections.push(Named { name: name.to_owned(), at: at.clone(), section: child });
    connection.sections.push(Named { name: "children".to_owned(), at: at.clone(), section: children });
    connection
}

/// The host behind a `%`, which stands for `rightallowany`: `%gw.example.org`.
fn by_mark(value: &str) -> Option<&str> {
    value.strip_prefix('%').filter(|rest| !["any", "any4", "any6"].contains(rest) && peer(rest).is_ok())
}

/// The second round of a side: `leftauth2`, or a login by `authby=xauthpsk` with `xauth=client`, which `left` is.
fn second(all: &Parameters, side: &str, round: &str) -> Option<Named> {
    let by_word = all.get("authby").filter(|(value, _)| value.starts_with("xauth"));
    let server = all.get("xauth").is_some_and(|(value, _)| value == "server");
    let (word, at) = match (all.get(&format!("{side}auth2")), by_word) {
        (Some((value, at)), _) => (method(value), at),
        (None, Some((_, at))) if (side == "right") == server => ("xauth", at),
        _ => return None,
    };
    let mut section = Section::default();
    let mut put = |name: &str, value: &str, at: &At| {
        let values = Values::One(value.as_bytes().to_vec());
        section.settings.push(Setting { name: name.to_owned(), values, at: at.clone() });
    };
    put("auth", word, at);
    if let Some((user, at)) = all.get("xauth_identity").filter(|_| word.starts_with("xauth")) {
        put("xauth_id", user, at);
    }
    if let Some((user, at)) = all.get("eap_identity").filter(|_| word.starts_with("eap")) {
        put("eap_id", if user == "%identity" { "%any" } else { user }, at);
    }
    for (parameter, name) in [("id2", "id"), ("cert2", "certs")] {
        if let Some((value, at)) = all.get(&format!("{side}{parameter}")) {
            put(name, value, at);
        }
    }
    Some(Named { name: format!("{round}-2"), at: at.clone(), section })
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
    let signs = |named: &&mut Named| {
        let auth = named.section.setting("auth").and_then(|setting| setting.text().ok());
        named.name.starts_with("remote") && auth.is_none_or(|auth| auth.starts_with("pubkey"))
    };
    for round in connection.sections.iter_mut().filter(signs) {
        let values = Values::One(word.as_bytes().to_vec());
        round.section.settings.push(Setting { name: "revocation".to_owned(), values, at: at.clone() });
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
    let values = Values::One(command.as_bytes().to_vec());
    child.settings.push(Setting { name: "updown".to_owned(), values, at: at.clone() });
}

/// A way of authentication by the word that swanctl.conf has for it.
fn method(word: &str) -> &str {
    match word {
        "secret" | "xauthpsk" => "psk",
        "xauthrsasig" | "rsasig" | "ecdsasig" | "rsa" | "ecdsa" => "pubkey",
        other => other,
    }
}

/// `leftsourceip` asks for addresses; `rightsourceip` gives them, from a pool that connections with the same one share.
pub(super) fn addresses(all: &Parameters, connection: &mut Section, root: &mut Section, top: &At) {
    let setting = |name: &str, value: String, at: &At| Setting {
        name: name.to_owned(),
        values: Values::One(value.into_bytes()),
        at: at.clone(),
    };
    if let Some((value, at)) = all.get("leftsourceip") {
        let word = |item: &str| match item.trim() {
            "%cfg" | "%modeconfig" | "%modecfg" => "%config".to_owned(),
            other => other.to_owned(),
        };
        let value = value.split(',').map(word).collect::<Vec<_>>().join(",");
        connection.settings.push(setting("vips", value, at));
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
        pool.settings.push(setting("addrs", item.to_owned(), at));
        if let Some((servers, at)) = all.get("rightdns") {
            pool.settings.push(setting("dns", servers.clone(), at));
        }
        pools.sections.push(Named { name, at: at.clone(), section: pool });
    }
    connection.settings.push(setting("pools", names.join(","), at));
}

/// `ike`, `esp` and `ah`: without `!` at the end, the default proposals follow.
fn proposals(all: &Parameters, connection: &mut Section, child: &mut Section) {
    for (key, setting, to) in [("ike", "proposals", connection), ("esp", "esp_proposals", &mut *child)] {
        if let Some((value, at)) = all.get(key) {
            let value = value.strip_suffix('!').map_or_else(|| format!("{value},default"), str::to_owned);
            to.settings.push(Setting {
                name: setting.to_owned(),
                values: Values::One(value.into_bytes()),
                at: at.clone(),
            });
        }
    }
    if let Some((value, at)) = all.get("ah") {
        let value = value.trim_end_matches('!').as_bytes().to_vec();
        child.settings.push(Setting { name: "ah_proposals".to_owned(), values: Values::One(value), at: at.clone() });
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
    let place = |key: &str| all.get(key).map(|(_, at)| at.clone()).unwrap_or_else(At::message);
    let put = |section: &mut Section, name: &str, seconds: u64, at: At| {
        let values = Values::One(seconds.to_string().into_bytes());
        section.settings.push(Setting { name: name.to_owned(), values, at });
    };
    // A lifetime that leaves no room for the margin is rekeyed at nine tenths.
    let soft = |hard: Duration| match hard.checked_sub(margin).filter(|soft| !soft.is_zero()) {
        Some(soft) => soft.as_secs(),
        None => (hard - hard / 10).as_secs(),
    };
    let anew = all.get("reauth").is_some_and(|(value, _)| value == "yes") && rekey;
    put(connection, "rekey_time", if rekey && !anew { soft(ike) } else { 0 }, place("ikelifetime"));
    if anew {
        put(connection, "reauth_time", soft(ike), place("ikelifetime"));
    }
    put(child, "rekey_time", if rekey { soft(life) } else { 0 }, place("lifetime"));
    put(child, "life_time", life.as_secs(), place("lifetime"));
    for (hard, margin, life, soft) in [
        ("lifebytes", "marginbytes", "life_bytes", "rekey_bytes"),
        ("lifepackets", "marginpackets", "life_packets", "rekey_packets"),
    ] {
        let number = |key: &str| all.get(key).and_then(|(value, _)| value.parse::<u64>().ok());
        if let Some(limit) = number(hard).filter(|limit| *limit > 0) {
            put(child, life, limit, place(hard));
            put(child, soft, limit.saturating_sub(number(margin).unwrap_or(limit / 10)).max(1), place(hard));
        }
    }
    if let Some((value, at)) = all.get("keyingtries") {
        let value = if value == "%forever" { "0" } else { value.as_str() };
        let values = Values::One(value.as_bytes().to_vec());
        connection.settings.push(Setting { name: "keyingtries".to_owned(), values, at: at.clone() });
    }
    let dead = all.get("dpdaction").is_some_and(|(value, _)| value != "none");
    if dead {
        let delay = parsed_delay(all);
        put(connection, "dpd_delay", delay, place("dpddelay"));
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
        child.settings.push(Setting {
            name: setting.to_owned(),
            values: Values::One(value.into_bytes()),
            at: at.clone(),
        });
    }
}
