//! Whole files: `ike commands`, `call`, and what an `ike_rc` has besides the configuration.

use ravelin_config::rc;

use super::*;
use crate::daemon::reload::Files;

impl Bench {
    /// The commands that make the configuration anew.
    fn commands(&mut self) -> Vec<String> {
        let answer = self.ok("ike commands");
        answer.list("lines").unwrap().into_iter().map(str::to_owned).collect()
    }

    fn file(&self, name: &str, text: &str) -> std::path::PathBuf {
        let path = self.directory.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

#[test]
fn the_commands_of_one_daemon_make_another() {
    let mut bench = Bench::new("commands-of");
    bench.ok(REMOTE);
    bench.ok("ike remote -n old -z 1 -u -r 10.0.0.9 -g keyid:0x00ff -h psk");
    bench.ok(&format!("{POLICY} -e AES256-CBC,AES128-GCM -a HMAC-SHA-2-384 --pfp all -k 600 --mss path"));
    bench.ok("ipsec policy -n p2 --action discard -s 10.1.0.0/16,80 -d any -p tcp -l 2500");
    let lines = bench.commands();
    assert_eq!(lines.len(), 4, "{lines:#?}");
    let mut other = Bench::new("commands-to");
    let file = other.file("ike_dump_cmds.txt", &lines.join("\n"));
    let answer = other.ok(&format!("call {}", file.display()));
    assert_eq!(answer.list("changes").unwrap().len(), 4);
    assert_eq!(other.commands(), lines);
    let policies = |bench: &Bench| format!("{:?}", bench.plane.0.borrow().policies);
    assert_eq!(policies(&other), policies(&bench));
    // The file names the key, and does not hold it.
    assert!(lines[0].contains(&bench.directory.join("psk").display().to_string()) && !lines[0].contains("secret"));
}

// RFC 4739 §1: the machine and then its user, each with a proof of its own.
#[test]
fn proofs_after_the_first_are_listed_and_written_as_they_were_read() {
    let mut bench = Bench::new("rounds-of");
    let typed = bench.file(
        "typed",
        "ike remote -n road -w -r 10.0.0.2 -g fqdn:laptop -f fqdn:gw -h psk --if-id %unique \
         --then-own 'EAP-MSCHAPV2+EAP-GTC,id=rfc822:a@example.org,user=keyid:carol,file=psk' \
         --then-peer 'PSK,id=asn1dn:C=CH, O=\"A\\, B\",file=psk' --then-peer PSK,id=*.example.org,file=psk",
    );
    bench.ok(&format!("call {}", typed.display()));
    let shown = crate::render::tables(&bench.ok("ike remote -v"));
    let file = bench.directory.join("psk").display().to_string();
    for line in [
        &format!("  We prove after that: EAP-MSCHAPV2+EAP-GTC,id=rfc822:a@example.org,user=keyid:carol,file={file}"),
        &format!("  The peer proves after that: PSK,id=asn1dn:C=CH, O=\"A\\, B\",file={file}"),
        &format!("  The peer proves after that: PSK,id=*.example.org,file={file}"),
        "  Virtual interface of each IKE SA: %unique",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\nin\n{shown}");
    }
    let lines = bench.commands();
    let mut other = Bench::new("rounds-to");
    let called = other.file("ike_dump_cmds.txt", &lines.join("\n"));
    other.ok(&format!("call {}", called.display()));
    assert_eq!(other.commands(), lines);
    assert!(lines[0].contains("--then-own") && lines[0].contains("--if-id %unique"), "{lines:#?}");
}

// RFC 7296 §3.3: a proposal of IKEv2 is for one protocol. RFC 2408 §4.2: IKEv1 takes two together.
#[test]
fn ah_around_esp_is_for_ikev1() {
    let mut bench = Bench::new("ahesp");
    bench.ok(&format!("{POLICY} -t AHESP -e AES128-CBC -a HMAC-SHA-1"));
    let error = bench.refused(REMOTE);
    assert!(error.contains("policy p1 wants AH and ESP") && error.contains("IKEv1 (-z 1)"), "{error}");
    bench.ok("ike remote -n gw -z 1 -w -r 10.0.0.2 --local 10.0.0.1 -h psk");
    let shown = crate::render::tables(&bench.ok("ipsec policy -v"));
    assert!(shown.contains("AH around it: HMAC-SHA-1"), "{shown}");
    let lines = bench.commands();
    assert!(lines.iter().any(|line| line.contains("-t AHESP")), "{lines:#?}");
}

#[test]
fn a_called_file_is_taken_whole_and_what_does_not_configure_is_the_callers() {
    let mut bench = Bench::new("call");
    bench.file("bad", &format!("{POLICY}\nipsec policy -n p2 -s any\n"));
    let error = bench.refused("call bad");
    assert!(error.contains("bad:2:26: expected -d DESTINATION"), "{error}");
    bench.file("good", &format!("ipsec netstat -c\n{POLICY}\n{REMOTE}\nike initiate p1\n"));
    let answer = bench.ok("call good");
    assert_eq!(answer.list("changes").unwrap(), ["+ policy p1", "+ remote gw"]);
    let later = answer.section("commands").unwrap();
    let commands: Vec<String> = later.sections().map(|(_, one)| one.list("argv").unwrap().join(" ")).collect();
    assert_eq!(commands, ["ipsec netstat -c", "ike initiate p1"]);
    assert!(later.section("2").unwrap().text("place").unwrap().ends_with("good:4:1"));
    assert!(bench.refused("call good").contains("there is a policy p1 already"));
}

/// Requirement S-123. The address is tentative, then it can be used, or it never comes.
#[test]
fn what_an_ike_rc_begins_waits_for_the_addresses_of_this_host() {
    for (name, comes) in [("settles", true), ("never", false)] {
        let mut bench = Bench::new(name);
        let tentative = Some([10, 0, 0, 1].into());
        bench.plane.0.borrow_mut().tentative = tentative;
        let now = format!("{} --start now", POLICY.replace("p1", "p2").replace("10.1.", "10.3."));
        let rc = bench.file("ike_rc", &format!("{POLICY}\n{now}\n{REMOTE}\nike initiate p1\n"));
        let loaded = rc::load(&rc, &Model::new()).unwrap();
        bench.core.adopt(loaded.model, bench.now).unwrap();
        bench.core.started_with(Files::default(), loaded.commands, bench.now);
        // In force, so nothing leaves in the clear, and nothing is negotiated.
        assert_eq!(bench.plane.0.borrow().policies.len(), 2);
        let mut asleep = |until: u64| {
            let until = Instant::ZERO + Duration::from_secs(until);
            while bench.now < until {
                bench.now = bench.core.deadline().map_or(until, |at| at.min(until));
                bench.core.timer(bench.now);
            }
            bench.plane.0.borrow().sent.len()
        };
        assert_eq!(asleep(59), 0);
        if comes {
            bench.plane.0.borrow_mut().tentative = None;
            bench.now = bench.now + Duration::from_millis(500);
        } else {
            bench.now = Instant::ZERO + Duration::from_secs(60);
        }
        bench.core.timer(bench.now);
        assert!(!bench.plane.0.borrow().sent.is_empty());
        assert!(bench.core.endpoint.ike_sas().iter().any(|sa| sa.remote == "gw"));
    }
}

#[test]
fn a_remote_is_shown_with_what_was_done_with_it() {
    let mut bench = Bench::new("statistics");
    bench.ok(REMOTE);
    bench.ok(POLICY);
    assert_eq!(bench.send("ike initiate p1"), None);
    let answer = bench.ok("ike remote -v -n gw");
    let statistics = answer.section("statistics").unwrap();
    for (name, count) in [("ike-sas", "1"), ("child-sas", "0"), ("failures", "0"), ("ike-init-out-req", "1")] {
        assert_eq!(statistics.text(name), Some(count), "{name}");
    }
    let shown = crate::render::tables(&answer);
    assert!(shown.ends_with("Statistics\n  ike-init-out-req: 1\n  ike-sas: 1\n"), "{shown}");
    assert!(bench.ok("ike remote -v").section("statistics").is_none());
}

/// Requirements S-143, S-144.
#[test]
fn phases_are_listed_and_flushed_apart() {
    let mut bench = Bench::new("phases");
    for line in [
        REMOTE,
        POLICY,
        "ike remote -n old -z 1 -w -r 10.0.0.9 --local 10.0.0.1 -h psk",
        "ipsec policy -n p9 -g old -m tunnel -r 10.0.0.9 -s 10.1.0.0/16 -d 10.9.0.0/16",
        "ike initiate p1 --timeout 0",
        "ike initiate p9 --timeout 0",
    ] {
        bench.ok(line);
    }
    let mut listed = |line: &str| -> Vec<String> {
        let answer = bench.ok(line);
        let sas = answer.section("ike-sas").unwrap().sections();
        sas.map(|(_, sa)| sa.text("remote").unwrap().to_owned()).collect()
    };
    assert_eq!(listed("ike netstat").len(), 2);
    assert_eq!(listed("ike netstat -p 1"), ["old"]);
    assert!(listed("ike netstat -p 2").is_empty());
    assert_eq!(listed("ike netstat -p 3"), ["gw"]);
    bench.ok("ike flush -p 1");
    let mut listed = |line: &str| bench.ok(line).section("ike-sas").unwrap().sections().count();
    assert_eq!((listed("ike netstat -p 1"), listed("ike netstat -p 3")), (0, 1));
    bench.ok("ike flush -p 3");
    assert!(bench.core.is_idle());
    assert_eq!(bench.core.model.remotes().count(), 2);
    bench.ok("ike flush");
    assert_eq!(bench.core.model.remotes().count(), 0);
}
