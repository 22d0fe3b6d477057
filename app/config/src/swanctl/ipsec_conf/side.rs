//! The two sides of a `conn`: where each is, who it is, and how it proves that.

use super::{Parameters, get};
use crate::swanctl::tree::{At, Named, Section};
use crate::value::host::Host;
use crate::value::identity::peer;

/// `left` or `right`, where it is a host.
fn side_host<'a>(all: &'a Parameters, side: &str) -> Option<(&'a str, &'a At)> {
    get(all, side).filter(|(value, _)| *value != "%defaultroute")
}

/// Where a side is.
pub(super) fn host(all: &Parameters, side: &str, addresses: &str, connection: &mut Section) {
    let Some((value, at)) = side_host(all, side) else { return };
    let anybody =
        side == "right" && (get(all, "rightallowany").is_some_and(|(it, _)| it == "yes") || by_mark(value).is_some());
    let rest = if anybody { ",0.0.0.0/0,::/0" } else { "" };
    connection.add(addresses, &format!("{}{rest}", by_mark(value).unwrap_or(value)), at);
}

/// The first round of a side: who it is and how it proves that.
pub(super) fn first(all: &Parameters, side: &str, round: &mut Section) {
    // A side that is one host is that also where it says nothing of who it is; its certificate has the last word.
    let papers = ["cert", "sigkey", "rsasigkey"].iter().any(|it| all.contains_key(&format!("{side}{it}")));
    let by_host = || side_host(all, side).map(|(value, at)| (by_mark(value).unwrap_or(value), at));
    let auth = get(all, &format!("{side}auth")).or_else(|| get(all, "authby"));
    // Whoever logs in by EAP may be answered by that alone.
    let by_eap = get(all, "leftauth").filter(|(word, _)| word.starts_with("eap"));
    let any = side == "right" && auth.is_some_and(|(word, _)| word == "any");
    let auth = if any { by_eap.or(auth) } else { auth };
    let auth = auth.map(|(value, at)| (method(value), at));
    let proves = auth.is_none_or(|(method, _)| ["psk", "pubkey"].contains(&method));
    let is_one = |host: Host| host.name().is_some() || side == "right" && !host.is_anybody();
    let itself = || by_host().filter(|(value, _)| proves && !papers && peer(value).is_ok_and(is_one));
    if let Some((value, at)) = get(all, &format!("{side}id")).or_else(itself) {
        round.add("id", value, at);
    }
    let signs = auth.is_none_or(|(method, _)| method == "pubkey");
    // A user of EAP over TLS may have a certificate.
    let over_tls = |method: &str| ["eap", "eap-tls", "eap-ttls", "eap-peap"].contains(&method);
    let has = signs || side == "left" && auth.is_some_and(|(method, _)| over_tls(method));
    for (parameter, setting, put) in
        [("cert", "certs", has), ("sigkey", "pubkeys", signs), ("rsasigkey", "pubkeys", signs)]
    {
        let value = get(all, &format!("{side}{parameter}")).filter(|(value, _)| put && *value != "%cert");
        if let Some((value, at)) = value {
            round.add(setting, value, at);
        }
    }
    if let Some((method, at)) = auth {
        round.add("auth", method, at);
        user(all, method, round);
    }
}

/// Who the user of a round is: it belongs to whichever side has one.
fn user(all: &Parameters, method: &str, round: &mut Section) {
    if let Some((user, at)) = get(all, "xauth_identity").filter(|_| method.starts_with("xauth")) {
        round.add("xauth_id", user, at);
    }
    if let Some((user, at)) = get(all, "eap_identity").filter(|_| method.starts_with("eap")) {
        round.add("eap_id", if user == "%identity" { "%any" } else { user }, at);
    }
}

/// The second round of a side: `leftauth2`, or a login by `authby=xauthpsk` with `xauth=client`, which `left` is.
pub(super) fn second(all: &Parameters, side: &str, round: &str) -> Option<Named> {
    let by_word = all.get("authby").filter(|(value, _)| value.starts_with("xauth"));
    let server = all.get("xauth").is_some_and(|(value, _)| value == "server");
    let (word, at) = match (all.get(&format!("{side}auth2")), by_word) {
        (Some((value, at)), _) => (method(value), at),
        (None, Some((_, at))) if (side == "right") == server => ("xauth", at),
        _ => return None,
    };
    let mut section = Section::default();
    section.add("auth", word, at);
    user(all, word, &mut section);
    for (parameter, name) in [("id2", "id"), ("cert2", "certs")] {
        if let Some((value, at)) = all.get(&format!("{side}{parameter}")) {
            section.add(name, value, at);
        }
    }
    Some(Named { name: format!("{round}-2"), at: at.clone(), section })
}

/// A way of authentication by the word that swanctl.conf has for it.
fn method(word: &str) -> &str {
    match word {
        "secret" | "xauthpsk" => "psk",
        "xauthrsasig" | "rsasig" | "ecdsasig" | "rsa" | "ecdsa" => "pubkey",
        other => other,
    }
}

/// The host behind a `%`, which stands for `rightallowany`: `%gw.example.org`.
fn by_mark(value: &str) -> Option<&str> {
    value.strip_prefix('%').filter(|rest| !["any", "any4", "any6"].contains(rest) && peer(rest).is_ok())
}
