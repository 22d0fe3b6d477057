//! The cases.

use rustix::process::Signal;
use std::fs;
use std::os::unix::process::CommandExt;

use super::Case;
use super::lab::{Lab, sh, traces};
#[cfg(feature = "ikev2")]
use super::vici;
#[cfg(feature = "ikev2")]
use super::{debug, files};
use super::{kerberos, keying};

pub const CASES: &[Case] = &[
    ("an_ike_rc_is_in_force_and_listed", an_ike_rc_is_in_force_and_listed),
    ("a_bad_command_leaves_everything_as_it_was", a_bad_command_leaves_everything_as_it_was),
    ("a_second_daemon_is_told_of_the_first", a_second_daemon_is_told_of_the_first),
    ("a_stopped_daemon_leaves_nothing", a_stopped_daemon_leaves_nothing),
    ("a_killed_daemon_is_cleaned_up_after", a_killed_daemon_is_cleaned_up_after),
    #[cfg(all(feature = "kernel", feature = "tun"))]
    ("without_esp_in_the_kernel_ours_takes_its_place", without_esp_in_the_kernel_ours_takes_its_place),
    ("another_user_is_turned_away", another_user_is_turned_away),
    ("an_idle_daemon_is_small", an_idle_daemon_is_small),
    ("a_daemon_leaves_no_core_dump", a_daemon_leaves_no_core_dump),
    #[cfg(feature = "ikev2")]
    ("the_commands_of_a_daemon_make_it_anew", files::the_commands_of_a_daemon_make_it_anew),
    #[cfg(feature = "ikev2")]
    ("an_ike_rc_waits_for_its_addresses", files::an_ike_rc_waits_for_its_addresses),
    #[cfg(feature = "ikev2")]
    ("what_goes_on_is_shown_until_it_is_ended", debug::what_goes_on_is_shown_until_it_is_ended),
    #[cfg(feature = "ikev2")]
    ("peers_are_watched_on_a_terminal", debug::peers_are_watched_on_a_terminal),
    ("a_program_keys_two_hosts", keying::a_program_keys_two_hosts),
    ("a_kerberos_session_keys_two_hosts", kerberos::a_kerberos_session_keys_two_hosts),
    ("hosts_are_keyed_by_hand", keying::hosts_are_keyed_by_hand),
    ("hosts_are_keyed_by_scripts_of_setkey", keying::hosts_are_keyed_by_scripts_of_setkey),
    ("the_keying_socket_is_for_its_owner", keying::the_keying_socket_is_for_its_owner),
    #[cfg(feature = "ikev2")]
    (
        "a_python_client_loads_lists_initiates_and_hears_events",
        vici::a_python_client_loads_lists_initiates_and_hears_events,
    ),
    #[cfg(feature = "ikev2")]
    ("logins_on_one_port_have_keys_of_their_own", crate::psk::logins_on_one_port_have_keys_of_their_own),
    #[cfg(feature = "ikev2")]
    ("keys_are_replaced_under_traffic_and_idle_sas_go", crate::psk::keys_are_replaced_under_traffic_and_idle_sas_go),
    #[cfg(feature = "ikev2")]
    ("a_manager_that_only_clears_leaves_nothing", crate::psk::a_manager_that_only_clears_leaves_nothing),
    #[cfg(feature = "ikev2")]
    ("an_address_that_changes_is_followed", crate::psk::an_address_that_changes_is_followed),
    #[cfg(feature = "ikev2")]
    ("a_connection_over_ipv4_in_tunnel_mode", crate::psk::a_connection_over_ipv4_in_tunnel_mode),
    #[cfg(feature = "ikev2")]
    ("a_wrong_password_carries_nothing", crate::psk::a_wrong_password_carries_nothing),
    #[cfg(feature = "ikev2")]
    ("static_keys_are_the_password_both_ways", crate::psk::static_keys_are_the_password_both_ways),
    #[cfg(feature = "tun")]
    (
        "a_packet_filter_that_hangs_holds_nobody_for_ever",
        crate::hangs::a_packet_filter_that_hangs_holds_nobody_for_ever,
    ),
    #[cfg(all(feature = "ikev2", feature = "tun"))]
    ("a_flood_of_strangers_keeps_nobody_out", crate::flood::a_flood_of_strangers_keeps_nobody_out),
    #[cfg(all(feature = "ikev2", feature = "tun", feature = "kernel"))]
    ("a_flood_over_the_kernels_ipsec_keeps_nobody_out", crate::flood::a_flood_over_the_kernels_ipsec_keeps_nobody_out),
    #[cfg(all(feature = "ikev2", feature = "tun"))]
    ("packets_share_payloads_between_two_daemons", crate::iptfs::packets_share_payloads_between_two_daemons),
    #[cfg(all(feature = "ikev2", feature = "tun"))]
    (
        "a_peer_without_iptfs_gets_a_plain_tunnel_or_none",
        crate::iptfs::a_peer_without_iptfs_gets_a_plain_tunnel_or_none,
    ),
    #[cfg(all(feature = "ikev2", feature = "tun"))]
    ("without_udp_ike_and_esp_go_in_tcp", crate::tcp::without_udp_ike_and_esp_go_in_tcp),
    #[cfg(all(feature = "ikev2", feature = "tun"))]
    ("who_moves_asks_in_udp_first", crate::tcp::who_moves_asks_in_udp_first),
    #[cfg(all(feature = "ikev2", feature = "tun"))]
    (
        "what_crosses_goes_on_when_the_address_under_it_goes",
        crate::moves::what_crosses_goes_on_when_the_address_under_it_goes,
    ),
    #[cfg(feature = "ikev2")]
    (
        "a_daemon_that_is_back_after_a_crash_shows_its_token",
        crate::crash::a_daemon_that_is_back_after_a_crash_shows_its_token,
    ),
    #[cfg(feature = "ikev2")]
    ("a_script_follows_sas_and_holds_up_nobody", crate::updown::a_script_follows_sas_and_holds_up_nobody),
    #[cfg(feature = "ikev2")]
    ("the_first_example_runs_as_it_is_printed", crate::examples::the_first_example_runs_as_it_is_printed),
    #[cfg(all(feature = "ikev1", feature = "ikev2"))]
    ("the_first_example_runs_over_ikev1", crate::examples::the_first_example_runs_over_ikev1),
    #[cfg(all(feature = "ikev1", feature = "ikev2"))]
    (
        "ah_around_esp_is_negotiated_and_carries_packets",
        crate::examples::ah_around_esp_is_negotiated_and_carries_packets,
    ),
    #[cfg(feature = "ikev2")]
    ("the_second_example_runs_as_it_is_printed", crate::examples::the_second_example_runs_as_it_is_printed),
    #[cfg(feature = "ikev2")]
    ("the_demonstration_ends_well", the_demonstration_ends_well),
    #[cfg(not(any(feature = "ikev1", feature = "ikev2")))]
    ("a_program_without_ike_refuses_remotes", a_program_without_ike_refuses_remotes),
];

const RC: &str = "\
# Document 003 §5.1 with modern algorithms
ipsec policy -n policy1 -g remoteINFO -t ESP -e AES128-GCM -m transport -p tcp \\
    -r 10.0.0.78 -s 10.0.0.77 -d 10.0.0.78
ike remote -n remoteINFO -z 2 -w -u -a HMAC-SHA-2-384 -e AES256-CBC -p HMAC-SHA-2-384 -m PresharedKey -d ECP384 \\
    -r 10.0.0.78 -f ipv4:10.0.0.78 -g ipv4:10.0.0.77 -h secret_file.txt
";

fn lab(name: &str) -> Lab {
    let lab = Lab::new(name);
    lab.write("ike_rc", RC);
    lab.write("secret_file.txt", "hunter2\n");
    lab
}

fn an_ike_rc_is_in_force_and_listed() -> Result<(), &'static str> {
    let lab = lab("listed");
    let _daemon = lab.daemon("--rc ike_rc");
    assert_eq!(
        lab.ok("ipsec netstat"),
        "\
spid  pri  proto          policy  src-id          dst-id          mode       gateway
1     2    udp            bypass  any:500         any
2     2    udp            bypass  any:4500        any
3     2    udp            bypass  any6:500        any6
4     2    udp            bypass  any6:4500       any6
5     2    icmp6/133-137  bypass  any6            any6
6     4    tcp            secure  10.0.0.77       10.0.0.78       transport  10.0.0.78
"
    );
    let json: serde_json::Value = serde_json::from_str(&lab.ok("ipsec netstat --json")).expect("JSON");
    assert_eq!(json["policies"][5]["name"], "policy1");
    assert_eq!(json["sas"].as_array().map(Vec::len), Some(0));
    let remote = lab.ok("ike remote -v -n remoteINFO");
    assert!(remote.contains("IKE: AES256-CBC, HMAC-SHA-2-384, PRF-HMAC-SHA-2-384, ECP384"), "{remote}");
    for listing in ["ike netstat", "ike netstat --json", "ike netstat -r -n remoteINFO", "ipsec netstat --show-keys"] {
        assert!(!lab.ok(listing).contains("hunter2"), "{listing} shows the pre-shared key");
    }
    assert_eq!(traces(), [true, true, true]);
    Ok(())
}

/// The other half is `keying`: what goes without IKE.
#[cfg(not(any(feature = "ikev1", feature = "ikev2")))]
fn a_program_without_ike_refuses_remotes() -> Result<(), &'static str> {
    let lab = lab("without-ike");
    let _daemon = lab.daemon("");
    let before = lab.ok("ipsec policy -v");
    let answer = lab.ravelin("ike remote -n remoteINFO -w -u -r 10.0.0.78 -g ipv4:10.0.0.77 -h secret_file.txt");
    assert_eq!(answer.status, Some(1));
    assert!(answer.stderr.contains("this program was built without IKE"), "{}", answer.stderr);
    assert!(lab.ravelin("demo").stderr.contains("unrecognized subcommand"));
    assert_eq!(lab.ok("ipsec policy -v"), before);
    lab.ok("ipsec policy -n p1 --action discard -s 10.1.0.0/16 -d any");
    Ok(())
}

fn a_bad_command_leaves_everything_as_it_was() -> Result<(), &'static str> {
    let lab = lab("untouched");
    let _daemon = lab.daemon("--rc ike_rc");
    let filter = || sh("nft", &["list", "ruleset"]);
    let state = || (lab.ok("ipsec policy -v"), lab.ok("ike remote -v"), filter());
    let before = state();
    for (line, status, words) in [
        ("ipsec policy -n policy1 --action bypass -s any -d any", 1, "there is a policy policy1 already"),
        ("ipsec policy -n p2 --action discard -l 1 -s any -d any", 1, "would catch the packets of IKE"),
        ("ipsec policy -x policy2", 1, "did you mean policy1?"),
        ("ike remote -n other -w -r 10.0.0.9 -g a -h missing", 1, "cannot read"),
        ("ike initiate nothing", 1, "there is no policy nothing"),
        ("ike rekey remoteINFO", 1, "there is no IKE SA"),
        ("ipsec policy -n p2 -s any -d any -p tcp -l 9", 2, "1 (consulted first) to 7"),
    ] {
        let answer = lab.ravelin(line);
        assert_eq!(answer.status, Some(status), "{line}: {}", answer.stderr);
        assert!(answer.stderr.contains(words), "{line}: {}", answer.stderr);
        assert_eq!(state(), before, "{line} changed something");
    }
    // A key file is sought where the command was typed, and must be closed to others.
    sh("chmod", &["640", &lab.path().join("secret_file.txt").to_string_lossy()]);
    let answer = lab.ravelin("ike remote -n other -w -r 10.0.0.9 -g a -h secret_file.txt");
    assert!(answer.stderr.contains("mend it: chmod 600 "), "{}", answer.stderr);
    sh("chmod", &["600", &lab.path().join("secret_file.txt").to_string_lossy()]);
    lab.ok("ike remote -n other -w -r 10.0.0.9 -g a -h secret_file.txt");
    Ok(())
}

fn a_second_daemon_is_told_of_the_first() -> Result<(), &'static str> {
    let lab = lab("second");
    let daemon = lab.daemon("");
    let answer = lab.ravelin("daemon");
    assert_eq!(answer.status, Some(1));
    let expected = format!("another daemon (process {}) listens on {}", daemon.pid(), lab.path().display());
    assert!(answer.stderr.contains(&expected), "{}", answer.stderr);
    lab.ok("ipsec netstat");
    Ok(())
}

fn a_stopped_daemon_leaves_nothing() -> Result<(), &'static str> {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let lab = lab("stopped");
        let daemon = lab.daemon("--rc ike_rc");
        assert_eq!(traces(), [true, true, true]);
        let status = daemon.end(signal);
        assert!(status.success(), "{signal:?}: {status}\n{}", lab.log());
        assert_eq!(traces(), [false, false, false], "after {signal:?}");
        assert!(!lab.path().join("socket").exists());
    }
    Ok(())
}

fn a_killed_daemon_is_cleaned_up_after() -> Result<(), &'static str> {
    let lab = lab("killed");
    let daemon = lab.daemon("--rc ike_rc");
    daemon.end(Signal::KILL);
    // The device goes with the process; the guards stay, so that nothing leaves in the clear meanwhile.
    assert_eq!(traces(), [true, true, false]);
    let daemon = lab.daemon("");
    assert!(lab.log().contains("a daemon before this one was killed; undone:"), "{}", lab.log());
    assert!(!sh("nft", &["list", "ruleset"]).contains("10.0.0.78"), "the policy of the killed daemon is gone");
    assert!(daemon.end(Signal::TERM).success());
    assert_eq!(traces(), [false, false, false]);
    Ok(())
}

#[cfg(all(feature = "kernel", feature = "tun"))]
fn without_esp_in_the_kernel_ours_takes_its_place() -> Result<(), &'static str> {
    let lab = lab("auto");
    if lab.kernel_has_esp() {
        return Err("this kernel has ESP");
    }
    let daemon = lab.daemon("--rc ike_rc --data-plane auto");
    let log = lab.log();
    assert!(
        log.contains("the kernel's IPsec cannot be used") && log.contains("ours in user space takes its place"),
        "{log}"
    );
    assert_eq!(traces(), [true; 3]);
    daemon.end(Signal::TERM);
    // Who wants the kernel's alone is told why not.
    let refused = lab.ravelin("daemon --rc ike_rc --data-plane kernel");
    assert_eq!(refused.status, Some(1), "{}", refused.stderr);
    assert!(refused.stderr.contains("the kernel's IPsec cannot be used"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--data-plane tun"), "{}", refused.stderr);
    Ok(())
}

fn another_user_is_turned_away() -> Result<(), &'static str> {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    if map.split_whitespace().nth(2).is_none_or(|count| count.parse::<u64>().unwrap_or(0) <= 65534) {
        return Err("there is no other user in a user namespace");
    }
    let lab = lab("user");
    let _daemon = lab.daemon("");
    // Where the file would let everybody in, the daemon does not.
    for path in [lab.path().to_path_buf(), lab.path().join("socket")] {
        sh("chmod", &["777", &path.to_string_lossy()]);
    }
    let program = lab.path().join("copy");
    fs::copy(env!("CARGO_BIN_EXE_ravelin"), &program).expect("a copy that the other user can run");
    let output = std::process::Command::new(program)
        .args(["ipsec", "netstat", "--socket"])
        .arg(lab.path().join("socket"))
        .uid(65534)
        .gid(65534)
        .output()
        .expect("ravelin runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("only root and the user whom the daemon runs as may command it"), "{error}");
    Ok(())
}

fn a_daemon_leaves_no_core_dump() -> Result<(), &'static str> {
    let lab = lab("core");
    let daemon = lab.daemon("");
    let limits = fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).expect("a process");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
    assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..], ["0", "0", "bytes"]);
    Ok(())
}

fn an_idle_daemon_is_small() -> Result<(), &'static str> {
    let lab = lab("small");
    let daemon = lab.daemon("--rc ike_rc");
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("a process");
    // The program itself is shared, and several times as large without optimization; the benchmark `daemon` has the whole.
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a line");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(kib < 8 * 1024, "an idle daemon has {kib} KiB of its own");
    Ok(())
}

#[cfg(feature = "ikev2")]
fn the_demonstration_ends_well() -> Result<(), &'static str> {
    let lab = Lab::new("demo");
    let answer = lab.ravelin("demo");
    assert_eq!(answer.status, Some(0), "{}{}", answer.stdout, answer.stderr);
    for words in ["0 of TCP in the clear", "IPSecSession SPI=", "  Key: [len=20]\n", "every byte right", "Done in"] {
        assert!(answer.stdout.contains(words), "`{words}` is missing in:\n{}", answer.stdout);
    }
    Ok(())
}
