//! Examples that `--help` and the manual pages show, of the verbs that are this program's alone.

use ravelin_config::command::help::Help;

pub(super) const FIRST_STEPS: Help = Help::of(&[
    ["See a protected connection between two network namespaces of this machine", "ravelin demo"],
    ["Check a configuration", "ravelin check /etc/ravelin/ike_rc"],
    ["Run it", "ravelin daemon --rc /etc/ravelin/ike_rc"],
    ["What is there, and what it carries", "ravelin ipsec netstat"],
    ["Why there is nothing", "ravelin why PEER"],
]);

#[cfg(any(feature = "kernel", feature = "tun"))]
pub(super) const DAEMON: Help = Help::of(&[
    ["With the lines of a file", "ravelin daemon --rc /etc/ravelin/ike_rc"],
    [
        "With a configuration of strongSwan, over the kernel's IPsec",
        "ravelin daemon --swanctl /etc/swanctl/swanctl.conf --data-plane kernel",
    ],
])
.with_time();

#[cfg(all(feature = "tun", feature = "ikev2"))]
pub(super) const DEMO: Help = Help::of(&[["As root, or where user namespaces are allowed", "ravelin demo"]]);

pub(super) const SHELL: Help = Help::of(&[["Type commands until `exit`", "ravelin shell"]]);

pub(super) const TOP: Help = Help::of(&[["A look every five seconds", "ravelin top --interval 5"]]);

pub(super) const COMPLETION: Help =
    Help::of(&[["For bash, in the next shell", "ravelin completion bash > /etc/bash_completion.d/ravelin"]]);

pub(super) const MAN: Help =
    Help::of(&[["For `man ravelin-ike-remote` and its sisters", "ravelin man /usr/local/share/man/man1"]]);

pub(super) const DECODE: Help = Help::of(&[
    ["What is in the clear", "ravelin decode wire.pcap"],
    [
        "All, with the keys that `ravelin daemon --key-log keys` has written, for a program",
        "ravelin decode wire.pcap --keys keys --json",
    ],
]);

#[cfg(feature = "tun")]
pub(super) const CHECK: Help = Help::of(&[
    ["What the daemon starts with", "ravelin check /etc/ravelin/ike_rc"],
    ["A configuration of strongSwan", "ravelin check /etc/swanctl/swanctl.conf"],
]);

#[cfg(feature = "kernel")]
pub(super) const ALGORITHMS: Help = Help::of(&[
    ["What this program has", "ravelin algorithms"],
    ["What the kernel has", "ravelin algorithms --kernel"],
]);

#[cfg(any(feature = "kernel", feature = "tun"))]
pub(super) const PSK_START: Help = Help::of(&[
    ["The client", "ravelin psk start common.conf account1.conf account2.conf"],
    ["The server", "ravelin psk start --server common.conf account1.conf account2.conf"],
])
.with_time();

#[cfg(any(feature = "kernel", feature = "tun"))]
pub(super) const PSK_STOP: Help =
    Help::of(&[["End the process that MONITOR_PID names", "ravelin psk stop common.conf"]]);
