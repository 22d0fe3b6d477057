//! `ravelin check`

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use ravelin_config::{Model, files};
use ravelin_types::HostName;

use crate::cli::CheckArgs;
use crate::daemon::crypto::ike_provider;
use crate::daemon::reload::is_own;
use crate::process::{FAILED, print};

/// Reads every file as the daemon would, and says what is wrong with each.
pub fn run(args: &CheckArgs) -> ExitCode {
    let wrong = args.files.iter().filter(|file| !is_good(file)).count();
    if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}

fn is_good(file: &Path) -> bool {
    let loaded = match files::load(file, &Model::new(), &is_own) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("{error}");
            return false;
        }
    };
    for note in &loaded.notes {
        eprintln!("note: {note}");
    }
    for advice in loaded.model.advice() {
        eprintln!("note: {}: {advice}", file.display());
    }
    let config = loaded.model.ike_config(&Default::default());
    let mistakes = config.mistakes(&ike_provider());
    for mistake in &mistakes {
        eprintln!("{}: {mistake}", file.display());
    }
    if mistakes.is_empty() {
        let policies = loaded.model.policies().filter(|entry| !entry.automatic).count();
        let mut said = format!("{}: {policies} policies, {} remotes\n", file.display(), loaded.model.remotes().count());
        let names: BTreeSet<&HostName> = loaded.model.remotes().flat_map(|entry| entry.spec.names()).collect();
        if !names.is_empty() {
            let names: Vec<&str> = names.into_iter().map(HostName::as_str).collect();
            said.push_str(&format!("{}: not looked up here: {}\n", file.display(), names.join(", ")));
        }
        return print(&said) == 0;
    }
    false
}
