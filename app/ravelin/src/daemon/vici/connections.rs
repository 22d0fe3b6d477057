//! Connections as they are configured, as sections with strongSwan's names.

use ravelin_config::model::RemoteEntry;
use ravelin_config::spec::{Beside, EapSpec, OwnBy, PeerBy, RemoteSpec, Role, XauthSpec};
use ravelin_control::Message;
use ravelin_ike::config::{IkeVersion, V1};
use ravelin_pki::{Certificate, Demand};

use super::names;
use crate::daemon::listings::report::yes_no;

/// A connection with the versions of IKE that it has; `children` are the policies that belong to it.
pub fn connection(entry: &RemoteEntry, version: &str, children: Message) -> Message {
    let spec = &entry.spec;
    let mut shown = Message::new();
    put_addresses(&mut shown, spec);
    shown.put("local_port", 500);
    shown.put("remote_port", 500);
    shown.put("version", version);
    shown.put("reauth_time", spec.extensions.reauth.map_or(0, |time| time.as_secs()));
    shown.put("rekey_time", spec.lifetime.as_secs());
    shown.put("unique", format!("UNIQUE_{}", spec.extensions.unique_word().to_ascii_uppercase()));
    if let Some(liveness) = spec.liveness.after() {
        shown.put("dpd_delay", liveness.as_secs());
    }
    if let IkeVersion::V1(V1 { push: true, .. }) = spec.version {
        shown.put("pull", "no");
    }
    if let Some(id) = &spec.extensions.ppk_id {
        shown.put("ppk_id", id);
        shown.put("ppk_required", yes_no(spec.extensions.ppk_required));
        shown.put("ppk_in", spec.extensions.ppk_in_word());
    }
    put_first_round(&mut shown, spec);
    put_later_rounds(&mut shown, spec);
    put_xauth(&mut shown, spec);
    // Ours: what there is no field for is in it, too.
    shown.put("command", spec.line());
    shown.put_section("children", children);
    shown
}

/// A connection without a peer.
pub fn nobody(children: Message) -> Message {
    let mut shown = Message::new();
    shown.put_list("local_addrs", ["%any"]);
    shown.put_list("remote_addrs", ["%any"]);
    shown.put("version", "IKEv1/2");
    shown.put_section("children", children);
    shown
}

fn put_addresses(shown: &mut Message, spec: &RemoteSpec) {
    match &spec.loaded {
        Some(loaded) => {
            shown.put_list("local_addrs", &loaded.local_addrs);
            shown.put_list("remote_addrs", &loaded.remote_addrs);
        }
        None => {
            let own = spec.own_hosts().next().map_or_else(|| "%any".to_owned(), |own| own.to_string());
            shown.put_list("local_addrs", [own]);
            let hosts = spec.hosts().map(|host| if host.is_anybody() { format!("%{host}") } else { host.to_string() });
            shown.put_list("remote_addrs", hosts);
        }
    }
}

fn put_first_round(shown: &mut Message, spec: &RemoteSpec) {
    let loaded = spec.loaded.as_ref();
    let own = match loaded.is_some_and(|loaded| loaded.own_address) {
        true => "%any".to_owned(),
        false => names::identity(&spec.own_id),
    };
    let peer = spec.peers.as_ref().map_or_else(|| names::identity(&spec.peer_id), ToString::to_string);
    let [ours, theirs] = classes(spec);
    let signer = loaded.and_then(|loaded| loaded.signs.as_ref());
    let mut local = authentication(ours, own, signer.map_or(&[], |signer| &signer.certificates), &[]);
    let mut remote = match loaded.and_then(|loaded| loaded.believes.as_ref()) {
        Some(believed) => {
            let mut remote = authentication(theirs, peer, &believed.certificates, &believed.authorities);
            put_groups(&mut remote, &believed.groups);
            remote.with("revocation", demand(believed.revocation))
        }
        None => authentication(theirs, peer, &[], &[]),
    };
    if let Some(eap) = &spec.eap {
        put_user(if eap.initiates() { &mut local } else { &mut remote }, eap);
    }
    shown.put_section("local-1", local);
    shown.put_section("remote-1", remote);
}

/// The words for how this host and the peer prove who they are.
fn classes(spec: &RemoteSpec) -> [&'static str; 2] {
    let (signs, believes) = match &spec.loaded {
        Some(loaded) => (loaded.signs.is_some(), loaded.believes.is_some()),
        None => {
            let by_key =
                spec.signature.is_some() || spec.eap.as_ref().is_some_and(|eap| eap.beside == Beside::Certificate);
            (by_key, by_key)
        }
    };
    let key = |signs: bool| if signs { "public key" } else { "pre-shared key" };
    match &spec.eap {
        Some(eap) if eap.beside == Beside::Nothing => ["EAP", "EAP"],
        Some(eap) if eap.initiates() => ["EAP", key(believes)],
        Some(_) => [key(signs), "EAP"],
        None => [key(signs), key(believes)],
    }
}

fn put_later_rounds(shown: &mut Message, spec: &RemoteSpec) {
    for (number, round) in (2..).zip(&spec.rounds.own) {
        let (class, signer, eap) = match &round.by {
            OwnBy::Psk(_) => ("pre-shared key", None, None),
            OwnBy::Signature(signer) => ("public key", Some(signer), None),
            OwnBy::Certificates(_) => ("public key", None, None),
            OwnBy::Eap(eap, _) => ("EAP", None, Some(eap)),
        };
        let certificates = signer.map_or(&[][..], |signer| &signer.certificates);
        let mut shown_round = authentication(class, names::identity(&round.id), certificates, &[]);
        eap.into_iter().for_each(|eap| put_user(&mut shown_round, eap));
        shown.put_section(&format!("local-{number}"), shown_round);
    }
    for (number, round) in (2..).zip(&spec.rounds.peer) {
        let id = round.peers.to_string();
        let shown_round = match &round.by {
            PeerBy::Psk(_) => authentication("pre-shared key", id, &[], &[]),
            PeerBy::Signature(believed) => {
                let round = authentication("public key", id, &believed.certificates, &believed.authorities);
                round.with("revocation", demand(believed.revocation))
            }
            PeerBy::Authorities => authentication("public key", id, &[], &[]),
            PeerBy::Eap(eap, _) => {
                let mut round = authentication("EAP", id, &[], &[]);
                put_user(&mut round, eap);
                round
            }
        };
        shown.put_section(&format!("remote-{number}"), shown_round);
    }
}

fn put_xauth(shown: &mut Message, spec: &RemoteSpec) {
    let class = || Message::new().with("class", "XAuth");
    match &spec.xauth {
        Some(XauthSpec::Users(_)) => shown.put_section("remote-2", class()),
        Some(XauthSpec::User(user)) => {
            shown.put_section("remote-2", class().with("xauth_id", user));
        }
        Some(XauthSpec::Login(user)) => {
            shown.put_section("local-2", class().with("xauth_id", user));
        }
        Some(XauthSpec::LoginFile(_)) => shown.put_section("local-2", class()),
        None => {}
    }
}

/// What is to be said of the user of a round.
fn put_user(round: &mut Message, eap: &EapSpec) {
    let first = eap.methods.first().map_or("EAP-RADIUS", |method| method.name());
    round.put("eap-type", first.replace('-', "_"));
    match &eap.role {
        Role::User(user) => round.put("eap_id", names::identity(user)),
        Role::Authenticator { users, .. } => {
            round.put("eap_id", users);
            if eap.methods.iter().any(|method| method.is_over_tls()) {
                round.put("revocation", demand(eap.revocation));
            }
        }
    }
    put_groups(round, &eap.radius.groups);
}

fn put_groups(round: &mut Message, groups: &[String]) {
    if !groups.is_empty() {
        round.put_list("groups", groups);
    }
}

fn authentication(class: &str, id: String, certificates: &[Certificate], authorities: &[Certificate]) -> Message {
    let mut round = Message::new().with("class", class).with("id", id);
    for name in ["groups", "cert_policy"] {
        round.put_list::<&str>(name, []);
    }
    round.put_list("certs", certificates.iter().map(Certificate::subject));
    round.put_list("cacerts", authorities.iter().map(Certificate::subject));
    round
}

/// A word of `revocation`.
fn demand(demand: Demand) -> &'static str {
    match demand {
        Demand::Relaxed => "relaxed",
        Demand::IfUri => "ifuri",
        Demand::Strict => "strict",
    }
}
