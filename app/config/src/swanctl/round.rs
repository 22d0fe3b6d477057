//! The authentication rounds of a connection: the sections `local` and `remote` of swanctl.conf, or `local-1`, `local-2`.

use ravelin_crypto_aws_lc::PROVIDER;
use ravelin_eap::Method;
use ravelin_ike::config::IdPattern;
use ravelin_ike::limits::PROOFS;
use ravelin_pki::{Certificate, Demand, ObjectIdentifier, Restrictions};
use ravelin_types::Identity;

use super::reader::{Problems, Reader};
use super::tree::Named;
use super::xauth;
use crate::papers::{Believed, Signer, certificate, public_key};
use crate::spec::{Beside, EapSpec, OwnBy, OwnRoundSpec, PeerBy, PeerRoundSpec, RadiusSpec, Role, RoundsSpec};
use crate::value::restriction::restrictions;
use crate::value::who::{self, Who};
use crate::value::{eap, identity};

/// An authentication round of a side.
pub(super) struct Round {
    /// Who it is; `None`: nothing is said.
    pub id: Option<Who>,
    /// How it proves that.
    pub by: By,
    /// What we sign with, where the side is ours.
    pub signer: Option<Signer>,
    /// Whose signature is believed, where it is the peer's.
    pub believed: Option<Believed>,
}

/// How a side proves who it is.
pub(super) enum By {
    /// By a pre-shared key.
    Psk,
    /// By a signature, for which this is asked.
    Signature(Restrictions),
    /// As a user.
    Eap(User),
    /// By nothing but a login (xauth.rs).
    Login,
    /// Not at all (RFC 7619).
    Null,
}

/// A user of EAP.
pub(super) struct User {
    /// None: the servers of `radius` choose.
    methods: Vec<Method>,
    /// What `radius` says, the servers that know the users, and what goes with it.
    radius: RadiusSpec,
    /// What `eap_id` says.
    id: Option<Who>,
    /// What `aaa_id` says: whom the certificate of the server behind EAP names.
    server: Option<Identity>,
    /// What is asked for of certificates in TLS.
    restrictions: Restrictions,
    /// What must be known about their revocation.
    revocation: Demand,
}

impl User {
    /// Whether a certificate may prove him.
    fn has_certificate(&self) -> bool {
        self.methods.iter().any(|method| method.is_over_tls())
    }
}

/// What goes with `auth = eap-radius`.
const RADIUS: &[&str] = &["radius", "radius_accounting", "radius_authorizers"];
const NO_SIGNATURE: &str = "it goes with auth = pubkey";
const NO_GROUPS: &str =
    "of which groups a peer is, an attribute certificate or a RADIUS server says: auth = pubkey or eap-radius";

/// Reads the rounds of a side, `local` or `remote`, in their order: what `round` says, else as they are written. The first, and
/// the others.
pub(super) fn read(connection: &Named, side: &'static str, problems: &mut Problems) -> Option<(Round, Vec<Round>)> {
    let rounds = connection.section.sections.iter().filter(|named| named.name.starts_with(side));
    let login = rounds.clone().find(|named| xauth::is_login(named));
    let mut proofs: Vec<&Named> = rounds.filter(|named| !xauth::is_login(named)).collect();
    if let (Some(login), true) = (login, proofs.is_empty()) {
        return login_alone(login, side, problems).map(|round| (round, Vec::new()));
    }
    if proofs.is_empty() {
        problems.add(connection.at.remark(format!("the section `{side}` with auth = psk or pubkey is missing")));
        return None;
    }
    if let Some(beyond) = proofs.get(PROOFS) {
        problems.add(beyond.at.remark(format!("a side proves itself {PROOFS} times at most")));
    }
    let number = |named: &Named| -> u32 {
        named.section.setting("round").and_then(|setting| setting.text().ok()?.trim().parse().ok()).unwrap_or(0)
    };
    proofs.sort_by_key(|named| number(named));
    let read: Vec<Option<Round>> = proofs.into_iter().map(|named| proof(named, side, problems)).collect();
    let mut read = read.into_iter().collect::<Option<Vec<Round>>>()?.into_iter();
    Some((read.next()?, read.collect()))
}

/// What the proofs after the first come to.
pub(super) fn further(own: Vec<Round>, peer: Vec<Round>) -> Result<RoundsSpec, String> {
    let own = own.into_iter().map(own_round).collect::<Result<_, _>>()?;
    Ok(RoundsSpec { own, peer: peer.into_iter().map(peer_round).collect::<Result<_, _>>()? })
}

fn own_round(round: Round) -> Result<OwnRoundSpec, String> {
    let id = match (round.id, &round.by) {
        (Some(Who::Exactly(id)), _) => id,
        (_, By::Eap(User { id: Some(Who::Exactly(user)), .. })) => user.clone(),
        _ => return Err("a further round of the side `local` says who it is: `id = NAME`".to_owned()),
    };
    let by = match round.by {
        By::Psk => OwnBy::Psk(None),
        By::Signature(_) => OwnBy::Signature(round.signer.unwrap_or_default()),
        By::Eap(user) if round.signer.is_none() => OwnBy::Eap(user_of(&user, &id, Beside::Certificate)?, None),
        By::Eap(_) => return Err("in a further round the certificate of a user is found by his name".to_owned()),
        By::Login | By::Null => return Err("who proves nothing has no other round".to_owned()),
    };
    Ok(OwnRoundSpec { id, by })
}

fn peer_round(round: Round) -> Result<PeerRoundSpec, String> {
    let peers = round.id.map_or(IdPattern::Any, IdPattern::from);
    let by = match round.by {
        By::Psk => PeerBy::Psk(None),
        By::Signature(_) => PeerBy::Signature(round.believed.unwrap_or_default()),
        By::Eap(user) => PeerBy::Eap(users(&user, Beside::Certificate), None),
        By::Login | By::Null => return Err("who proves nothing has no other round".to_owned()),
    };
    Ok(PeerRoundSpec { peers, by })
}

/// Reads one round.
fn proof(named: &Named, side: &'static str, problems: &mut Problems) -> Option<Round> {
    let mut reader = Reader::new(&named.section, &named.at, problems);
    reader.value("round", |text| text.parse::<u32>().map_err(|_| "expected a number".to_owned()));
    let by = match reader.setting("auth") {
        Some(setting) => {
            let by = setting.text().and_then(|word| {
                method(word.trim())
                    .map_err(|why| setting.at.remark(format!("`auth` is not supported with this value: {why}")))
            });
            reader.problems.take(by)
        }
        None => Some(By::Signature(Restrictions::default())),
    };
    let by = match by {
        Some(By::Eap(user)) => {
            let id = reader.value("eap_id", who::who);
            Some(By::Eap(User { id, ..user }))
        }
        by => {
            reader.refuse(&["eap_id"], "it goes with auth = eap-mschapv2 or another method");
            by
        }
    };
    let by = match by {
        Some(By::Eap(user)) if user.methods.is_empty() => servers(&mut reader, side, user).map(By::Eap),
        by => {
            reader.refuse(RADIUS, "it goes with auth = eap-radius");
            if side == "remote" && !matches!(by, Some(By::Signature(_))) {
                reader.refuse(&["groups"], NO_GROUPS);
            }
            by
        }
    };
    let by = match by {
        // Whichever the other side asks for.
        Some(By::Eap(user)) if side == "local" && user.methods == eap::every_method() => {
            let tls = named.section.setting("certs").map(|_| Method::Tls);
            let methods = tls.into_iter().chain([Method::Ttls, Method::Peap]).chain(user.methods).collect();
            Some(By::Eap(User { methods, ..user }))
        }
        by => by,
    };
    let by = match by {
        Some(By::Eap(user)) if side == "local" && user.methods.iter().any(|method| method.is_over_tls()) => {
            let server = reader.value("aaa_id", who::id);
            Some(By::Eap(User { server, ..user }))
        }
        by => {
            if side == "local" {
                reader.refuse(&["aaa_id"], "it is whom the certificate of the server behind auth = eap-tls names");
            }
            by
        }
    };
    reader.refuse(&["xauth_id"], "it goes with auth = xauth");
    let by = by?;
    let restrictions = if let By::Signature(asked) = &by { asked.clone() } else { Restrictions::default() };
    let signs = matches!(by, By::Signature(_));
    // Both ends of a method over TLS may have a certificate.
    let has_certificate = match &by {
        By::Eap(user) => side == "local" && user.has_certificate(),
        By::Psk | By::Signature(_) | By::Login | By::Null => signs,
    };
    let certificates = match has_certificate {
        true => reader.files("certs", certificate),
        false => {
            reader.refuse(&["certs"], NO_SIGNATURE);
            Vec::new()
        }
    };
    let keys = match signs {
        true => reader.files("pubkeys", public_key),
        false => {
            reader.refuse(&["pubkeys"], NO_SIGNATURE);
            Vec::new()
        }
    };
    let first = certificates.first().map(Certificate::subject).filter(|subject| !subject.is_empty());
    let first = first.map(|subject| Who::Exactly(Identity::Dn(subject.clone())));
    let mut round = Round { id: None, by, signer: None, believed: None };
    if side == "local" {
        // strongSwan knows a key alone by the SHA-1 of its SubjectPublicKeyInfo.
        let by_key = || Some(Who::Exactly(Identity::KeyId((PROVIDER.sha1)(&[keys.first()?.as_slice()]).to_vec())));
        round.id = reader.value("id", |text| who::id(text).map(Who::Exactly)).or(first).or_else(by_key);
        let signer = Signer { certificates, keys, restrictions };
        round.signer = (signs || signer != Signer::default()).then_some(signer);
    } else {
        round.id = reader.value("id", who::who).or(first);
        let believed = believed(&mut reader, signs, &mut round.by);
        round.believed = signs.then_some(Believed { certificates, keys, restrictions, ..believed });
    }
    let tokens = ["cert", "cacert"];
    let sections = named.section.sections.iter();
    for token in sections.filter(|inner| tokens.iter().any(|token| inner.name.starts_with(token))) {
        let why = format!(
            "`{}`: certificates on tokens are not read; name their files in certs and cacerts (keys on tokens are secrets.token)",
            token.name
        );
        reader.problems.add(token.at.remark(why));
    }
    reader.finish(&tokens);
    Some(round)
}

/// The round of a side that does nothing but log in.
fn login_alone(named: &Named, side: &str, problems: &mut Problems) -> Option<Round> {
    let read = |text: &str| if side == "local" { who::id(text).map(Who::Exactly) } else { who::who(text) };
    let id = match named.section.setting("id") {
        Some(setting) => {
            let id = setting.text().and_then(|text| read(text.trim()).map_err(|why| setting.wrong(why)));
            Some(problems.take(id)?)
        }
        None => None,
    };
    Some(Round { id, by: By::Login, signer: None, believed: None })
}

/// Whom the side of the peer is believed by, beyond its own certificates and keys.
fn believed(reader: &mut Reader<'_>, signs: bool, by: &mut By) -> Believed {
    let demands = [("relaxed", Demand::Relaxed), ("ifuri", Demand::IfUri), ("strict", Demand::Strict)];
    if !signs {
        reader.refuse(&["cacerts", "ca_id", "cert_policy"], NO_SIGNATURE);
        match by {
            // Whoever takes none of the methods with a password may prove himself by one, too.
            By::Eap(user) if user.has_certificate() || user.methods == eap::every_method() => {
                user.revocation = reader.word("revocation", &demands).unwrap_or_default();
            }
            _ => reader.only("revocation", &["relaxed"], "it goes with auth = pubkey or eap-tls"),
        }
        return Believed::default();
    }
    let policy = |text: &str| text.parse::<ObjectIdentifier>().map_err(|_| format!("`{text}` is no object identifier"));
    let authority = |text: &str| match who::id(text)? {
        Identity::Dn(name) => Ok(name),
        _ => Err("expected the distinguished name of an authority, like C=CH, O=Example, CN=Sales CA".to_owned()),
    };
    let revocation = reader.word("revocation", &demands);
    Believed {
        authorities: reader.files("cacerts", certificate),
        through: reader.value("ca_id", authority),
        groups: reader.list("groups", |text| Ok(text.to_owned())).unwrap_or_default(),
        policies: reader.list("cert_policy", policy).unwrap_or_default(),
        revocation: revocation.unwrap_or_default(),
        ..Believed::default()
    }
}

/// What a word of `auth` means.
fn method(word: &str) -> Result<By, String> {
    match word.to_ascii_lowercase().as_str() {
        "psk" => Ok(By::Psk),
        // Not a word of strongSwan; Libreswan has it.
        "null" => Ok(By::Null),
        name if ["pubkey", "rsa", "ecdsa", "ed25519", "ed448", "dsa", "ike:"]
            .iter()
            .any(|start| name.starts_with(start)) =>
        {
            restrictions(name).map(By::Signature).map_err(|bad| bad.to_string())
        }
        "eap" | "eap-dynamic" => Ok(By::Eap(as_user(eap::every_method()))),
        "eap-radius" => Ok(By::Eap(as_user(Vec::new()))),
        name if name.starts_with("eap-") => {
            let (name, asked) = name.split_once(':').map_or((name, None), |(name, asked)| (name, Some(asked)));
            let user = as_user(eap::methods(name).map_err(|bad| bad.to_string())?);
            let Some(asked) = asked else { return Ok(By::Eap(user)) };
            if !user.methods.iter().all(|method| method.is_over_tls()) {
                return Err(
                    "keys and hashes are those of certificates in TLS: eap-tls, eap-ttls or eap-peap".to_owned()
                );
            }
            let restrictions = restrictions(asked).map_err(|bad| bad.to_string())?;
            Ok(By::Eap(User { restrictions, ..user }))
        }
        _ => Err("expected psk, pubkey, null, xauth, or eap-mschapv2 or another method".to_owned()),
    }
}

fn as_user(methods: Vec<Method>) -> User {
    let (restrictions, revocation) = (Restrictions::default(), Demand::default());
    User { methods, radius: RadiusSpec::default(), id: None, server: None, restrictions, revocation }
}

/// The servers of `auth = eap-radius`, which strongSwan has in strongswan.conf.
fn servers(reader: &mut Reader<'_>, side: &str, user: User) -> Option<User> {
    let servers = reader.list("radius", |text| eap::radius_server(text).map_err(|bad| bad.message));
    let accounting = reader.list("radius_accounting", |text| eap::accounting_server(text).map_err(|bad| bad.message));
    let authorizers = reader.list("radius_authorizers", |text| identity::host(text).map_err(|bad| bad.message));
    let groups = match side {
        "remote" => reader.list("groups", |text| eap::group(text).map_err(|bad| bad.message)).unwrap_or_default(),
        _ => Vec::new(),
    };
    match servers {
        _ if side == "local" => reader.wrong("`auth = eap-radius` is for the side of the users, `remote`"),
        Some(servers) if !servers.is_empty() => {
            let (accounting, authorizers) = (accounting.unwrap_or_default(), authorizers.unwrap_or_default());
            return Some(User { radius: RadiusSpec { servers, accounting, authorizers, groups }, ..user });
        }
        _ => reader.wrong(
            "`auth = eap-radius` needs `radius = ADDRESS[:PORT], ...` beside it, the servers that strongswan.conf has for \
             strongSwan; their secret is the one of secrets.ike with `id = ADDRESS` of the first",
        ),
    }
    None
}

/// Which side is a user of EAP, if one is; without `eap_id` it is who it is in IKE. Both sides by one method: it proves both
/// (of several those that do so), and the user is the side that has somebody to initiate to.
pub(super) fn user(own: &By, peer: &By, own_id: &Identity, initiates: bool) -> Result<Option<EapSpec>, String> {
    match (own, peer) {
        (By::Psk | By::Signature(_) | By::Null, By::Psk | By::Signature(_) | By::Null) => Ok(None),
        (By::Null, By::Eap(_)) | (By::Eap(_), By::Null) => {
            Err("who asks a user of EAP proves first who he is".to_owned())
        }
        (By::Login, By::Signature(_)) | (By::Signature(_), By::Login) => Ok(None),
        (By::Login, _) | (_, By::Login) => {
            Err("a side that proves nothing but a login takes auth = pubkey on the other one".to_owned())
        }
        (By::Eap(own), By::Eap(peer)) => {
            // Whichever the other side asks for.
            let any = initiates && peer.methods == eap::every_method();
            let both = |method: &Method| method.is_mutual() && (any || peer.methods.contains(method));
            let common: Vec<Method> = own.methods.iter().copied().filter(both).collect();
            let user = match initiates {
                true => user_of(own, own_id, Beside::Nothing)?,
                false => users(peer, Beside::Nothing),
            };
            if common.is_empty() {
                return Err("EAP on both sides takes one method that proves both: eap-tls, eap-ttls, eap-peap, eap-aka-prime, eap-aka or eap-sim".to_owned());
            }
            Ok(Some(EapSpec { methods: common, revocation: peer.revocation, ..user }))
        }
        (By::Eap(own), peer) => user_of(own, own_id, beside(peer)).map(Some),
        (own, By::Eap(peer)) => Ok(Some(users(peer, beside(own)))),
    }
}

fn beside(other: &By) -> Beside {
    match other {
        By::Psk => Beside::Psk,
        By::Signature(_) => Beside::Certificate,
        By::Eap(_) | By::Login | By::Null => Beside::Nothing,
    }
}

fn user_of(own: &User, own_id: &Identity, beside: Beside) -> Result<EapSpec, String> {
    let user = match &own.id {
        Some(Who::Exactly(id)) => id.clone(),
        Some(Who::Like(_)) => return Err("`eap_id` of the side `local` is one user".to_owned()),
        None => own_id.clone(),
    };
    Ok(EapSpec {
        role: Role::User(user),
        methods: own.methods.clone(),
        beside,
        radius: RadiusSpec::default(),
        server: own.server.clone(),
        restrictions: own.restrictions.clone(),
        revocation: own.revocation,
    })
}

fn users(peer: &User, beside: Beside) -> EapSpec {
    let ask_identity = peer.id.is_some();
    let users = match &peer.id {
        Some(Who::Exactly(id)) => IdPattern::Exactly(id.clone()),
        Some(Who::Like(pattern)) => pattern.clone(),
        None => IdPattern::Any,
    };
    let role = Role::Authenticator { ask_identity, users, any_identity: false };
    // Whoever takes none of the methods with a password may prove himself by a certificate, where we have one of our own.
    let tls = beside == Beside::Certificate && peer.methods == eap::every_method();
    EapSpec {
        role,
        methods: peer.methods.iter().copied().chain(tls.then_some(Method::Tls)).collect(),
        beside,
        radius: peer.radius.clone(),
        server: None,
        restrictions: peer.restrictions.clone(),
        revocation: peer.revocation,
    }
}
