//! Why the data plane could not start or stop, in words for the operator.

use std::fmt;
use std::io;

use ravelin_types::dataplane::DataPlaneError;
use ravelin_types::sa::SaId;

use crate::msg::attribute::Attribute;
use crate::msg::{Body, Message};
use crate::netlink::Refusal;
use crate::text;

/// What failed, on what, and what mends it.
#[derive(Debug)]
pub enum Error {
    /// The system refused a change or a resource.
    System {
        /// What was tried.
        what: String,
        /// The system's answer.
        source: io::Error,
        /// What the operator can do about it, where we know.
        hint: Option<&'static str>,
    },
    /// The kernel lacks what this data plane is made of.
    Missing(String),
    /// A value of the configuration cannot work.
    Config(String),
}

impl Error {
    pub(crate) fn system(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        let source = source.into();
        let hint = match source.kind() {
            io::ErrorKind::PermissionDenied => Some(PERMISSION),
            io::ErrorKind::AddrInUse => Some("another IKE daemon may be running: see `ss -lunp`"),
            _ => None,
        };
        Error::System { what: what.into(), source, hint }
    }

    pub(crate) fn refused(what: &str, refusal: &Refusal) -> Self {
        match refusal.errno {
            0 => Error::Missing(format!("cannot {what}: {refusal}")),
            errno => Error::system(what, io::Error::from_raw_os_error(errno)),
        }
    }
}

const PERMISSION: &str = "this needs CAP_NET_ADMIN: run as root, or in a user namespace of your own";

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::System { what, source, hint } => {
                write!(f, "cannot {what}: {source}")?;
                hint.map_or(Ok(()), |hint| write!(f, " ({hint})"))
            }
            Error::Missing(what) | Error::Config(what) => f.write_str(what),
        }
    }
}

// No `source`: the text has the cause in it already.
impl std::error::Error for Error {}

/// What the kernel refused of an operation, with the line that asks for the same by hand.
pub(crate) fn refused(message: &Message, sa: Option<SaId>, refusal: &Refusal) -> DataPlaneError {
    if refusal.errno == libc::EEXIST
        && let (Some(id), Body::State(_)) = (sa, &message.body)
    {
        return DataPlaneError::Exists(id);
    }
    let hint = match refusal.errno {
        libc::EPERM | libc::EACCES => format!("; {PERMISSION}"),
        libc::EEXIST => "; another program has put it there: see `ip xfrm policy`".to_owned(),
        libc::EPROTONOSUPPORT => {
            "; this kernel has no ESP or AH (modules esp4, esp6, ah4, ah6): use the data plane `tun`".to_owned()
        }
        libc::ENOSYS | libc::ENOENT if matches!(message.body, Body::State(_)) => {
            let line = text::command(message);
            let why =
                format!("the kernel does not have it: {refusal}; by hand: `{line}`; see `ravelin algorithms --kernel`");
            return DataPlaneError::Algorithm(why.into());
        }
        libc::EINVAL | libc::EOPNOTSUPP if message.attributes.iter().any(|it| matches!(it, Attribute::Offload(_))) => {
            "; the device does not take it: say --offload auto, or leave it out".to_owned()
        }
        libc::EINVAL => "; this kernel may be too old for one of its parts".to_owned(),
        _ => String::new(),
    };
    DataPlaneError::System(format!("the kernel refused: {refusal}{hint}; by hand: `{}`", text::command(message)))
}
