//! Just enough Markdown to check pages: fences, links, headings.

use std::collections::{BTreeMap, BTreeSet};

/// A fenced block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block<'a> {
    /// What stands behind the fence: `sh`, `rust,no_run`.
    pub(super) info: &'a str,
    pub(super) lines: Vec<&'a str>,
    /// Of the fence, from 1.
    pub(super) line: usize,
}

impl Block<'_> {
    pub(super) fn is(&self, language: &str) -> bool {
        self.info.split(',').next() == Some(language)
    }
}

/// A page: its blocks, and the lines that are in none.
#[derive(Debug, Default)]
pub(super) struct Page<'a> {
    pub(super) blocks: Vec<Block<'a>>,
    pub(super) prose: Vec<(usize, &'a str)>,
}

impl<'a> Page<'a> {
    pub(super) fn parse(text: &'a str) -> Self {
        let mut page = Self::default();
        let mut open: Option<Block<'a>> = None;
        for (line, text) in (1..).zip(text.lines()) {
            match (text.trim_start().strip_prefix("```"), open.take()) {
                (Some(_), Some(block)) => page.blocks.push(block),
                (Some(info), None) => {
                    let lines = Vec::new();
                    open = Some(Block { info, lines, line });
                }
                (None, Some(mut block)) => {
                    block.lines.push(text);
                    open = Some(block);
                }
                (None, None) => page.prose.push((line, text)),
            }
        }
        page
    }

    /// The targets of `[…](target)`, with their lines.
    pub(super) fn links(&self) -> Vec<(usize, String)> {
        let mut links = Vec::new();
        for (line, text) in &self.prose {
            let text = without_code(text);
            for (at, _) in text.match_indices("](") {
                let rest = &text[at + 2..];
                if let Some(end) = rest.find([')', ' ']) {
                    links.push((*line, rest[..end].to_owned()));
                }
            }
        }
        links
    }

    /// What a link may have behind `#`.
    pub(super) fn anchors(&self) -> BTreeSet<String> {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let mut anchors = BTreeSet::new();
        for (_, text) in &self.prose {
            let Some(heading) = text.trim_start_matches('#').strip_prefix(' ') else {
                continue;
            };
            if !text.starts_with('#') {
                continue;
            }
            let slug = slug(heading);
            let times = seen.entry(slug.clone()).or_default();
            anchors.insert(match times {
                0 => slug,
                _ => format!("{slug}-{times}"),
            });
            *times += 1;
        }
        anchors
    }
}

/// As GitHub and mdBook make them.
fn slug(heading: &str) -> String {
    let kept = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    let text = heading.trim().to_lowercase();
    text.chars()
        .filter(|c| kept(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// Inline code has no links.
fn without_code(text: &str) -> String {
    text.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# One thing\n[a](b.md#c) `[x](y)` and [d\ne](#f)\n```sh\n[g](h)\n```\n## One thing\n### `code`, too";

    #[test]
    fn links_and_anchors_are_outside_of_code() {
        let page = Page::parse(PAGE);
        let links: Vec<String> = page.links().into_iter().map(|(_, link)| link).collect();
        assert_eq!(links, ["b.md#c", "#f"]);
        let anchors: Vec<String> = page.anchors().into_iter().collect();
        assert_eq!(anchors, ["code-too", "one-thing", "one-thing-1"]);
        assert_eq!(page.blocks.len(), 1);
        assert!(page.blocks[0].is("sh"));
    }
}
