//! The flags of `ike remote` beyond RFC 7296.

use clap::Args;
use ravelin_ike::Extensions;

use super::Conflict;

/// What a remote does only when it is asked for.
#[derive(Clone, Debug, Args)]
pub struct ExtensionArgs {
    /// Stay connected when an address of either side changes (MOBIKE, RFC 4555); ours changes only without --local
    #[arg(long)]
    mobike: bool,
}

impl ExtensionArgs {
    /// What they come to for this version of IKE.
    pub(super) fn interpret(&self, version: u8) -> Result<Extensions, Conflict> {
        if version == 1 && self.mobike {
            return Err(Conflict::at(('\0', "mobike"), "MOBIKE is of IKEv2; say -z 2"));
        }
        Ok(Extensions { mobike: self.mobike })
    }
}
