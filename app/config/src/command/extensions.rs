//! The flags of `ike remote` beyond RFC 7296.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use ravelin_ike::config::IdPattern;
use ravelin_ike::extensions::{Childless, FullTranscript};
use ravelin_ike::{NewGateway, PpkIn, Tcp, Unique, limits};
use ravelin_pki::Lookup;
use ravelin_types::Identity;

use super::Conflict;
use super::line::{Line, seconds};
use crate::spec::{CHILDLESS, ExtensionSpec, FULL_TRANSCRIPT, OCSP, Ocsp, PPK_IN, TCP_PORT, UNIQUE, childless_word};
use crate::value::address::{Address, address};
use crate::value::{BadValue, did_you_mean, identity, quantity, uri, who};

/// The shortest time for which an authentication is good.
const MIN_REAUTH: Duration = Duration::from_secs(5);

fn unique(text: &str) -> Result<Unique, BadValue> {
    UNIQUE.iter().find(|(word, _)| *word == text).map(|(_, unique)| *unique).ok_or_else(|| {
        let hint = did_you_mean(text, UNIQUE.iter().map(|(word, _)| *word));
        BadValue::new(format!("expected never, no, replace or keep{hint}"))
    })
}

/// When an IKE SA that we begin goes in TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TcpWhen {
    /// When UDP gets no answer
    Fallback,
    /// At once
    Always,
}

/// What a remote does only when it is asked for.
#[derive(Clone, Debug, Args)]
pub struct ExtensionArgs {
    /// Stay connected when an address of either side changes (MOBIKE, RFC 4555); ours changes only without --local
    #[arg(long)]
    mobike: bool,
    /// Begin IKE, and ESP after it, in TCP (RFC 9329): fallback, when UDP gets no answer; or always
    #[arg(long, value_name = "WHEN", value_enum)]
    tcp: Option<TcpWhen>,
    /// The TCP port on which the peer listens
    #[arg(long, value_name = "PORT", requires = "tcp", default_value_t = TCP_PORT, value_parser = clap::value_parser!(u16).range(1..))]
    tcp_port: u16,
    /// Begin IKE SAs without a Child SA (RFC 6023), which then has a key exchange of its own: never, allow (when the peer
    /// does), prefer, or force
    #[arg(long, value_name = "WHEN", default_value = "allow", value_parser = childless)]
    childless: Childless,
    /// Prove anew who the two are after this time: the side that started makes another IKE SA and then deletes the old one;
    /// the other tells it when (RFC 4478), and deletes what is older. IKEv1 does so with every rekey (-l)
    #[arg(long, value_name = "TIME", value_parser = quantity::duration)]
    reauth: Option<Duration>,
    /// End an IKE SA so long after it should have been rekeyed (-l) or authenticated anew (--reauth) [default: a tenth of -l]
    #[arg(long, value_name = "TIME", value_parser = quantity::duration)]
    over_time: Option<Duration>,
    /// IKE SAs of one identity: never (any number), no (one that says that it is the only one replaces the others), replace
    /// (the newest replaces the others), keep (another from elsewhere is refused as long as there is one)
    #[arg(long, value_name = "WORD", default_value = "no", value_parser = unique)]
    unique: Unique,
    /// Follow the peer when it sends us to another gateway with one of these addresses (RFC 5685), which must prove the same
    /// identity: an address, 192.0.2.0/24, 192.0.2.1-192.0.2.9 or %any; may be given again
    #[arg(long, value_name = "ADDRESSES", value_parser = address)]
    follow: Vec<Address>,
    /// Send peers that follow to the gateway with this address or name (RFC 5685), unless they have come to that address
    #[arg(long, value_name = "GATEWAY")]
    redirect: Option<NewGateway>,
    /// Go on with an IKE SA after its peer fell silent, without another proof of who the two are (RFC 5723): the side that
    /// starts asks for a ticket, the other gives it
    #[arg(long)]
    resumption: bool,
    /// Learn at once when the peer crashed and lost its SAs, and let it learn the same of us (RFC 6290)
    #[arg(long)]
    crash_detection: bool,
    /// Tell the peer by which methods it may prove itself (RFC 9593), so that one with several signatures takes the right one
    #[arg(long)]
    announce: bool,
    /// Prove both messages of IKE_SA_INIT instead of one's own, so that nobody between the two can weaken what they agree on
    /// (draft-ietf-ipsecme-ikev2-downgrade-prevention): never, allow (where the peer does), or require
    #[arg(long, value_name = "WHEN", default_value = "allow", value_parser = full_transcript)]
    full_transcript: FullTranscript,
    /// Name of a post-quantum pre-shared key (RFC 8784, RFC 9867) that both sides have, as fqdn:NAME or keyid:TEXT
    #[arg(long, value_name = "ID", value_parser = identity::identity, requires = "ppk_file")]
    ppk_id: Option<Identity>,
    /// File with the post-quantum pre-shared key, readable by its owner only
    #[arg(long, value_name = "FILE", requires = "ppk_id")]
    ppk_file: Option<PathBuf>,
    /// No IKE SA without the post-quantum pre-shared key
    #[arg(long, requires = "ppk_id")]
    ppk_required: bool,
    /// In which exchange the post-quantum pre-shared key comes into the keys: auth (RFC 8784), intermediate (RFC
    /// 9867, before the two say who they are), or either, the latter where the peer does it
    #[arg(long, value_name = "EXCHANGE", requires = "ppk_id", default_value = "either", value_parser = ppk_in)]
    ppk_in: PpkIn,
    /// Take so many requests of the peer at once, and send as many where it takes them (RFC 7296 §2.3)
    #[arg(long, value_name = "NUMBER", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=i64::from(limits::WINDOW)))]
    window: u32,
    /// The peer may be a cluster whose members take over from each other (RFC 6311)
    #[arg(long)]
    cluster: bool,
    /// Of what an authority's OCSP responder says of a certificate beside the certificate (RFC 4806): reply, say it of ours when
    /// the peer asks; request, ask the peer; both; never [default: reply, and request where --revocation wants it known]
    #[arg(long, value_name = "WORD", value_parser = ocsp)]
    ocsp: Option<Ocsp>,
    /// Look the peer's certificates up where it says that they lie, by hash and URL (RFC 7296 §3.6): under http://HOST/PATH/, which
    /// may be given again, or anywhere but on this host and its links. Whoever comes may then have this host ask there before
    /// it has proven anything
    #[arg(long, value_name = "WHERE", value_parser = uri::lookup)]
    hash_and_url: Vec<Lookup>,
}

fn ocsp(text: &str) -> Result<Ocsp, BadValue> {
    OCSP.iter().find(|(word, _)| *word == text).map(|(_, ocsp)| *ocsp).ok_or_else(|| {
        let hint = did_you_mean(text, OCSP.iter().map(|(word, _)| *word));
        BadValue::new(format!("expected reply, request, both or never{hint}"))
    })
}

fn full_transcript(text: &str) -> Result<FullTranscript, BadValue> {
    FULL_TRANSCRIPT.iter().find(|(word, _)| *word == text).map(|(_, when)| *when).ok_or_else(|| {
        let hint = did_you_mean(text, FULL_TRANSCRIPT.iter().map(|(word, _)| *word));
        BadValue::new(format!("expected never, allow or require{hint}"))
    })
}

fn ppk_in(text: &str) -> Result<PpkIn, BadValue> {
    PPK_IN.iter().find(|(word, _)| *word == text).map(|(_, exchange)| *exchange).ok_or_else(|| {
        let hint = did_you_mean(text, PPK_IN.iter().map(|(word, _)| *word));
        BadValue::new(format!("expected either, auth or intermediate{hint}"))
    })
}

fn childless(text: &str) -> Result<Childless, String> {
    let found = CHILDLESS.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
    found.map(|(_, childless)| *childless).ok_or_else(|| "expected never, allow, prefer or force".to_owned())
}

impl ExtensionArgs {
    /// What they come to for this version of IKE.
    pub(super) fn interpret(&self, version: u8) -> Result<ExtensionSpec, Conflict> {
        if self.reauth.is_some_and(|time| time < MIN_REAUTH) {
            return Err(Conflict::at(('\0', "reauth"), "a time below 5 seconds leaves none to authenticate"));
        }
        let given = [
            (self.mobike, "mobike", "MOBIKE"),
            (self.tcp.is_some(), "tcp", "IKE in TCP"),
            (matches!(self.childless, Childless::Prefer | Childless::Force), "childless", "childless initiation"),
            (self.ppk_id.is_some(), "ppk-id", "a post-quantum pre-shared key"),
            (self.reauth.is_some(), "reauth", "IKEv1 authenticates anew with every rekey (-l); a time of its own"),
            (self.over_time.is_some(), "over-time", "an IKE SA of IKEv1 ends with its lifetime (-l); a time beyond it"),
            (!self.follow.is_empty(), "follow", "to follow to another gateway"),
            (self.redirect.is_some(), "redirect", "to send peers to another gateway"),
            (self.cluster, "cluster", "a peer that is a cluster"),
            (self.window > 1, "window", "more than one request at a time"),
            (self.resumption, "resumption", "session resumption"),
            (self.crash_detection, "crash-detection", "quick crash detection"),
            (self.announce, "announce", "an announcement of authentication methods"),
            (self.full_transcript == FullTranscript::Require, "full-transcript", "proof of the whole of IKE_SA_INIT"),
            (self.ocsp.is_some(), "ocsp", "an OCSP answer beside a certificate"),
            (!self.hash_and_url.is_empty(), "hash-and-url", "hash and URL in the place of a certificate"),
            (self.unique == Unique::Keep, "unique", "to keep the older IKE SA"),
        ];
        if let Some((_, flag, what)) = given.into_iter().find(|(given, ..)| *given && version == 1) {
            return Err(Conflict::at(('\0', flag), format!("{what} is of IKEv2; say -z 2")));
        }
        let ExtensionArgs { mobike, tcp, tcp_port, childless, reauth, over_time, unique, .. } = self.clone();
        let ExtensionArgs { resumption, follow, redirect, ppk_id, ppk_file, ppk_required, ppk_in, .. } = self.clone();
        let ExtensionArgs { window, cluster, crash_detection, announce, full_transcript, ocsp, .. } = *self;
        let tcp = tcp.map(|when| Tcp { port: tcp_port, at_once: when == TcpWhen::Always });
        Ok(ExtensionSpec {
            mobike,
            tcp,
            childless,
            reauth,
            over_time,
            unique,
            follow,
            redirect,
            resumption,
            crash_detection,
            announce,
            full_transcript,
            ppk_id: ppk_id.map(IdPattern::Exactly),
            ppk_file,
            ppk_required,
            ppk_in,
            window,
            cluster,
            ocsp: ocsp.unwrap_or_default(),
            hash_and_url: uri::lookups(self.hash_and_url.iter().cloned()),
        })
    }
}

impl ExtensionSpec {
    /// Adds them to the line of their remote.
    pub(super) fn written(&self, line: &mut Line) {
        line.flag("--mobike", self.mobike);
        if let Some(tcp) = &self.tcp {
            line.value("--tcp", if tcp.at_once { "always" } else { "fallback" });
            line.value("--tcp-port", tcp.port);
        }
        let unusual = (self.childless != Childless::Allow).then(|| childless_word(self.childless));
        line.optional("--childless", unusual);
        line.optional("--reauth", self.reauth.map(seconds));
        line.optional("--over-time", self.over_time.map(seconds));
        line.optional("--unique", (self.unique != Unique::No).then(|| self.unique_word()));
        self.follow.iter().for_each(|addresses| line.value("--follow", addresses));
        line.optional("--redirect", self.redirect.as_ref());
        line.flag("--cluster", self.cluster);
        line.optional("--window", (self.window > 1).then_some(self.window));
        line.flag("--resumption", self.resumption);
        line.optional("--ocsp", self.ocsp.word());
        uri::lookup_words(&self.hash_and_url).iter().for_each(|place| line.value("--hash-and-url", place));
        line.flag("--crash-detection", self.crash_detection);
        line.flag("--announce", self.announce);
        let unusual = (self.full_transcript != FullTranscript::Allow).then(|| self.full_transcript_word());
        line.optional("--full-transcript", unusual);
        // A key that was loaded has no file.
        if let Some(file) = &self.ppk_file {
            line.optional("--ppk-id", self.ppk_id.as_ref().map(who::pattern_word));
            line.value("--ppk-file", file.display());
            line.flag("--ppk-required", self.ppk_required);
            line.optional("--ppk-in", (self.ppk_in != PpkIn::Either).then(|| self.ppk_in_word()));
        }
    }
}
