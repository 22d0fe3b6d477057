//! `ravelin algorithms`

use std::process::ExitCode;

use ravelin_pki::algorithm;

use super::fail;
use crate::cli::AlgorithmsArgs;
use crate::daemon::crypto::ike_provider;

/// Lists what can protect packets, and what can sign.
pub fn run(args: &AlgorithmsArgs) -> ExitCode {
    if args.kernel {
        return match ravelin_xfrm::probe() {
            Ok(found) => {
                print!("{}", found.table());
                ExitCode::SUCCESS
            }
            Err(error) => fail(error),
        };
    }
    let provider = ike_provider();
    if args.json {
        let ciphers: Vec<String> = provider.encr.iter().map(|cipher| cipher.id().to_string()).collect();
        let integrity: Vec<String> = provider.integ.iter().map(|integrity| integrity.id().to_string()).collect();
        let signatures: Vec<String> = algorithm::schemes().map(|scheme| scheme.to_string()).collect();
        let all = serde_json::json!({ "encryption": ciphers, "integrity": integrity, "signatures": signatures });
        println!("{all}");
        return ExitCode::SUCCESS;
    }
    provider.encr.iter().for_each(|cipher| println!("encryption  {}", cipher.id()));
    provider.integ.iter().for_each(|integrity| println!("integrity   {}", integrity.id()));
    algorithm::schemes().for_each(|scheme| println!("signature   {scheme}"));
    ExitCode::SUCCESS
}
