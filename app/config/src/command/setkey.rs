//! `setkey`: scripts of setkey(8).

use std::path::PathBuf;

use clap::Args;
use ravelin_types::options::SaOptions;

use super::{Command, Conflict};

/// The flags of `setkey`.
#[derive(Clone, Debug, Args)]
pub struct SetkeyArgs {
    /// Carry out the statements of a file, all of them or none
    #[arg(short = 'f', long, value_name = "FILE", conflicts_with_all = ["stdin", "dump", "flush"])]
    file: Option<PathBuf>,
    /// Carry out the statements of the standard input, all of them or none
    #[arg(short = 'c', long, conflicts_with_all = ["dump", "flush"])]
    stdin: bool,
    /// List all security associations; with -P all policies
    #[arg(short = 'D', long, conflicts_with = "flush")]
    dump: bool,
    /// Delete all security associations; with -P all policies
    #[arg(short = 'F', long)]
    flush: bool,
    /// Policies, not security associations (with -D or -F)
    #[arg(short = 'P', long)]
    policies: bool,
    /// Show the keys of security associations (whoever sees them can read the traffic)
    #[arg(long)]
    show_keys: bool,
    /// Cut the ICV of HMAC-SHA-2 to 96 bits, as Linux has it whose SAs were made by setkey
    #[arg(long)]
    short_icv: bool,
    /// Pad AH to 64 bits in IPv4 too: for Linux whose SA has no flag align4
    #[arg(long)]
    ah_align64: bool,
}

/// What `setkey` shall carry out.
#[derive(Clone, Debug)]
pub struct SetkeyJob {
    /// Where the script is.
    pub source: ScriptSource,
    /// How packets of the SAs in it are carried.
    pub options: SaOptions,
    /// Whether listings show keys.
    pub show_keys: bool,
}

/// Where a script is.
#[derive(Clone, Debug)]
pub enum ScriptSource {
    /// In a file.
    File(PathBuf),
    /// In the standard input of who calls, which comes with the command.
    Input,
    /// Here.
    Text(&'static str),
}

impl SetkeyArgs {
    /// Whether the script is to be read from the standard input.
    pub fn reads_input(&self) -> bool {
        self.stdin
    }

    pub(super) fn interpret(&self) -> Result<Command, Conflict> {
        if self.policies && !(self.dump || self.flush) {
            return Err(Conflict::at(('P', "policies"), "-P goes with -D (list) or -F (delete)"));
        }
        let source = match (&self.file, self.policies) {
            (Some(file), _) => ScriptSource::File(file.clone()),
            _ if self.stdin => ScriptSource::Input,
            (None, false) if self.dump => ScriptSource::Text("dump;"),
            (None, true) if self.dump => ScriptSource::Text("spddump;"),
            (None, false) if self.flush => ScriptSource::Text("flush;"),
            (None, true) if self.flush => ScriptSource::Text("spdflush;"),
            _ => return Err(Conflict::missing("expected -f FILE, -c (standard input), -D (list) or -F (delete)")),
        };
        let options = SaOptions { short_icv: self.short_icv, ah_align64: self.ah_align64, ..SaOptions::default() };
        Ok(Command::Setkey(Box::new(SetkeyJob { source, options, show_keys: self.show_keys })))
    }
}
