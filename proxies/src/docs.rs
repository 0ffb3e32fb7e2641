//! What the documentation shows is what runs here.

use crate::proxy::{HAPROXY, NGINX};
use crate::route::table;

const DOCS: &str = include_str!("../../docs/deploying.md");

/// That the page has the configurations and the table, to the letter.
pub(crate) fn check() -> Result<(), String> {
    let table = table();
    for (what, text) in [
        ("docs/deploying/nginx.conf", NGINX),
        ("docs/deploying/haproxy.cfg", HAPROXY),
        ("this table", &table),
    ] {
        if !DOCS.contains(text) {
            return Err(format!("docs/deploying.md does not show {what}:\n{text}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_shows_what_is_tested() {
        super::check().unwrap();
    }
}
