//! The configuration as command lines (`ike commands`): a file of them makes it anew.

use std::collections::BTreeSet;

use super::{Auth, Model, PolicyEntry, RemoteEntry};
use crate::command::{interface_line, pool_line};
use crate::papers::Entry;

/// Command lines, and what cannot be said by any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commands {
    /// In an order in which they can be carried out.
    pub lines: Vec<String>,
    /// One sentence each.
    pub left_out: Vec<String>,
}

impl Model {
    /// The lines that make this configuration from nothing. Connections of `swanctl.conf` and accounts have files of their
    /// own, and keys that were typed are in none.
    pub fn commands(&self) -> Commands {
        let mut commands = Commands::default();
        let accounts: BTreeSet<&str> =
            self.remotes().filter(|entry| entry.has_accounts()).map(|entry| entry.spec.name.as_str()).collect();
        let of_accounts =
            |entry: &&PolicyEntry| entry.spec.esp.as_ref().is_some_and(|esp| accounts.contains(esp.remote.as_str()));
        let lines = &mut commands.lines;
        lines.extend(self.certificates().entries().iter().map(certificate));
        lines.extend(self.interfaces.values().map(|interface| interface_line(interface).to_string()));
        let typed = self.pools().filter(|spec| !spec.loaded);
        lines.extend(typed.map(|spec| pool_line(&spec.pool).to_string()));
        let typed = |entry: &&RemoteEntry| entry.spec.loaded.is_none() && !entry.has_accounts();
        lines.extend(self.remotes().filter(typed).map(|entry| entry.spec.line().to_string()));
        let typed = |entry: &&PolicyEntry| !entry.automatic && entry.spec.connection.is_none();
        let policies = self.policies().filter(typed).filter(|entry| !of_accounts(entry));
        lines.extend(policies.map(|entry| entry.spec.line().to_string()));
        for keyed in self.keyed() {
            match keyed.spec.as_ref().map(|spec| spec.line()) {
                Some(Some(line)) => lines.push(line.to_string()),
                Some(None) => commands.left_out.push(format!(
                    "the SA {} has keys that were typed; give them as file:PATH to have it in the file",
                    keyed.policy.name
                )),
                // A program with a socket of its own makes it anew.
                None => {}
            }
        }
        if self.has_scripts() {
            commands
                .left_out
                .push("what scripts of setkey(8) have added: carry them out again with setkey -f".to_owned());
        }
        let loaded = self.connections().into_iter().map(|name| format!("the connection {name} was loaded"));
        let loaded = loaded.chain(self.secrets().map(|name| format!("the secret {name} was loaded")));
        let pools = self.pools().filter(|spec| spec.loaded);
        let loaded = loaded.chain(pools.map(|spec| format!("the pool {} was loaded", spec.pool.name)));
        commands.left_out.extend(loaded.map(|what| format!("{what} from a swanctl.conf or over VICI")));
        let accounts = accounts.into_iter().map(|name| format!("the remote {name} is made from accounts of psk start"));
        commands.left_out.extend(accounts);
        commands
    }
}

impl RemoteEntry {
    fn has_accounts(&self) -> bool {
        matches!(self.auth, Auth::Logins(_))
    }
}

fn certificate(entry: &Entry) -> String {
    entry.spec.line().to_string()
}

#[cfg(test)]
mod tests;
