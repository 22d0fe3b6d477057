//! Why the data plane could not start or stop, in words for the operator.

use std::fmt;
use std::io;

use ravelin_types::record::StoreError;

/// What failed, on what, and what mends it.
#[derive(Debug)]
pub enum Error {
    /// The system refused a change or a resource.
    System {
        /// What was tried, with the name of the device, rule, table or port.
        what: String,
        /// The system's answer.
        source: io::Error,
        /// What the operator can do about it, where we know.
        hint: Option<&'static str>,
    },
    /// The `nft` program refused our rules.
    Filter(String),
    /// The journal of changes could not be written or read.
    Store(StoreError),
    /// A value of the configuration cannot work.
    Config(String),
}

impl Error {
    /// A refusal of the system. Missing permission is explained by itself.
    pub(crate) fn system(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        let source = source.into();
        let hint = match source.kind() {
            io::ErrorKind::PermissionDenied => {
                Some("this needs CAP_NET_ADMIN and CAP_NET_RAW: run as root, or in a user namespace of your own")
            }
            io::ErrorKind::AddrInUse => Some("another IKE daemon may be running: see `ss -lunp`"),
            _ => None,
        };
        Error::System { what: what.into(), source, hint }
    }

    /// Whether somebody took too long: nobody knows what was done.
    pub(crate) fn is_late(&self) -> bool {
        matches!(self, Error::System { source, .. } if source.kind() == io::ErrorKind::TimedOut)
    }

    /// Adds the remedy for one kind of refusal.
    pub(crate) fn hint_when(mut self, kind: io::ErrorKind, text: &'static str) -> Self {
        if let Error::System { source, hint, .. } = &mut self
            && source.kind() == kind
        {
            *hint = Some(text);
        }
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::System { what, source, hint } => {
                write!(f, "cannot {what}: {source}")?;
                hint.map_or(Ok(()), |hint| write!(f, " ({hint})"))
            }
            Error::Filter(what) | Error::Config(what) => f.write_str(what),
            Error::Store(error) => error.fmt(f),
        }
    }
}

// No `source`: the text has the cause in it already, and would be followed by it once more.
impl std::error::Error for Error {}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Error::Store(error)
    }
}
