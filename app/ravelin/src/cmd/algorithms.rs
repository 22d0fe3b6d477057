//! `ravelin algorithms`

use std::process::ExitCode;

use ravelin_config::value::algorithm;
use ravelin_pki::algorithm::schemes;

use crate::cli::AlgorithmsArgs;
use crate::daemon::crypto::ike_provider;
use crate::process::{fail, print};

/// Lists what can protect packets, and what can sign.
pub fn run(args: &AlgorithmsArgs) -> ExitCode {
    if args.kernel {
        return match ravelin_xfrm::probe() {
            Ok(found) => ExitCode::from(print(&found.table())),
            Err(error) => fail(error),
        };
    }
    let built_in = built_in();
    if args.json {
        let all = built_in.into_iter().map(|(kind, names)| (kind.to_owned(), names.into()));
        return ExitCode::from(print(&format!("{}\n", serde_json::Value::Object(all.collect()))));
    }
    let lines = |(kind, names): (&str, Vec<String>)| -> String {
        names.iter().map(|name| format!("{kind:<11} {name}\n")).collect()
    };
    ExitCode::from(print(&built_in.map(lines).concat()))
}

/// Each kind and its algorithms, by the names that a configuration has for them; those of signatures are for reading.
fn built_in() -> [(&'static str, Vec<String>); 5] {
    let provider = ike_provider();
    let encryption = algorithm::encryption().filter(|(id, _)| provider.encr(*id).is_some());
    [
        ("encryption", encryption.map(|(id, bits)| algorithm::encr_name(id, bits)).collect()),
        ("integrity", provider.integ.iter().map(|integrity| algorithm::integ_name(integrity.id())).collect()),
        ("prf", provider.prf.iter().map(|prf| algorithm::prf_name(prf.id())).collect()),
        ("groups", provider.ke.iter().map(|group| algorithm::ke_name(group.id())).collect()),
        ("signatures", schemes().map(|scheme| scheme.to_string()).collect()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    // What is listed can be typed.
    #[test]
    fn the_names_are_those_of_the_command_line() {
        let [(_, encryption), (_, integrity), (_, prf), (_, groups), _] = built_in();
        assert!(encryption.len() > 40 && groups.len() > 20, "{encryption:?} {groups:?}");
        assert!(algorithm::encr_list(&encryption.join(",")).is_ok());
        assert!(algorithm::integ_list(&integrity.join(",")).is_ok());
        assert!(algorithm::prf_list(&prf.join(",")).is_ok());
        assert!(algorithm::ke_list(&groups.join(",")).is_ok());
    }
}
