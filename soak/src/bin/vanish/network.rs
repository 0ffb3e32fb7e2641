//! Two network namespaces with a link between them, apart from this machine's own network.

use std::net::Ipv4Addr;
use std::process::Command;

/// The two sides, by one name.
pub(crate) struct Network {
    name: String,
}

/// What has to go once all is done.
pub(crate) struct Made(pub(crate) Network);

impl Network {
    pub(crate) fn make() -> Result<Made, String> {
        let made = Made(Self {
            name: format!("vanish{}", std::process::id()),
        });
        let (near, far) = (made.0.near(), made.0.far());
        ip(&["netns", "add", &near])?;
        ip(&["netns", "add", &far])?;
        ip(&[
            "-n", &near, "link", "add", "link0", "type", "veth", "peer", "name", "link0", "netns",
            &far,
        ])?;
        for (side, address) in [(&near, NEAR), (&far, FAR)] {
            let address = format!("{address}/30");
            ip(&["-n", side, "addr", "add", &address, "dev", "link0"])?;
            ip(&["-n", side, "link", "set", "link0", "up"])?;
        }
        Ok(made)
    }

    /// One that was made by another process.
    pub(crate) fn named(name: String) -> Self {
        Self { name }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Where the near side is reached.
    pub(crate) fn address(&self) -> Ipv4Addr {
        NEAR
    }

    /// What runs a program on the near side.
    pub(crate) fn near_command(&self) -> tokio::process::Command {
        command(&self.near())
    }

    /// What runs a program on the far side.
    pub(crate) fn far_command(&self) -> tokio::process::Command {
        command(&self.far())
    }

    /// From now on nothing gets through, and nobody is told.
    pub(crate) fn cut(&self) -> Result<(), String> {
        ip(&["-n", &self.far(), "link", "set", "link0", "down"])
    }

    fn near(&self) -> String {
        format!("{}-near", self.name)
    }

    fn far(&self) -> String {
        format!("{}-far", self.name)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // The link goes with them.
        let _ = ip(&["netns", "del", &self.0.near()]);
        let _ = ip(&["netns", "del", &self.0.far()]);
    }
}

fn command(side: &str) -> tokio::process::Command {
    let mut command = tokio::process::Command::new("ip");
    command.args(["netns", "exec", side]).kill_on_drop(true);
    command
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
