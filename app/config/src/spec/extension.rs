//! What a remote does beyond RFC 7296.

use std::path::PathBuf;
use std::time::Duration;

use ravelin_ike::config::IdPattern;
use ravelin_ike::extensions::{Childless, FullTranscript};
use ravelin_ike::{NewGateway, PpkIn, Tcp, Unique};
use ravelin_pki::Lookup;

use crate::value::address::Address;

/// The words of `--unique`, and of strongSwan's `unique`.
pub const UNIQUE: &[(&str, Unique)] =
    &[("never", Unique::Never), ("no", Unique::No), ("replace", Unique::Replace), ("keep", Unique::Keep)];

/// The registered port (RFC 9329 §2).
pub(crate) const TCP_PORT: u16 = 4500;

/// The words for when IKE SAs begin without a Child SA.
pub const CHILDLESS: [(&str, Childless); 4] = [
    ("never", Childless::Never),
    ("allow", Childless::Allow),
    ("prefer", Childless::Prefer),
    ("force", Childless::Force),
];

/// The words for the exchange in which a post-quantum pre-shared key is named.
pub const PPK_IN: &[(&str, PpkIn)] =
    &[("either", PpkIn::Either), ("auth", PpkIn::Auth), ("intermediate", PpkIn::Intermediate)];

/// The words for whether both sides prove the whole of IKE_SA_INIT.
pub const FULL_TRANSCRIPT: &[(&str, FullTranscript)] =
    &[("never", FullTranscript::Never), ("allow", FullTranscript::Allow), ("require", FullTranscript::Require)];

/// Who of the two says what the authority says of its certificate, when the other asks (RFC 4806).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ocsp {
    /// We answer, and ask where it must be known whether a certificate was revoked.
    #[default]
    Usual,
    /// We answer.
    Reply,
    /// We ask.
    Request,
    /// Both.
    Both,
    /// Neither.
    Never,
}

/// The words of `--ocsp`, and of strongSwan's `ocsp`.
pub const OCSP: &[(&str, Ocsp)] =
    &[("reply", Ocsp::Reply), ("request", Ocsp::Request), ("both", Ocsp::Both), ("never", Ocsp::Never)];

impl Ocsp {
    /// Whether we answer.
    pub fn answers(self) -> bool {
        matches!(self, Ocsp::Usual | Ocsp::Reply | Ocsp::Both)
    }

    /// Whether we ask; `None`: where it must be known.
    pub fn asks(self) -> Option<bool> {
        match self {
            Ocsp::Usual => None,
            Ocsp::Request | Ocsp::Both => Some(true),
            Ocsp::Reply | Ocsp::Never => Some(false),
        }
    }

    /// Its word, if there is one.
    pub fn word(self) -> Option<&'static str> {
        OCSP.iter().find(|(_, known)| *known == self).map(|(word, _)| *word)
    }
}

/// The word for it.
pub fn childless_word(childless: Childless) -> &'static str {
    CHILDLESS.iter().find(|(_, known)| *known == childless).map_or("", |(word, _)| word)
}

/// What a remote does beyond RFC 7296, as an operator described it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtensionSpec {
    /// MOBIKE.
    pub mobike: bool,
    /// TCP.
    pub tcp: Option<Tcp>,
    /// Childless initiation.
    pub childless: Childless,
    /// After which time the two prove anew who they are.
    pub reauth: Option<Duration>,
    /// How long after that, or after it should have been rekeyed, an IKE SA ends.
    pub over_time: Option<Duration>,
    /// How many IKE SAs one identity may have.
    pub unique: Unique,
    /// To which gateways we follow.
    pub follow: Vec<Address>,
    /// To which gateway peers are sent.
    pub redirect: Option<NewGateway>,
    /// Tickets with which IKE SAs are resumed.
    pub resumption: bool,
    /// Tokens by which each side shows that it crashed.
    pub crash_detection: bool,
    /// Whether the peer is told by which methods it may prove itself.
    pub announce: bool,
    /// Whether both sides prove the whole of IKE_SA_INIT.
    pub full_transcript: FullTranscript,
    /// Whose name the post-quantum pre-shared key has that we use; or those of which we answer with one, but begin with none.
    pub ppk_id: Option<IdPattern>,
    /// Where it is, as written; `None`: among the secrets that were loaded.
    pub ppk_file: Option<PathBuf>,
    /// Whether there is no IKE SA without one.
    pub ppk_required: bool,
    /// In which exchange it is named.
    pub ppk_in: PpkIn,
    /// How many requests are under way at once; 0 is 1.
    pub window: u32,
    /// Whether the peer may be a cluster.
    pub cluster: bool,
    /// Answers of OCSP responders beside certificates.
    pub ocsp: Ocsp,
    /// Where the peer's certificates are looked up.
    pub hash_and_url: Lookup,
}

impl ExtensionSpec {
    /// The word of [`ExtensionSpec::ppk_in`].
    pub fn ppk_in_word(&self) -> &'static str {
        PPK_IN.iter().find(|(_, known)| *known == self.ppk_in).map_or("either", |(word, _)| word)
    }

    /// The word of [`ExtensionSpec::full_transcript`].
    pub fn full_transcript_word(&self) -> &'static str {
        FULL_TRANSCRIPT.iter().find(|(_, known)| *known == self.full_transcript).map_or("allow", |(word, _)| word)
    }

    /// The word of [`ExtensionSpec::unique`].
    pub fn unique_word(&self) -> &'static str {
        UNIQUE.iter().find(|(_, unique)| *unique == self.unique).map_or("no", |(word, _)| word)
    }
}
