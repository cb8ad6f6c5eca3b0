//! `docs/configuration.md`, generated from the table of settings.

use std::fmt::Write;

use super::Config;

const HEAD: &str = "\
# Configuration

A setting is given in a TOML file (`leftfold serve --config FILE`, or `LEFTFOLD_CONFIG`), in the
environment, or by a flag; what comes later in this list takes precedence. A key that does not exist is an error
(`setting_unknown`). `leftfold config` prints every value and where it came from; it takes the same
flags.

```toml
listen = \"127.0.0.1:2113\"
packing = \"small\"

[limits]
body_bytes = \"32 MiB\"
```

Bytes are written `65536`, `64 KiB`, `16 MiB` or `1 GiB`; times `500ms`, `10s`, `5m` or `2h`.

This page is generated from `crates/server/src/config/mod.rs`; a test compares the two.
";

/// The page that describes every setting.
pub fn document() -> String {
    let mut page = HEAD.to_owned();
    let mut section = None;
    for setting in Config::SETTINGS {
        let of = setting.name.split_once('.').map_or("", |(section, _)| section);
        if section != Some(of) {
            let title = if of.is_empty() { "At the top" } else { of };
            let title = if of.is_empty() { title.to_owned() } else { format!("`[{title}]`") };
            _ = write!(page, "\n## {title}\n");
            section = Some(of);
        }
        let default = match setting.default() {
            none if none.is_empty() => "none".to_owned(),
            text => format!("`{text}`"),
        };
        let (name, env, flag) = (setting.name, setting.env(), setting.flag());
        _ = write!(
            page,
            "\n### `{name}`\n\n{}\n\nTakes {}. Default: {default}. Environment: `{env}`. Flag: `--{flag}`.\n",
            setting.doc.trim(),
            setting.allowed,
        );
    }
    page
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_describes_the_settings() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        if std::env::var_os("LEFTFOLD_WRITE_DOCUMENTS").is_some() {
            std::fs::write(path, super::document()).unwrap();
        }
        let page = std::fs::read_to_string(path).unwrap_or_default();
        let sentence = "make it again: LEFTFOLD_WRITE_DOCUMENTS=1 cargo test -p leftfold-server";
        assert!(page == super::document(), "docs/configuration.md is not up to date; {sentence}");
    }
}
