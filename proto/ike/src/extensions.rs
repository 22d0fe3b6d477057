//! What a remote does beyond RFC 7296, each by itself and off unless it is asked for.

/// The extensions of one remote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// The IKE SA and its tunnels follow either side to other addresses (RFC 4555). Ours changes only where the remote
    /// leaves it open.
    pub mobike: bool,
}
