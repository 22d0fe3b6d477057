//! A script that follows SAs up and down, beside everything else the daemon does.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::lab::{Elsewhere, Lab};

const PATIENCE: Duration = Duration::from_secs(20);

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn a_script_follows_sas_and_holds_up_nobody() -> Result<(), &'static str> {
    if !rustix::process::geteuid().is_root() {
        return Err("a second namespace takes root");
    }
    let elsewhere = Elsewhere::new("10.9.0.1/24", "10.9.0.2/24");
    let (a, b) = (Lab::new("updown-a"), Lab::elsewhere("updown-b", &elsewhere));
    let folder = a.path().display().to_string();
    let name = format!("keyid:$(touch${{IFS}}{folder}/harm)`touch${{IFS}}{folder}/harm`");
    let script = "\
echo \"this is for the log\"
{ echo; env | grep ^PLUTO_; echo \"FD=$(readlink /proc/$$/fd/* | tr '\\n' ' ')\"; } >> FOLDER/said
";
    a.write("script", &script.replace("FOLDER", &folder));
    a.write(
        "swanctl.conf",
        &"\
connections {
  gw {
    version = 2
    local_addrs = 10.9.0.1
    remote_addrs = 10.9.0.2
    proposals = aes128gcm16-prfsha256-x25519
    local {
      auth = psk
      id = a.lab
    }
    remote {
      auth = psk
    }
    children {
      hang {
        local_ts = 10.9.3.0/24
        remote_ts = 10.9.4.0/24
        esp_proposals = aes128gcm16
        updown = echo $$ > FOLDER/pid; exec sleep 600
      }
      net {
        local_ts = 10.9.1.0/24
        remote_ts = 10.9.2.0/24
        esp_proposals = aes128gcm16
        updown = sh FOLDER/script
      }
    }
  }
}
secrets {
  ike {
    secret = \"a secret that is long enough\"
  }
}
"
        .replace("FOLDER", &folder),
    );
    b.write("secret.txt", "a secret that is long enough\n");
    b.write(
        "ike_rc",
        &format!(
            "ipsec policy -n p1 -g a -m tunnel -r 10.9.0.1 -s 10.9.2.0/24 -d 10.9.1.0/24 -e AES128-GCM\n\
             ipsec policy -n p2 -g a -m tunnel -r 10.9.0.1 -s 10.9.4.0/24 -d 10.9.3.0/24 -e AES128-GCM\n\
             ike remote -n a -u -r 10.9.0.1 -e AES128-GCM -p HMAC-SHA-2-256 -d Curve25519 -f fqdn:a.lab -g '{name}' \
             -h secret.txt\n"
        ),
    );
    let daemon = a.daemon("--swanctl swanctl.conf");
    let _daemon_b = b.daemon("--rc ike_rc");
    let runs = || -> Vec<BTreeMap<String, String>> {
        let text = fs::read_to_string(a.path().join("said")).unwrap_or_default();
        let pairs = |run: &str| {
            run.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect()
        };
        text.split("\n\n").map(|run| pairs(run.trim())).filter(|run: &BTreeMap<_, _>| run.contains_key("FD")).collect()
    };

    // One hangs: negotiations, commands and the scripts of others go on.
    a.ok("ike initiate gw.hang");
    let hangs = until("the script that hangs", || {
        let pid = fs::read_to_string(a.path().join("pid")).ok()?;
        Pid::from_raw(pid.trim().parse().ok()?)
    });
    a.ok("ike initiate gw.net");
    let up = until("the script for up", || runs().pop());
    assert!(test_kill_process(hangs).is_ok(), "it hangs no more");
    for (variable, value) in [
        ("PLUTO_VERB", "up-client"),
        ("PLUTO_CONNECTION", "net"),
        ("PLUTO_ME", "10.9.0.1"),
        ("PLUTO_MY_ID", "a.lab"),
        ("PLUTO_MY_CLIENT", "10.9.1.0/24"),
        ("PLUTO_PEER", "10.9.0.2"),
        ("PLUTO_PEER_ID", name.strip_prefix("keyid:").unwrap_or_default()),
        ("PLUTO_PEER_CLIENT", "10.9.2.0/24"),
        ("PLUTO_PROTO", "esp"),
    ] {
        assert_eq!(up.get(variable).map(String::as_str), Some(value), "{variable} in {up:?}");
    }
    // Nothing of the daemon's is open in a script. What we were started with may be.
    let own: Vec<String> = fs::read_dir("/proc/self/fd").map_or_else(
        |_| Vec::new(),
        |all| {
            let links = all.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
            links.map(|link| link.display().to_string()).collect()
        },
    );
    let of_daemon = |open: &&str| ["socket:", "anon_inode:", "/dev/net/tun"].iter().any(|kind| open.starts_with(kind));
    for open in up["FD"].split(' ').filter(of_daemon) {
        assert!(own.iter().any(|known| known == open), "{open} is open in a script");
    }
    until("the status in the log", || a.log().contains("up of gw.net: exit status 0").then_some(()));
    assert!(a.log().contains("up of gw.net: this is for the log"), "{}", a.log());

    a.ok("ike rekey --child gw.net");
    kill_process(hangs, Signal::KILL).expect("a process of ours");
    until("its end in the log", || a.log().contains("was ended by signal 9").then_some(()));
    // What comes after it for the same SA may hang as well: the end does not wait for ever.
    fs::remove_file(a.path().join("pid")).expect("a file");
    a.ok("ike terminate gw");
    let hangs = until("the other script that hangs", || {
        let pid = fs::read_to_string(a.path().join("pid")).ok()?;
        Pid::from_raw(pid.trim().parse().ok()?)
    });
    let all = until("the script for down", || Some(runs()).filter(|all| all.len() == 2));
    assert_eq!(all[1]["PLUTO_VERB"], "down-client");
    kill_process(hangs, Signal::KILL).expect("a process of ours");

    // What is up when the daemon ends goes down before it.
    a.ok("ike initiate gw.net");
    until("the script for up", || (runs().len() == 3).then_some(()));
    assert!(daemon.end(Signal::TERM).success(), "{}", a.log());
    let verbs: Vec<String> = runs().into_iter().map(|run| run["PLUTO_VERB"].clone()).collect();
    assert_eq!(verbs, ["up-client", "down-client", "up-client", "down-client"]);
    assert!(!a.path().join("harm").exists(), "a peer's name was run");
    Ok(())
}
