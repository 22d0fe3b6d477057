//! `ike remote`: flags as written, and what they mean together.

mod auth;
mod names;
mod rounds;
mod suites;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use ravelin_ike::config::{IkeVersion, Liveness, Remote, Retransmission, V1};
use ravelin_pki::Restrictions;
use ravelin_types::if_id::IfIds;
use ravelin_types::transform::{IntegId, PrfId, Transform};

use self::auth::{AuthWord, NullSide, auth_word, eap_user};
use self::names::Names;
use self::rounds::{RoundWord, round};
use super::extensions::ExtensionArgs;
use super::internal::InternalArgs;
use super::policy::{List, ListParser};
use super::{Command, Conflict};
use crate::spec::{GATEWAYS, NullSides, RemoteSpec, Revocation, Which};
use crate::value::algorithm::{self, Encr};
use crate::value::eap;
use crate::value::host::{Host, Server};
use crate::value::restriction::restrictions;
use crate::value::who::{self, IdWord, Who};
use crate::value::{identity, if_id, name, quantity};

/// The shortest login time: a conversation of a few round trips.
const MIN_LOGIN: Duration = Duration::from_secs(5);
/// The longest: half-open IKE SAs are few, and kept so long.
const MAX_LOGIN: Duration = Duration::from_secs(3600);

/// The flags of `ike remote`.
#[derive(Clone, Debug, Args)]
#[command(disable_help_flag = true)]
pub struct RemoteArgs {
    /// Print help
    #[arg(long, action = clap::ArgAction::HelpLong, display_order = 1001)]
    help: Option<bool>,
    /// Name of the remote, known to this host only
    #[arg(short = 'n', long, value_name = "NAME", value_parser = name)]
    name: Option<String>,
    /// IKE version: 1 or 2
    #[arg(short = 'z', long = "version", value_name = "NUMBER", default_value = "2", value_parser = clap::value_parser!(u8).range(1..=2))]
    version: u8,
    /// IKEv1: aggressive mode instead of main mode. Whoever gets its second message, by asking for it, can look for the
    /// pre-shared key at leisure
    #[arg(long)]
    aggressive: bool,
    /// IKEv1: the remote logs in (XAuth) as one of the users of this file, a line NAME PASSWORD for each
    #[arg(long, value_name = "FILE", conflicts_with = "xauth_login")]
    xauth_users: Option<PathBuf>,
    /// IKEv1: log in at the remote (XAuth) with the line NAME PASSWORD of this file
    #[arg(long, value_name = "FILE")]
    xauth_login: Option<PathBuf>,
    /// Start negotiations with this remote
    #[arg(short = 'w', long)]
    initiate: bool,
    /// Accept negotiations that this remote starts
    #[arg(short = 'u', long)]
    accept: bool,
    /// Address or name of the remote; any (IPv4) or any6 for peers that come from wherever they are (-u). Several -r are tried
    /// in this order when there is no answer: more addresses of the remote, or gateways that stand in for each other. A name
    /// is looked up each time it is tried, and again and again for a remote that comes by itself (-u)
    #[arg(short = 'r', long, value_name = "ADDRESS", value_parser = identity::peer)]
    endpoint: Vec<Host>,
    /// Our address towards it, or a name of ours that is looked up like those of -r (default: any)
    #[arg(long, value_name = "ADDRESS", value_parser = identity::own)]
    local: Option<Host>,
    /// Identity expected from the remote: ipv4:, ipv6:, fqdn:, rfc822:, asn1dn:, keyid: (default: its address);
    /// asn1dn: without a name is the subject of its certificate. For several peers any, *@example.org, *.example.org,
    /// 10.1.0.0/16, or names of certificates like O=Example, CN=*
    #[arg(short = 'f', long, value_name = "ID", value_parser = who::word)]
    peer_id: Option<IdWord>,
    /// Identity sent to the remote (default: the address or name of --local; without that it must be given)
    #[arg(short = 'g', long, value_name = "ID", value_parser = who::word)]
    own_id: Option<IdWord>,
    /// How the two authenticate: PresharedKey (or PSK), or RSASIG: by the signatures of certificates of any kind, or EAP
    /// methods, best first: EAP-TLS, EAP-TTLS, EAP-TTLS-PAP (the password as it is inside TLS), EAP-PEAP, EAP-MSCHAPV2,
    /// EAP-GTC, EAP-MD5, EAP-AKA-PRIME, EAP-AKA, EAP-SIM (by a SIM in software). With EAP the side that starts (-w) is a user with a
    /// password, or with EAP-TLS a certificate (-c), the other (-u) has a certificate. HYBRID: IKEv1, one side by a
    /// certificate, the other by an XAuth login alone. NULL: neither proves anything (RFC 7619); such a remote has the traffic
    /// of its own address alone
    #[arg(short = 'm', long, default_value = "PresharedKey", value_parser = auth_word)]
    auth: AuthWord,
    /// One side proves nothing of who it is (RFC 7619), own or peer, where the other does by -m PresharedKey or RSASIG
    #[arg(long, value_name = "SIDE", value_enum)]
    null: Option<NullSide>,
    /// The user of EAP: with -w who we are (default: as -g), with -u whom we take, which may be a pattern like
    /// *@example.org (default: everybody with a password)
    #[arg(long, value_name = "ID", value_parser = eap_user)]
    eap_id: Option<Who>,
    /// Whom the certificate of the server behind EAP-TLS, TTLS or PEAP must name (default: as -f)
    #[arg(long, value_name = "ID", value_parser = eap_user)]
    aaa_id: Option<Who>,
    /// RADIUS servers that know the users and choose the methods, best first, each ADDRESS or ADDRESS:PORT, or with a name in
    /// the place of the address, for -m EAP-RADIUS; the file of -h has the secret shared with them
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = eap::radius_server)]
    radius: Vec<Server>,
    /// RADIUS servers that keep accounts of the users' sessions, best first, as with --radius (default: no accounts)
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = eap::accounting_server)]
    radius_accounting: Vec<Server>,
    /// Addresses of those who may end the users' sessions and change their times, at UDP port 3799 (RFC 5176), with the secret
    /// of -h (default: nobody)
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = identity::host)]
    radius_authorizers: Vec<IpAddr>,
    /// Groups of which a RADIUS server must say that the user is in one, by Filter-Id or Class (default: it need not)
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = eap::group)]
    user_groups: Vec<String>,
    /// The side that is no user proves itself by the EAP method alone (RFC 5998), which must prove both: EAP-TLS, EAP-TTLS, EAP-PEAP,
    /// EAP-AKA-PRIME, EAP-AKA, EAP-SIM
    #[arg(long)]
    eap_only: bool,
    /// What this host proves after that (RFC 4739), in the order of several: PSK,id=ID,file=FILE, or
    /// RSASIG,id=ID,certificate=FILE, or EAP-MSCHAPV2,user=ID,file=FILE as a user whose password the file has
    #[arg(long, value_name = "PROOF", value_parser = round)]
    then_own: Vec<RoundWord>,
    /// What the remote must prove after that: PSK,id=ID,file=FILE, or RSASIG,id=ID, or EAP-MSCHAPV2,user=ID,file=FILE with the
    /// passwords of users; the identities may be patterns. It has what the remote has when it has proven all
    #[arg(long, value_name = "PROOF", value_parser = round)]
    then_peer: Vec<RoundWord>,
    /// File with the pre-shared key, or the password of the user, or with -u the passwords of users in the form of
    /// ipsec.secrets (carol : EAP "her password"), readable by its owner only. With EAP-SIM and AKA the password is that of a
    /// SIM: K and OPc in 64 hexadecimal digits, or for EAP-SIM triplets RAND,SRES,Kc
    #[arg(short = 'h', long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Encryption algorithms, best first [default: AES128-GCM,AES256-GCM,CHACHA20-POLY1305,AES128-CBC,AES256-CBC; IKEv1:
    /// AES256-CBC,AES128-CBC]
    #[arg(short = 'e', long, value_name = "LIST", value_parser = ListParser(algorithm::ike_encr_list))]
    encryption: Option<List<Encr>>,
    /// Integrity algorithms for ciphers that do not authenticate by themselves; with IKEv1 the hashes
    /// [default: HMAC-SHA-2-256,HMAC-SHA-2-384,HMAC-SHA-2-512]
    #[arg(short = 'a', long, value_name = "LIST", value_parser = ListParser(algorithm::ike_integ_list))]
    integrity: Option<List<IntegId>>,
    /// Pseudorandom functions [default: HMAC-SHA-2-256,HMAC-SHA-2-384,HMAC-SHA-2-512]
    #[arg(short = 'p', long, value_name = "LIST", value_parser = ListParser(algorithm::prf_list))]
    prf: Option<List<PrfId>>,
    /// Key exchange groups; KE1_ and a name: the first additional key exchange (RFC 9370), KE1_NONE: not needed
    /// [default: CURVE25519,ECP256,ECP384,ECP521,MODP2048,MODP3072,MODP4096, with KE1_ML-KEM-768 and without; IKEv1:
    /// ECP256,MODP2048,ECP384,MODP3072,CURVE25519]
    #[arg(short = 'd', long, value_name = "LIST", value_parser = ListParser(algorithm::ke_transforms))]
    groups: Option<List<Transform>>,
    /// Lifetime of the IKE SA; before its end it is replaced
    #[arg(short = 'l', long, value_name = "TIME", default_value = "86400", value_parser = quantity::duration)]
    lifetime: Duration,
    /// Time after which a request is first sent again; it doubles each time
    #[arg(short = 'i', long, value_name = "TIME", default_value = "1", value_parser = quantity::duration)]
    retransmit: Duration,
    /// Number of times a request is sent before the remote is taken for dead
    #[arg(long, value_name = "NUMBER", default_value = "7", value_parser = clap::value_parser!(u32).range(1..=20))]
    tries: u32,
    /// Ask whether the remote is alive when something is sent to it after this time without a sign of it, or off
    #[arg(long, value_name = "TIME", default_value = "60", value_parser = quantity::duration_or_off)]
    liveness: TimeOrOff,
    /// Ask each such time, also where nothing is sent: the SAs of a peer that went without a word go soon
    #[arg(long)]
    liveness_regular: bool,
    /// How long a user of the remote may take to log in by EAP or XAuth; so long the SPIs of a half-open IKE SA are kept
    /// [default: 120]
    #[arg(long, value_name = "TIME", value_parser = quantity::duration)]
    login_time: Option<Duration>,
    /// Carry ESP in UDP (RFC 3948) even where there is no NAT, for firewalls that let no ESP pass
    #[arg(long)]
    encap: bool,
    /// The number of the virtual interface of policies with --if-id %ike: NUMBER, or IN/OUT, %unique or %unique-dir: each IKE
    /// SA has its own, which its policies share (the kernel's data plane only)
    #[arg(long, value_name = "NUMBER", value_parser = if_id::if_ids)]
    if_id: Option<IfIds>,
    #[command(flatten)]
    internal: InternalArgs,
    #[command(flatten)]
    extensions: ExtensionArgs,
    /// View the remotes, or with -n one
    #[arg(short = 'v', long, conflicts_with = "delete")]
    view: bool,
    /// Delete the remote of this name, or ALLREMOTES; SAs in use stay
    #[arg(short = 'x', long, value_name = "NAME", value_parser = name)]
    delete: Option<String>,
    /// View as JSON
    #[arg(long)]
    json: bool,
    /// Certificate of the remote, if only this one is accepted
    #[arg(short = 'b', long, value_name = "FILE")]
    peer_certificate: Option<PathBuf>,
    /// Certificates sent to the remote, our own first; its key is given with ce x509 -a FILE -k KEYFILE
    #[arg(short = 'c', long, value_name = "FILES", value_delimiter = ',')]
    certificate: Vec<PathBuf>,
    /// What must be known of certificates: relaxed, that none is known to be revoked; ifuri, that those are not which say where
    /// that is to be learnt; strict, that none is
    #[arg(long, value_name = "HOW", value_enum, default_value_t)]
    revocation: Revocation,
    /// Keys and signatures of the remote that are accepted, certificates of its chain included: a kind of key (pubkey, rsa,
    /// rsa/pss, ecdsa, ed25519, ed448, dsa) with its least length in bits and hashes, as in rsa-4096-ecdsa-384 or
    /// pubkey-sha384-sha512; ike: in front, as in ike:pubkey-sha384: of its own signature alone. Keys of DSA and signatures with
    /// SHA-1 are accepted where they are named, alone: dsa, dsa-2048-sha256, rsa-sha1
    #[arg(long, value_name = "WORDS", value_parser = restrictions)]
    peer_signatures: Option<Restrictions>,
    /// Hashes by which this host signs, best first, in the same words; with a key of DSA, dsa is among them
    #[arg(long, value_name = "WORDS", value_parser = restrictions)]
    own_signatures: Option<Restrictions>,
    /// Named without a meaning in document 003
    #[arg(short = 's', hide = true, num_args = 0..=1)]
    undocumented: Option<Option<String>>,
}

/// Keeps clap from reading `Option<Duration>` as an optional flag.
type TimeOrOff = Option<Duration>;

impl RemoteArgs {
    /// Whether a listing shall be JSON.
    pub fn json(&self) -> bool {
        self.json
    }

    pub(super) fn interpret(&self, notes: &mut Vec<String>) -> Result<Command, Conflict> {
        if let Some(name) = &self.delete {
            let which = if name == "ALLREMOTES" { Which::All } else { Which::Named(name.clone()) };
            return Ok(Command::DeleteRemote(which));
        }
        if self.view {
            return Ok(Command::ViewRemotes(self.name.clone()));
        }
        self.refuse_what_is_not_there()?;
        let name = self.checked_name()?;
        if !self.initiate && !self.accept {
            return Err(Conflict::missing("expected -w (start negotiations), -u (accept them) or both"));
        }
        let (endpoint, alternates) = self.endpoints()?;
        let null = self.null()?;
        self.refuse_anybody_without_a_word(&endpoint, null)?;
        let signature = self.signature()?;
        let secret_file = self.secret()?;
        let Names { own, peer, peers } = self.names(&endpoint, null, signature.as_ref())?;
        let spec = RemoteSpec {
            name,
            version: self.version()?,
            local: self.local.as_ref().and_then(Host::address),
            own_names: self.local.iter().filter_map(Host::name).cloned().collect(),
            endpoint,
            alternates,
            own_id: own.clone(),
            peer_id: peer,
            peers,
            secret_file,
            signature,
            proposals: if self.version == 1 { self.proposals_v1(notes)? } else { self.proposals(notes) },
            initiate: self.initiate,
            accept: self.accept,
            lifetime: self.checked_lifetime()?,
            retransmission: self.retransmission()?,
            liveness: self.liveness()?,
            login_time: self.checked_login_time()?,
            encap: self.encap,
            xauth: self.xauth()?,
            internal: self.internal.interpret(self.initiate, self.accept)?,
            if_ids: self.if_id.unwrap_or_default(),
            extensions: self.extensions.interpret(self.version)?,
            null,
            eap: self.eap(&own)?,
            rounds: self.rounds()?,
            loaded: None,
        };
        Ok(Command::AddRemote(Box::new(spec)))
    }

    fn checked_name(&self) -> Result<String, Conflict> {
        let name = self.name.clone().ok_or_else(|| Conflict::missing("expected -n NAME, -v or -x NAME"))?;
        if name == "ALLREMOTES" {
            return Err(Conflict::at(('n', "name"), "ALLREMOTES means all remotes and cannot be the name of one"));
        }
        Ok(name)
    }

    /// A remote that may be anywhere only begins, and says who it is.
    fn refuse_anybody_without_a_word(&self, endpoint: &Host, null: NullSides) -> Result<(), Conflict> {
        if !endpoint.is_anybody() {
            return Ok(());
        }
        if self.initiate {
            let why = "a negotiation starts with the address of a remote; -r any is for -u";
            return Err(Conflict::at(('w', "initiate"), why));
        }
        if self.peer_id.is_none() && !null.peer {
            return Err(Conflict::missing(
                "expected -f, who may come: an identity, several like *@example.org, or any",
            ));
        }
        Ok(())
    }

    fn liveness(&self) -> Result<Liveness, Conflict> {
        match (self.liveness, self.liveness_regular) {
            (Some(after), true) => Ok(Liveness::Regular(after)),
            (Some(after), false) => Ok(Liveness::WhenSending(after)),
            (None, false) => Ok(Liveness::Off),
            (None, true) => Err(Conflict::at(
                ('\0', "liveness-regular"),
                "it needs a time: expected --liveness TIME instead of off",
            )),
        }
    }

    /// The first -r and the others.
    fn endpoints(&self) -> Result<(Host, Vec<Host>), Conflict> {
        let refuse = |why: String| Err(Conflict::at(('r', "endpoint"), why));
        let Some((first, others)) = self.endpoint.split_first() else {
            return Err(Conflict::missing("expected -r ADDRESS of the remote"));
        };
        if let Some(local) = self.local.as_ref().and_then(Host::address)
            && self.endpoint.iter().any(|endpoint| endpoint.is_of_another_family(local))
        {
            return Err(Conflict::at(('\0', "local"), "--local and -r belong to different address families"));
        }
        if self.endpoint.len() > GATEWAYS {
            return refuse(format!("expected at most {GATEWAYS} of them"));
        }
        if others.is_empty() {
            return Ok((first.clone(), Vec::new()));
        }
        if self.endpoint.iter().any(Host::is_anybody) {
            return refuse("a remote at any address has no other".into());
        }
        if let Some(twice) = others.iter().enumerate().find(|(i, other)| self.endpoint[..=*i].contains(other)) {
            return refuse(format!("{} is there twice", twice.1));
        }
        if self.peer_id.is_none() && self.peer_certificate.is_none() {
            return Err(Conflict::missing(
                "expected -f, who the remote is at all of its addresses: an identity, or several",
            ));
        }
        Ok((first.clone(), others.to_vec()))
    }

    fn refuse_what_is_not_there(&self) -> Result<(), Conflict> {
        let refused = [
            (self.version == 1 && matches!(self.auth, AuthWord::Eap(_)), ('m', "auth"), "EAP is of IKEv2; say -z 2"),
            (self.undocumented.is_some(), ('s', ""), "-s has no meaning here; leave it out"),
            (self.json, ('j', "json"), "--json goes with -v"),
        ];
        match refused.into_iter().find(|(given, ..)| *given) {
            Some((_, flag, why)) => Err(Conflict::at(flag, why)),
            None => Ok(()),
        }
    }

    fn version(&self) -> Result<IkeVersion, Conflict> {
        match self.version {
            1 => Ok(IkeVersion::V1(V1 {
                aggressive: self.aggressive,
                hybrid: self.auth == AuthWord::Hybrid,
                ..V1::default()
            })),
            _ if self.aggressive => Err(Conflict::at(('\0', "aggressive"), "aggressive mode is of IKEv1; say -z 1")),
            _ => Ok(IkeVersion::V2),
        }
    }

    fn checked_lifetime(&self) -> Result<Duration, Conflict> {
        if self.lifetime < Duration::from_secs(5) {
            return Err(Conflict::at(('l', "lifetime"), "a lifetime below 5 seconds leaves no time to rekey"));
        }
        Ok(self.lifetime)
    }

    fn checked_login_time(&self) -> Result<Duration, Conflict> {
        let Some(time) = self.login_time else { return Ok(Remote::LOGIN_TIME) };
        let asks = (matches!(self.auth, AuthWord::Eap(_)) && self.accept) || self.xauth_users.is_some();
        if !asks {
            let why = "nobody logs in: it goes with -m EAP-... and -u, or with --xauth-users";
            return Err(Conflict::at(('\0', "login-time"), why));
        }
        if !(MIN_LOGIN..=MAX_LOGIN).contains(&time) {
            return Err(Conflict::at(('\0', "login-time"), "expected a time from 5 seconds to an hour"));
        }
        Ok(time)
    }

    fn retransmission(&self) -> Result<Retransmission, Conflict> {
        if !(Duration::from_millis(50)..=Duration::from_secs(60)).contains(&self.retransmit) {
            return Err(Conflict::at(('i', "retransmit"), "expected a time from 50ms to 60s"));
        }
        let max_interval = (self.retransmit * 16).min(Duration::from_secs(60));
        Ok(Retransmission { initial: self.retransmit, max_interval, tries: self.tries })
    }
}
