//! `vti`: virtual interfaces.

use std::net::IpAddr;

use clap::{Args, Subcommand};
use ravelin_types::interface::{Interface, Vti};

use super::{Command, Conflict, help};
use crate::value::if_id::if_id;
use crate::value::{BadValue, device, identity, name};

/// `vti ...`
#[derive(Clone, Debug, Subcommand)]
pub enum VtiVerb {
    /// Make a virtual interface for policies with --interface; it stays until it is deleted
    #[command(after_help = help::VTI_ADD)]
    Add(Box<VtiAddArgs>),
    /// Show virtual interfaces, those that policies made by naming them included
    #[command(after_help = help::VTI_SHOW)]
    Show(VtiShowArgs),
    /// Remove a virtual interface that no policy uses
    #[command(after_help = help::VTI_DEL)]
    Del {
        /// Its name
        #[arg(value_name = "DEVICE", value_parser = device)]
        name: String,
    },
}

/// `vti add`
#[derive(Clone, Debug, Args)]
pub struct VtiAddArgs {
    /// Its name
    #[arg(value_name = "DEVICE", value_parser = device)]
    name: String,
    /// An address of it, ADDRESS/BITS; several are several addresses
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    address: Vec<(IpAddr, u8)>,
    /// Bytes of the longest packet that it takes
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(576..=65_535))]
    mtu: Option<u32>,
    /// The VRF that its packets are routed in, by the name of its device
    #[arg(long, value_name = "DEVICE", value_parser = device)]
    vrf: Option<String>,
    /// The network namespace (ip netns) that it is in; protected packets travel in the daemon's
    #[arg(long, value_name = "NAME", value_parser = name)]
    netns: Option<String>,
    /// As a VTI of the kernel, which is tied to policies and SAs by this mark, and to one remote end; without, there may be
    /// any number for an end
    #[arg(long, value_name = "MARK", value_parser = key)]
    key: Option<u32>,
    /// The tunnel's end here, of a VTI
    #[arg(long, value_name = "ADDRESS", value_parser = identity::host, requires = "key")]
    local: Option<IpAddr>,
    /// The tunnel's other end, of a VTI
    #[arg(long, value_name = "ADDRESS", value_parser = identity::host, requires = "key")]
    remote: Option<IpAddr>,
    /// The number by which policies know it (ipsec policy --if-id, if_id_in and if_id_out of swanctl.conf); without, policies
    /// name the device
    #[arg(long, value_name = "NUMBER", value_parser = number, conflicts_with = "key")]
    if_id: Option<u32>,
}

/// `vti show`
#[derive(Clone, Debug, Args)]
pub struct VtiShowArgs {
    /// Only this one
    #[arg(value_name = "DEVICE", value_parser = device)]
    pub name: Option<String>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

impl VtiVerb {
    /// Whether a listing shall be JSON.
    pub fn json(&self) -> bool {
        matches!(self, VtiVerb::Show(args) if args.json)
    }

    pub(super) fn interpret(&self) -> Result<Command, Conflict> {
        match self {
            VtiVerb::Add(args) => args.interpret().map(|it| Command::AddInterface(Box::new(it))),
            VtiVerb::Show(args) => Ok(Command::ViewInterfaces(args.name.clone())),
            VtiVerb::Del { name } => Ok(Command::DeleteInterface(name.clone())),
        }
    }
}

impl VtiAddArgs {
    fn interpret(&self) -> Result<Interface, Conflict> {
        let vti = match (self.key, self.remote) {
            (Some(key), Some(remote)) => Some(Vti { key, local: self.local, remote }),
            (Some(_), None) => return Err(Conflict::missing("expected --remote ADDRESS: a VTI has one other end")),
            (None, _) => None,
        };
        if let Some(Vti { local: Some(local), remote, .. }) = vti
            && local.is_ipv4() != remote.is_ipv4()
        {
            return Err(Conflict::at(('\0', "local"), "--local and --remote belong to different address families"));
        }
        if self.mtu.is_some_and(|mtu| mtu < 1280) && self.address.iter().any(|(address, _)| address.is_ipv6()) {
            return Err(Conflict::at(
                ('\0', "mtu"),
                "a device with IPv6 takes packets of 1280 bytes; expected at least that",
            ));
        }
        Ok(Interface {
            name: self.name.clone(),
            addresses: self.address.clone(),
            mtu: self.mtu,
            vrf: self.vrf.clone(),
            namespace: self.netns.clone(),
            vti,
            if_id: self.if_id,
            ..Interface::default()
        })
    }
}

fn address(text: &str) -> Result<(IpAddr, u8), BadValue> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.parse().map_err(|_| BadValue::new("expected an address, as in 10.0.0.1/24"))?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        None => most,
        Some(bits) => bits
            .parse()
            .ok()
            .filter(|bits| (1..=most).contains(bits))
            .ok_or_else(|| BadValue::at(text.len() - bits.len(), format!("expected 1 to {most} bits")))?,
    };
    Ok((address, bits))
}

fn number(text: &str) -> Result<u32, BadValue> {
    let number = Some(if_id(text)?.number()).filter(|number| *number != 0);
    number.ok_or_else(|| BadValue::new("expected the number of the device, which is not 0"))
}

fn key(text: &str) -> Result<u32, BadValue> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    number.filter(|key| *key != 0).ok_or_else(|| BadValue::new("expected a mark that is not 0: 20, or 0x14"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::parse;

    fn read(line: &str) -> Result<Command, String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        parse(&words).map(|parsed| parsed.command).map_err(|error| error.to_string())
    }

    #[test]
    fn an_interface_has_its_addresses_and_its_place() {
        let line = "vti add vti20 --address 10.9.0.1/24 --address fd00::1 --mtu 1400 --vrf blue --netns lab";
        let Ok(Command::AddInterface(it)) = read(line) else { panic!("not taken") };
        let addresses = [("10.9.0.1".parse().unwrap(), 24), ("fd00::1".parse().unwrap(), 128)];
        assert_eq!((it.addresses.as_slice(), it.mtu), (&addresses[..], Some(1400)));
        assert_eq!((it.vrf.as_deref(), it.namespace.as_deref(), it.vti), (Some("blue"), Some("lab"), None));
    }

    #[test]
    fn a_key_makes_a_vti_with_one_other_end() {
        let Ok(Command::AddInterface(it)) = read("vti add vti20 --remote 192.0.2.2 --key 20") else {
            panic!("not taken")
        };
        assert_eq!(it.vti, Some(Vti { key: 20, local: None, remote: [192, 0, 2, 2].into() }));
        assert!(read("vti add vti20 --key 20").unwrap_err().contains("--remote"));
        assert!(read("vti add vti20 --key 0 --remote 192.0.2.2").unwrap_err().contains("not 0"));
        assert!(read("vti add vti20 --key 1 --remote 192.0.2.2 --local fd00::1").unwrap_err().contains("families"));
        assert!(read("vti add vti20 --remote 192.0.2.2").unwrap_err().contains("--key"));
        assert!(read("vti add vti20 --if-id %unique").unwrap_err().contains("number"));
        assert!(read("vti add vti20 --address 10.0.0.1/33").unwrap_err().contains("1 to 32"));
    }
}
