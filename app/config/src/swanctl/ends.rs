//! What a connection tells its children of itself.

use std::net::IpAddr;

use ravelin_types::if_id::{IfId, IfIds};

use super::reader::Reader;
use crate::value::host::Host;
use crate::value::if_id::if_id;

/// The ends of a connection, as its children need them.
pub(super) struct Ends {
    pub local: Option<IpAddr>,
    pub endpoint: Host,
    /// Whether a child that starts by itself may exist after a failure.
    pub persistent: bool,
    /// Whether the address of our side is one that the peer gives us.
    pub virtual_local: bool,
    /// Whether that of the peer's is one that we give it.
    pub virtual_remote: bool,
    /// The numbers of virtual interfaces of children that have none of their own.
    pub if_ids: IfIds,
}

impl Ends {
    /// Whether the peer may be at any address, by which it is known.
    pub(super) fn is_for_anybody(&self) -> bool {
        self.endpoint.is_anybody() && !self.virtual_local && !self.virtual_remote
    }
}

/// `if_id_in` and `if_id_out`, of a connection or a child.
pub(super) fn if_ids(reader: &mut Reader<'_>) -> IfIds {
    let mut read = |name| reader.value(name, |text| if_id(text).map_err(|bad| bad.message)).unwrap_or(IfId::None);
    IfIds { inbound: read("if_id_in"), outbound: read("if_id_out") }
}
