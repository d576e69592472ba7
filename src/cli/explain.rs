//! `tw explain`: the page of an error code, from `explain.md`, which has one for every code there is.

use super::{Context, Error, Result};
use crate::output::Style;

const PAGES: &str = include_str!("explain.md");

/// Arguments of `tw explain`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The code, `TW0102`; all codes are listed without one
    code: Option<String>,
}

pub(crate) fn run(args: Args, cx: &mut Context) -> Result<()> {
    let Some(code) = args.code else {
        for (code, title, _) in pages() {
            if cx.out.json() {
                cx.out.line(serde_json::json!({ "code": code, "title": title }).to_string())?;
            } else {
                cx.out.line(format!("{}  {title}", cx.out.paint(Style::Bold, code)))?;
            }
        }
        return Ok(());
    };
    let wanted = code.to_uppercase();
    let wanted = if wanted.starts_with("TW") { wanted } else { format!("TW{wanted:0>4}") };
    let Some((code, title, body)) = pages().find(|(code, ..)| *code == wanted) else {
        return Err(Error::UnknownCode { code });
    };
    if cx.out.json() {
        return cx.out.line(serde_json::json!({ "code": code, "title": title, "page": body }).to_string());
    }
    cx.out.line(cx.out.paint(Style::Bold, &format!("{code}: {title}")))?;
    cx.out.line("")?;
    cx.out.line(body)
}

/// The pages in order: code, title, body.
fn pages() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    PAGES.split("\n## ").skip(1).filter_map(|page| {
        let (head, body) = page.split_once('\n')?;
        let (code, title) = head.split_once(": ")?;
        Some((code, title, body.trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_in_order_and_complete() {
        let codes: Vec<_> = pages().map(|(code, ..)| code).collect();
        assert!(codes.len() > 20);
        assert!(codes.is_sorted(), "{codes:?}");
        assert_eq!(codes.len(), PAGES.matches("\n## ").count());
        for (code, title, body) in pages() {
            assert!(body.len() > 80 && !title.is_empty(), "{code} says too little");
        }
    }
}
