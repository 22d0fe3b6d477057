//! Commands that follow Child SAs, between two daemons.

use std::path::Path;

use super::pair::Pair;
use super::*;

/// What was run, one after the other: the variables of each run.
fn runs(file: &Path) -> Vec<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let variables = |run: &str| {
        let lines = run.lines().filter(|line| line.starts_with("PLUTO_"));
        lines.filter_map(|line| line.split_once('=')).map(|(name, value)| (name.into(), value.into())).collect()
    };
    text.split_inclusive("--\n").filter(|run| run.ends_with("--\n")).map(variables).collect()
}

fn wait_for(count: usize, file: &Path) {
    let begun = std::time::Instant::now();
    while runs(file).len() < count {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", runs(file));
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_command_follows_an_sa_up_and_down_and_nobodys_name_is_run() {
    let out = std::env::temp_dir().join(format!("ravelin-updown-{}", std::process::id()));
    let harm = std::env::temp_dir().join(format!("h{}", std::process::id()));
    let touch = format!("touch${{IFS}}{}", harm.display());
    let name = format!("keyid:$({touch})`{touch}`';{touch};'\";{touch};\"|{touch}&{touch}");
    let command = format!("--updown (env;echo${{IFS}}\"$PLUTO_PEER_ID\">/dev/null;echo${{IFS}}--)>>{}", out.display());
    let mut pair = Pair::new(
        "updown",
        [&format!("-g fqdn:here.lab -f {name}"), &command],
        [&format!("-g {name} -f fqdn:here.lab"), ""],
    );
    pair.initiate();
    wait_for(1, &out);
    let up = runs(&out).remove(0);
    let serial = pair.0[0].core.endpoint.ike_sas()[0].serial.to_string();
    let id = pair.0[0].core.model.find_policy("p1").unwrap().id;
    let reqid = id.0.to_string();
    for (variable, value) in [
        ("VERB", "up-client"),
        ("VERSION", "1.1"),
        ("CONNECTION", "p1"),
        ("INTERFACE", "unknown"),
        ("REQID", &reqid),
        ("PROTO", "esp"),
        ("UNIQUEID", &serial),
        ("ME", "10.0.0.1"),
        ("MY_ID", "here.lab"),
        ("MY_CLIENT", "10.1.0.0/16"),
        ("MY_PORT", "0"),
        ("MY_PROTOCOL", "0"),
        ("PEER", "10.0.0.2"),
        ("PEER_ID", name.strip_prefix("keyid:").unwrap()),
        ("PEER_CLIENT", "10.2.0.0/16"),
        ("PEER_PORT", "0"),
        ("PEER_PROTOCOL", "0"),
    ] {
        assert_eq!(up.get(&format!("PLUTO_{variable}")).map(String::as_str), Some(value), "{variable}");
    }
    assert_eq!(up.len(), 17, "{up:?}");

    // A rekey is neither up nor down, and what is in its place goes down.
    let spi = |pair: &Pair| pair.0[0].core.endpoint.ike_sas()[0].children[0].inbound;
    let first = spi(&pair);
    pair.0[0].core.command(Command::RekeyChild(id), Instant::ZERO);
    pair.exchange();
    assert_ne!(spi(&pair), first);
    pair.0[1].core.command(Command::TerminateIke(None), Instant::ZERO);
    pair.exchange();
    pair.0[0].core.updown.finish();
    let all = runs(&out);
    let verbs: Vec<&str> = all.iter().map(|run| run["PLUTO_VERB"].as_str()).collect();
    assert_eq!(verbs, ["up-client", "down-client"]);
    let without_verb = |run: &BTreeMap<String, String>| {
        let mut run = run.clone();
        run.remove("PLUTO_VERB");
        run
    };
    assert_eq!(without_verb(&all[0]), without_verb(&all[1]));
    let harmed = harm.exists();
    let _ = (std::fs::remove_file(&out), std::fs::remove_file(&harm));
    assert!(!harmed, "a peer's name was run");
}

#[test]
fn what_is_up_when_the_daemon_ends_goes_down_for_each_pair_of_selectors() {
    let out = std::env::temp_dir().join(format!("ravelin-updown-pairs-{}", std::process::id()));
    let command = format!("--updown (env;echo${{IFS}}--)>>{}", out.display());
    let names = ["-g fqdn:here.lab -f fqdn:there.lab", "-g fqdn:there.lab -f fqdn:here.lab"];
    let here = format!("-s 10.0.0.1 -s 10.1.0.0/16 -d 10.2.0.0/16 {command}");
    let mut pair =
        Pair::new("updown-pairs", [names[0], &here], [names[1], "-s 10.2.0.0/16 -d 10.0.0.1 -d 10.1.0.0/16"]);
    pair.initiate();
    pair.0[0].core.updown.finish();
    let all = runs(&out);
    let _ = std::fs::remove_file(&out);
    let done: Vec<[&str; 2]> =
        all.iter().map(|run| [run["PLUTO_VERB"].as_str(), run["PLUTO_MY_CLIENT"].as_str()]).collect();
    assert_eq!(
        done,
        [
            ["up-host", "10.0.0.1/32"],
            ["up-client", "10.1.0.0/16"],
            ["down-host", "10.0.0.1/32"],
            ["down-client", "10.1.0.0/16"]
        ]
    );
}
