//! The hub's certificate: from files, or made for the moment.

use std::error::Error;
use std::fs;
use std::net::IpAddr;
use std::path::Path;

use eventcast::TlsConfig;

/// TLS with these files' certificate and key, or else with one for this machine's names that no
/// client trusts by itself.
pub(crate) fn config(
    files: Option<(&Path, &Path)>,
    address: IpAddr,
) -> Result<TlsConfig, Box<dyn Error>> {
    let Some((certificate, key)) = files else {
        let names = ["localhost".to_owned(), address.to_string()];
        return Ok(TlsConfig::self_signed(names)?);
    };
    let read = |path: &Path| {
        fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
    };
    TlsConfig::from_pem(&read(certificate)?, &read(key)?).map_err(|error| {
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        format!("{}: {error}: {cause}", certificate.display()).into()
    })
}
