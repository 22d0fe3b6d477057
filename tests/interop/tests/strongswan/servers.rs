//! The servers that hosts of the examples ask: winnetou's web server with lists and certificates, and its responder of OCSP, each
//! beside either host; and alice's RADIUS server behind moon.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use ravelin_interop::lab::{RAVELIN, SWAN};
use ravelin_interop::process::{Daemon, Namespace, wait_for};
use ravelin_interop::radius::{Server, User};

use crate::hosts::WINNETOU;
use crate::papers::Papers;

/// Which servers an example has.
#[derive(Clone, Copy)]
pub struct Servers {
    /// Whether there is the web server.
    lists: bool,
    /// Who signs what the responder says.
    responder: Option<&'static str>,
    /// By which method the RADIUS server asks first, and what it takes for carol's password.
    radius: Option<[&'static str; 2]>,
}

impl Servers {
    /// The web server.
    pub const LISTS: Servers = Servers { lists: true, responder: None, radius: None };
    /// None.
    pub const NONE: Servers = Servers { lists: false, responder: None, radius: None };

    /// A responder, too.
    pub const fn responder(self, signer: &'static str) -> Servers {
        Servers { responder: Some(signer), ..self }
    }

    /// A RADIUS server, too.
    pub const fn radius(self, method: &'static str, password: &'static str) -> Servers {
        Servers { radius: Some([method, password]), ..self }
    }

    /// Starts them; `moon` is where the RADIUS server is.
    pub fn start(&self, papers: &Papers, moon: &Namespace, folder: &Path) -> Result<Vec<Daemon>> {
        let mut daemons = Vec::new();
        for (host, name) in [(&RAVELIN, "ravelin"), (&SWAN, "swan")] {
            let log = folder.join(format!("winnetou-{name}"));
            if self.lists {
                let mut web = host.command("busybox");
                web.args(["httpd", "-f", "-vv", "-p", &format!("{WINNETOU}:80"), "-h"]).arg(&papers.web);
                daemons.push(Daemon::start(&mut web, &log)?);
                listening(host, 80)?;
            }
            if let Some(signer) = self.responder {
                let paper = |name: &str, kind: &str| papers.web.with_file_name(format!("{name}.{kind}"));
                let mut responder = host.command("openssl");
                responder
                    .args(["ocsp", "-port", "8880", "-nmin", "5", "-index"])
                    .arg(papers.web.with_file_name("index"));
                responder.arg("-CA").arg(paper("root", "pem")).arg("-rsigner").arg(paper(signer, "pem"));
                responder.arg("-rkey").arg(paper(signer, "key"));
                daemons.push(Daemon::start(&mut responder, &log)?);
                listening(host, 8880)?;
            }
        }
        if let Some([method, password]) = self.radius {
            // Some come with a name of EAP, some with that of IKE.
            let users = [
                User { name: "carol", password, reply: &["Class=Research", "Framed-IP-Address=10.3.0.1"] },
                User { name: "carol@strongswan.org", password, reply: &[] },
                User { name: "dave@strongswan.org", password: "W7R0g3do", reply: &[] },
            ];
            let own = folder.join("radius");
            fs::create_dir_all(&own)?;
            let paper = |kind: &str| papers.web.with_file_name(kind);
            let server = Server {
                host: moon,
                folder: &own,
                secret: "gv6URkSs",
                papers: [paper("aaa.pem"), paper("aaa.key"), paper("root.pem")],
                methods: [method, "md5"],
                users: &users,
                reply: &[],
            };
            daemons.push(server.start()?);
        }
        Ok(daemons)
    }
}

fn listening(host: &Namespace, port: u16) -> Result<()> {
    wait_for(10, "a server to listen", || {
        ensure!(!host.sh(&format!("ss -Hltn sport = :{port}"))?.is_empty(), "nobody listens on port {port}");
        Ok(())
    })
}
