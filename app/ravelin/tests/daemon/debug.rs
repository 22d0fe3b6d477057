//! `ike debug`, as it is typed.

use std::fs::{self, File};
use std::process::Child;
use std::time::{Duration, Instant};

use super::lab::{Elsewhere, Lab};

/// A reader whose output goes to a file of the lab.
fn reader(lab: &Lab, name: &str, line: &str) -> Child {
    let out = File::create(lab.path().join(name)).expect("a file");
    lab.command(line).stdout(out).spawn().expect("ravelin runs")
}

fn wait_for(what: &str, mut happened: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !happened() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Requirement S-160: -t and -d show while it happens, and neither ends both.
pub fn what_goes_on_is_shown_until_it_is_ended() -> Result<(), &'static str> {
    let lab = Lab::new("debug");
    lab.write("psk", "secret\n");
    lab.write(
        "ike_rc",
        "ike remote -n gw -w -u -r 10.9.0.2 --local 10.9.0.1 -h psk -i 100ms\n\
         ipsec policy -n p1 -g gw -m tunnel -r 10.9.0.2 -s 10.1.0.0/16 -d 10.2.0.0/16\n",
    );
    let _elsewhere = Elsewhere::new("10.9.0.1/24", "10.9.0.2/24");
    let _daemon = lab.daemon("--rc ike_rc");
    let mut readers = [reader(&lab, "trace", "ike debug -t"), reader(&lab, "lines", "ike debug -d")];
    let said = |name: &str| fs::read_to_string(lab.path().join(name)).unwrap_or_default();
    lab.ok("ike initiate p1 --timeout 0");
    // Repetitions are messages, too: the readers need not have been there in time for the first.
    wait_for("nothing is traced", || said("trace").contains("Next Payload - Security Association"));
    wait_for("no line is shown", || {
        said("lines").contains("NET gw: sending packet: from 10.9.0.1[500] to 10.9.0.2[500]")
    });
    let trace = said("trace");
    let head = trace.lines().next().expect("a line");
    assert!(head.ends_with(" bytes; remote 10.9.0.2 [500]; Sent to Remote"), "{head}");
    assert!(!said("lines").contains("Sent to Remote"));
    lab.ok("ike debug");
    for reader in &mut readers {
        let mut status = None;
        wait_for("a reader goes on", || {
            status = reader.try_wait().expect("a child");
            status.is_some()
        });
        assert!(status.is_some_and(|status| status.success()));
    }
    assert_eq!(lab.ravelin("ike debug --show secrets").status, Some(2), "--show is about a trace");
    Ok(())
}

/// On a terminal, which `script` makes.
pub fn peers_are_watched_on_a_terminal() -> Result<(), &'static str> {
    let lab = Lab::new("top");
    lab.write("psk", "secret\n");
    lab.write("ike_rc", "ike remote -n branch-office -w -u -r 10.9.0.2 --local 10.9.0.1 -h psk\n");
    let _daemon = lab.daemon("--rc ike_rc");
    let refused = lab.ravelin("top");
    assert!(refused.stderr.contains("draws on a terminal"), "{}", refused.stderr);
    let on_terminal = |line: &str| {
        let mut command = std::process::Command::new("script");
        command.args(["-qec", line, "screen"]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
        command.env("RAVELIN_SOCKET", lab.path().join("socket")).env("TERM", "xterm").current_dir(lab.path());
        command.spawn().map_err(|_| "the program script cannot be run")
    };
    let screen = || String::from_utf8_lossy(&fs::read(lab.path().join("screen")).expect("what was drawn")).into_owned();
    let (size, ravelin) = ("stty rows 20 cols 120", env!("CARGO_BIN_EXE_ravelin"));
    let mut child = on_terminal(&format!("{size}; {ravelin} top"))?;
    std::thread::sleep(Duration::from_millis(2500));
    std::io::Write::write_all(child.stdin.as_mut().expect("its input"), b"q").expect("it reads");
    wait_for("it does not end", || child.try_wait().expect("a child").is_some());
    assert!(screen().contains("branch-office") && screen().contains("REKEYS"), "{:?}", screen());
    // Whoever ends it otherwise gets the terminal back, too.
    let killed = format!(
        "{size}; {ravelin} top --interval 60 & top=$!; sleep 2; kill -TERM $top; wait $top; echo end$?; stty -a"
    );
    let mut child = on_terminal(&killed)?;
    wait_for("it goes on behind a signal", || child.try_wait().expect("a child").is_some());
    let screen = screen();
    let (drawn, after) = screen.split_once("end0").expect("its end");
    assert!(drawn.contains("branch-office") && after.contains(" icanon"), "{screen:?}");
    Ok(())
}
