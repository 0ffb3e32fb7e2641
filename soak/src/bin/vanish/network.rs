//! A network namespace with one link to this one.

use std::net::Ipv4Addr;
use std::process::Command;

/// It goes with this, and its link with it.
pub(crate) struct Network {
    name: String,
}

impl Network {
    pub(crate) fn new() -> Result<Self, String> {
        let name = format!("vanish{}", std::process::id());
        ip(&["netns", "add", &name])?;
        let network = Self { name };
        let (near, far) = (network.near(), network.far());
        ip(&[
            "link",
            "add",
            &near,
            "type",
            "veth",
            "peer",
            "name",
            &far,
            "netns",
            &network.name,
        ])?;
        ip(&["addr", "add", &format!("{NEAR}/30"), "dev", &near])?;
        ip(&["link", "set", &near, "up"])?;
        ip(&[
            "-n",
            &network.name,
            "addr",
            "add",
            &format!("{FAR}/30"),
            "dev",
            &far,
        ])?;
        ip(&["-n", &network.name, "link", "set", &far, "up"])?;
        Ok(network)
    }

    /// Where this side is reached.
    pub(crate) fn address(&self) -> Ipv4Addr {
        NEAR
    }

    /// What runs a program on the other side.
    pub(crate) fn command(&self) -> tokio::process::Command {
        let mut command = tokio::process::Command::new("ip");
        command.args(["netns", "exec", &self.name]);
        command
    }

    /// From now on nothing gets through, and nobody is told.
    pub(crate) fn cut(&self) -> Result<(), String> {
        ip(&["-n", &self.name, "link", "set", &self.far(), "down"])
    }

    fn near(&self) -> String {
        format!("{}a", self.name)
    }

    fn far(&self) -> String {
        format!("{}b", self.name)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = ip(&["link", "del", &self.near()]);
        let _ = ip(&["netns", "del", &self.name]);
    }
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let shown = arguments.join(" ");
    let output = Command::new("ip").args(arguments).output();
    let output = output.map_err(|error| format!("`ip` (iproute2) is missing: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim();
    Err(format!(
        "`ip {shown}` failed, root on Linux is needed: {said}"
    ))
}

/// For documentation (RFC 5737), so nobody's.
const NEAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const FAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
