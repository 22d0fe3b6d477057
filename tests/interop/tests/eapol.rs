//! wpa_supplicant's EAP, as its program eapol_test has it, against our authenticator. That program speaks RADIUS, so a server of it
//! stands here before the authenticator; its SIM is here, too, by a MILENAGE of its own.

use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{fs, thread};

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit as _};
use anyhow::{Context, Result, anyhow, bail, ensure};
use hmac::{Hmac, Mac};
use md5::{Digest, Md5};
use ravelin_crypto::SecureRandom;
use ravelin_crypto::signature::PrivateKey;
use ravelin_crypto_aws_lc::SystemRandom;
use ravelin_eap::tls::{NoTls, TlsMaker, TlsSide};
use ravelin_eap::{Account, Accounts, Authenticator, Conversation, Memory, Method, Server, Sims, Step, Tools};
use ravelin_pki::auth::{Credential, World};
use ravelin_pki::{Certificate, Time, memory};
use ravelin_radius::{Attribute, Code, Packet};
use ravelin_testkit::papers::{self, Kind};
use ravelin_tls::Maker;
use ravelin_types::{Identity, Secret};
use ravelin_wire::ike::v2::{Eap, EapCode};

const SECRET: &[u8] = b"of the lab";
/// Test set 19 of 3GPP TS 35.208.
const K: [u8; 16] = 0x5122250214c33e723a5dd523fc145fc0_u128.to_be_bytes();
const OPC: [u8; 16] = 0x981d464c7c52eb6e5036234984ad0bcf_u128.to_be_bytes();

#[derive(Default)]
struct Kept(Mutex<Sims>);

impl Memory for Kept {
    fn with(&self, act: &mut dyn FnMut(&mut Sims)) {
        act(&mut self.0.lock().expect("no test panics with it"));
    }
}

#[test]
#[cfg_attr(not(eapol_test), ignore = "needs Debian's eapoltest")]
fn a_sim_of_wpa_supplicant_is_let_in_and_comes_back() -> Result<()> {
    for (method, name, user, challenge) in [
        (Method::Sim, "SIM", "1555444333222111@example.org", 11),
        (Method::Aka, "AKA", "0555444333222111@example.org", 1),
        (Method::AkaPrime, "AKA'", "6555444333222111@example.org", 1),
    ] {
        for more in ["", "phase1=\"result_ind=1\""] {
            let account = Account { owners: vec![Identity::Fqdn("555444333222111".into())], password: sim() };
            let server = Server { methods: vec![method], accounts: Accounts([account].into()), ..Server::default() };
            let network = format!("eap={name}\nidentity=\"{user}\"\n{more}");
            let said = run(&network, server, &NoTls, 1).with_context(|| format!("{method} {more}"))?;
            let result: &[u8] = if more.is_empty() { &[] } else { &[12] };
            let identity = if method == Method::Sim { 10 } else { 5 };
            // A full authentication, then a fast one.
            let expected = [&[identity, challenge], result, &[identity, 13], result].concat();
            ensure!(said.subtypes == expected, "{method}: the requests were {:?}", said.subtypes);
            ensure!(said.users == [user, user], "{method}: {:?}", said.users);
        }
    }
    Ok(())
}

// RFC 5281 §11.2.5, and by a method of its own; PEAP by each method that it can have inside.
#[test]
#[cfg_attr(not(eapol_test), ignore = "needs Debian's eapoltest")]
fn a_password_of_wpa_supplicant_is_taken_inside_tls() -> Result<()> {
    let root = papers::root("root", Kind::P256);
    let paper = root.peer("gw", &["gw.example.org"], Kind::P256);
    let certificate = Certificate::parse(&paper.der).map_err(|bad| anyhow!("{bad:?}"))?;
    let spki = certificate.spki().to_vec();
    let own = Credential { certificates: vec![certificate], key: "gw".into(), spki, ..Credential::default() };
    let crypto = ravelin_crypto_aws_lc::provider();
    let key: Arc<dyn PrivateKey> = crypto
        .signatures
        .and_then(|signatures| signatures.private_key(&paper.pkcs8).ok())
        .context("a private key")?
        .into();
    let keys = |_: &str| Some(key.clone());
    let world = World { now: Time(1_780_272_000), crls: &[], answers: &[], memory: &memory::Forgetful };
    let tls = Maker { keys: &keys, world, register: None, crypto: &crypto };
    for (method, eap, inside) in [
        (Method::Ttls, "TTLS", "auth=PAP"),
        (Method::TtlsPap, "TTLS", "auth=PAP"),
        (Method::Ttls, "TTLS", "autheap=MSCHAPV2"),
        (Method::Peap, "PEAP", "auth=MSCHAPV2"),
        (Method::Peap, "PEAP", "auth=GTC"),
        (Method::Peap, "PEAP", "auth=MD5"),
    ] {
        let account =
            Account { owners: vec![Identity::Fqdn("carol".into())], password: Secret::from(&b"her password"[..]) };
        let server = Server {
            methods: vec![method],
            accounts: Accounts([account].into()),
            tls: TlsSide { credential: Some(Arc::new(own.clone())), ..TlsSide::default() },
            ..Server::default()
        };
        let network = format!(
            "eap={eap}\nidentity=\"carol\"\nanonymous_identity=\"anonymous\"\npassword=\"her password\"\nphase2=\"{inside}\""
        );
        let said = run(&network, server, &tls, 0).with_context(|| format!("{method} {inside}"))?;
        ensure!(said.users == ["carol"], "{:?}", said.users);
    }
    Ok(())
}

fn sim() -> Secret {
    Secret::new([K, OPC].concat())
}

/// What the authenticator did.
#[derive(Default)]
struct Said {
    subtypes: Vec<u8>,
    users: Vec<String>,
}

/// Runs eapol_test to its good end, with so many further conversations. It finds the same keys as we, or fails.
fn run(network: &str, server: Server, tls: &dyn TlsMaker, again: u32) -> Result<Said> {
    let folder =
        std::env::temp_dir().join(format!("ravelin-eapol-{}-{:?}", std::process::id(), thread::current().id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let conf = folder.join("conf");
    let control = folder.join("control");
    let head = format!("ctrl_interface={}\nexternal_sim=1\n", control.display());
    fs::write(&conf, format!("{head}network={{\nkey_mgmt=IEEE8021X\neapol_flags=0\n{network}\n}}\n"))?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    let port = socket.local_addr()?.port().to_string();
    let log = fs::File::create(folder.join("log"))?;
    let mut command = Command::new("eapol_test");
    command.args(["-W", "-a", "127.0.0.1", "-t", "20", "-p", &port, "-r", &again.to_string(), "-s"]);
    command.arg(std::str::from_utf8(SECRET)?).arg("-c").arg(&conf);
    let mut child = command.stdout(log.try_clone()?).stderr(log).spawn()?;
    let over = AtomicBool::new(false);
    let done = thread::scope(|scope| {
        let sim = scope.spawn(|| answer_for_sim(&folder, &control.join("test"), &over));
        let mut said = Said::default();
        let mut turn = Turn { server, tls, kept: Kept::default(), conversation: None };
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut serve = || loop {
            turn.serve(&socket, &mut said)?;
            if let Some(status) = child.try_wait()? {
                return anyhow::Ok(status);
            }
            if Instant::now() > deadline {
                child.kill()?;
            }
        };
        let status = serve();
        let _ = child.kill();
        over.store(true, Ordering::Relaxed);
        let sim = sim.join();
        let status = status?;
        ensure!(status.success(), "eapol_test ends with {status}; its SIM: {sim:?}");
        Ok(said)
    });
    let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
    let last: Vec<&str> = log.lines().rev().take(30).collect();
    let done = done.with_context(|| last.into_iter().rev().collect::<Vec<_>>().join("\n"));
    let _ = fs::remove_dir_all(&folder);
    done
}

/// A RADIUS server with one conversation at a time.
struct Turn<'a> {
    server: Server,
    tls: &'a dyn TlsMaker,
    kept: Kept,
    conversation: Option<Conversation>,
}

impl Turn<'_> {
    fn serve(&mut self, socket: &UdpSocket, said: &mut Said) -> Result<()> {
        let mut octets = [0; 4096];
        let Ok((length, from)) = socket.recv_from(&mut octets) else { return Ok(()) };
        let Ok(packet) = Packet::parse(&octets[..length]) else { bail!("no RADIUS packet") };
        let eap = packet.eap().context("no EAP message")?;
        let [code, identifier, _, _, data @ ..] = eap.as_slice() else { bail!("an EAP message that is cut short") };
        let mut heard = Eap { code: EapCode(*code), identifier: *identifier, data: data.to_vec() };
        let random = |out: &mut [u8]| SystemRandom.fill(out);
        let tools = Tools { tls: self.tls, random: &random, memory: &self.kept };
        if packet.all(Attribute::STATE).next().is_none() {
            let server = Server { ask_identity: true, ..self.server.clone() };
            let mut fresh = Conversation::Authenticator(Authenticator::new(server, &Identity::Fqdn("nobody".into())));
            // Its first question is answered already.
            let Step::Say(asked) = fresh.turn(None, tools) else { bail!("nothing is asked") };
            heard.identifier = asked.identifier;
            self.conversation = Some(fresh);
        }
        let conversation = self.conversation.as_mut().context("no conversation")?;
        let (code, eap, keys) = match conversation.turn(Some(&heard), tools) {
            Step::Say(eap) => {
                said.subtypes.extend(eap.data.get(1));
                (Code::ACCESS_CHALLENGE, Some(eap), None)
            }
            Step::Done { last, outcome: Ok(proven) } => {
                said.users.push(String::from_utf8_lossy(&proven.user).into_owned());
                (Code::ACCESS_ACCEPT, last, proven.msk)
            }
            Step::Done { last, outcome: Err(why) } => {
                eprintln!("refused: {why}");
                (Code::ACCESS_REJECT, last, None)
            }
        };
        self.reply(socket, from, &packet, (code, eap, keys))
    }

    fn reply(
        &self,
        socket: &UdpSocket,
        to: SocketAddr,
        asked: &Packet,
        (code, eap, keys): (Code, Option<Eap>, Option<Secret>),
    ) -> Result<()> {
        let mut attributes = Vec::new();
        let mut put = |kind: Attribute, value: &[u8]| {
            attributes.extend_from_slice(&[kind.0, (2 + value.len()) as u8]);
            attributes.extend_from_slice(value);
        };
        if let Some(eap) = eap {
            let length = ((4 + eap.data.len()) as u16).to_be_bytes();
            let whole = [&[eap.code.0, eap.identifier][..], &length, &eap.data].concat();
            whole.chunks(253).for_each(|piece| put(Attribute::EAP_MESSAGE, piece));
        }
        if code == Code::ACCESS_CHALLENGE {
            put(Attribute::STATE, b"one");
        }
        if let Some(msk) = keys {
            // RFC 2548 §2.4: what the server receives with, and what it sends with.
            for (kind, salt, key) in [(17, [0x80, 1], &msk.expose()[..32]), (16, [0x80, 2], &msk.expose()[32..64])] {
                let hidden = hide(key, &asked.authenticator, salt);
                let value = [&311u32.to_be_bytes()[..], &[kind, (2 + hidden.len()) as u8], &hidden].concat();
                put(Attribute::VENDOR_SPECIFIC, &value);
            }
        }
        put(Attribute::MESSAGE_AUTHENTICATOR, &[0; 16]);
        let length = ((20 + attributes.len()) as u16).to_be_bytes();
        let mut packet = [&[code.0, asked.identifier][..], &length, &asked.authenticator, &attributes].concat();
        let mac = Hmac::<Md5>::new_from_slice(SECRET)?.chain_update(&packet).finalize().into_bytes();
        let at = packet.len() - 16;
        packet[at..].copy_from_slice(&mac);
        let response = Md5::new().chain_update(&packet).chain_update(SECRET).finalize();
        packet[4..20].copy_from_slice(&response);
        socket.send_to(&packet, to)?;
        Ok(())
    }
}

/// RFC 2548 §2.4.2.
fn hide(key: &[u8], request: &[u8; 16], salt: [u8; 2]) -> Vec<u8> {
    let mut plain = [&[key.len() as u8], key].concat();
    plain.resize(plain.len().next_multiple_of(16), 0);
    let mut hidden = salt.to_vec();
    let mut before = [&request[..], &salt].concat();
    for block in plain.chunks(16) {
        let pad = Md5::new().chain_update(SECRET).chain_update(&before).finalize();
        before = block.iter().zip(pad).map(|(octet, pad)| octet ^ pad).collect();
        hidden.extend_from_slice(&before);
    }
    hidden
}

/// Answers what eapol_test asks a SIM, until it ends.
fn answer_for_sim(folder: &Path, control: &Path, over: &AtomicBool) -> Result<()> {
    let socket = UnixDatagram::bind(folder.join("sim"))?;
    socket.set_read_timeout(Some(Duration::from_millis(200)))?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while socket.connect(control).is_err() {
        ensure!(Instant::now() < deadline, "no control socket");
        thread::sleep(Duration::from_millis(50));
    }
    socket.send(b"ATTACH")?;
    let mut octets = [0; 4096];
    while !over.load(Ordering::Relaxed) {
        let Ok(length) = socket.recv(&mut octets) else { continue };
        let text = String::from_utf8_lossy(&octets[..length]);
        let Some((_, question)) = text.split_once("CTRL-REQ-SIM-") else { continue };
        let (id, question) = question.split_once(':').context("no number")?;
        let words: Vec<&str> = question.split_whitespace().next().unwrap_or_default().split(':').collect();
        let answer = match words[..] {
            ["GSM-AUTH", ref rands @ ..] => {
                let triplets: Result<Vec<String>> = rands.iter().map(|rand| gsm(rand)).collect();
                format!("GSM-AUTH:{}", triplets?.join(":"))
            }
            ["UMTS-AUTH", rand, _] => {
                let [res, ck, ik] = f234(octets_of(rand)?);
                format!("UMTS-AUTH:{}:{}:{}", hex(&ik), hex(&ck), hex(&res[8..]))
            }
            _ => bail!("asked: {question}"),
        };
        socket.send(format!("CTRL-RSP-SIM-{id}:{answer}").as_bytes())?;
    }
    Ok(())
}

/// Kc and SRES (3GPP TS 55.205).
fn gsm(rand: &str) -> Result<String> {
    let [res, ck, ik] = f234(octets_of(rand)?);
    let kc: Vec<u8> = (0..8).map(|at| ck[at] ^ ck[at + 8] ^ ik[at] ^ ik[at + 8]).collect();
    let sres: Vec<u8> = (8..12).map(|at| res[at] ^ res[at + 4]).collect();
    Ok(format!("{}:{}", hex(&kc), hex(&sres)))
}

/// MILENAGE (3GPP TS 35.206 §4.1): the outputs 2 to 4, of which the second half of the first one is RES.
fn f234(rand: [u8; 16]) -> [[u8; 16]; 3] {
    let (rand, opc) = (u128::from_be_bytes(rand), u128::from_be_bytes(OPC));
    let encrypt = |block: u128| {
        let mut block = block.to_be_bytes().into();
        Aes128::new(&K.into()).encrypt_block(&mut block);
        u128::from_be_bytes(block.into())
    };
    let temp = encrypt(rand ^ opc);
    let out = |bits, constant: u128| (encrypt((temp ^ opc).rotate_left(bits) ^ constant) ^ opc).to_be_bytes();
    [out(0, 1), out(32, 2), out(64, 4)]
}

fn octets_of(digits: &str) -> Result<[u8; 16]> {
    ensure!(digits.len() == 32, "a challenge of another length");
    Ok(u128::from_str_radix(digits, 16)?.to_be_bytes())
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
